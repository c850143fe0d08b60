import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { cacheFolder, go, hasGo, kubernetesRelease } from '../src/kubernetes-module.ts'
import { NoProgramError } from '../src/programs.ts'
import type { Cache, Informers } from './disturb.ts'

const release = `v0.${kubernetesRelease.slice(2)}`
const source = join(import.meta.dirname, 'client-go/main.go')

/** Builds the informers on client-go into the user's cache, once for each state of their source. Throws NoProgramError when there is no Go. */
export async function buildClientGoInformers(): Promise<string> {
  const cache = cacheFolder('k3s-informers')
  const sum = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
  const program = join(cache, `informers-${release}-${sum}`)
  if (existsSync(program)) return program
  if (!hasGo()) throw new NoProgramError('there is no Go to build them with; install Go 1.26 or newer')
  const folder = join(cache, 'source')
  await mkdir(folder, { recursive: true })
  const modules = ['api', 'apimachinery', 'client-go'].map((name) => `\tk8s.io/${name} ${release}\n`)
  await writeFile(join(folder, 'go.mod'), `module k3s/informers\n\ngo 1.26.0\n\nrequire (\n${modules.join('')})\n`)
  await copyFile(source, join(folder, 'main.go'))
  console.log(`Building informers on client-go ${release}`)
  await go(folder, 'build', '-p', '2', '-trimpath', '-o', `${program}.part`, '.')
  await rename(`${program}.part`, program)
  return program
}

/** What the program answers. */
interface Told {
  readonly caches: Readonly<Record<string, Cache>>
  readonly complaints: readonly string[]
}

/** Informers of client-go, in a process of their own. */
export class ClientGoInformers implements Informers, AsyncDisposable {
  readonly #child: ChildProcess
  readonly #answers: Interface
  #waiting: ((line: string) => void)[] = []

  /** @param options.resource the custom resource, as `gadgets.v1.example.com`. */
  constructor(options: {
    readonly program: string
    readonly kubeconfig: string
    readonly resource: string
    readonly isWatchList: boolean
    readonly logFile: string
  }) {
    const { program, kubeconfig, resource, isWatchList, logFile } = options
    const log = openSync(logFile, 'w')
    const env = { ...process.env, KUBE_FEATURE_WatchListClient: String(isWatchList) }
    this.#child = spawn(program, [kubeconfig, resource], { env, stdio: ['pipe', 'pipe', log] })
    const { stdout } = this.#child
    if (stdout === null) throw new Error('Cannot read from the informers') // it is a pipe
    this.#answers = createInterface(stdout)
    this.#answers.on('line', (line) => this.#waiting.shift()?.(line))
    this.#answers.on('close', () => {
      for (const answer of this.#waiting.splice(0)) answer('{"caches": {}, "complaints": ["the informers ended"]}')
    })
  }

  async caches(): Promise<Readonly<Record<string, Cache>>> {
    return (await this.#ask()).caches
  }

  async complaints(): Promise<readonly string[]> {
    return (await this.#ask()).complaints
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill()
    await ended
  }

  async #ask(): Promise<Told> {
    if (this.#child.exitCode !== null) throw new Error(`The informers ended with code ${this.#child.exitCode}`)
    const line = new Promise<string>((resolve) => this.#waiting.push(resolve))
    this.#child.stdin?.write('\n')
    return JSON.parse(await line) as Told // the program's own format
  }
}
