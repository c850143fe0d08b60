import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../../e2e/src/free-ports.ts'
import { apiServerArguments, etcdArguments, writeServerFiles } from '../../../e2e/src/server-files.ts'
import { ApiClient, type Address } from './api-client.ts'

/** A server that is measured, in processes of its own. */
export interface Target extends AsyncDisposable {
  readonly name: string
  readonly address: Address
  /** From the start of its first process until `/readyz`. */
  readonly startMs: number
  /** Of all its processes, in MiB. */
  rss(): number
  /** Processor time that they have taken, in milliseconds. */
  cpuMs(): number
}

const readyMs = 90_000

interface Programs {
  readonly apiServer?: string
  readonly etcd?: string
  readonly kine?: string
}

/** What can be measured here, by name. Says on standard error what cannot. */
export function targets(): ReadonlyMap<string, () => Promise<Target>> {
  const root = join(import.meta.dirname, '../../..')
  const { stdout } = spawnSync(process.execPath, ['--conditions=@k3s/source', join(root, 'scripts/peers.ts')], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { apiServer, etcd, kine } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Programs // made by the script
  let built: string | undefined
  const ours = (name: string, dsn: string) => (): Promise<Target> => {
    const program = (built ??= bundle(root))
    return start(name, (cluster) => cluster.ours(program, dsn))
  }
  const all = new Map([
    ['ours, SQLite', ours('ours, SQLite', 'sqlite:store.db')],
    ['ours, memory', ours('ours, memory', 'memory:')],
  ])
  if (apiServer === undefined) {
    console.error('NO KUBE-APISERVER: only ours is measured')
    return all
  }
  if (etcd !== undefined) all.set('kube-apiserver, etcd', () => start('kube-apiserver, etcd', (cluster) => cluster.onEtcd(apiServer, etcd)))
  if (kine !== undefined) all.set('kube-apiserver, kine', () => start('kube-apiserver, kine', (cluster) => cluster.onKine(apiServer, kine)))
  return all
}

/** Makes one program of ours, as of what is shipped: Node keeps its own tools for TypeScript in memory. */
function bundle(root: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'k3s-apiserver-bundle-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const script = join(root, 'scripts/bundle.ts')
  const { status } = spawnSync(process.execPath, ['--conditions=@k3s/source', script, folder, join(import.meta.dirname, 'serve.ts')], {
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('Cannot bundle the server')
  return join(folder, 'main.js')
}

class Cluster {
  readonly processes: ChildProcess[] = []
  readonly #folder: string
  readonly #port: number
  readonly #storePorts: readonly number[]

  constructor(folder: string, [port = 0, ...storePorts]: readonly number[]) {
    this.#folder = folder
    this.#port = port
    this.#storePorts = storePorts
  }

  ours(program: string, dsn: string): void {
    // As ./k3s starts it.
    const settings = ['--max-semi-space-size=4', '--heap-growing-percent=60']
    this.#run('ours', process.execPath, [...settings, program, dsn, String(this.#port), '.'])
  }

  onEtcd(apiServer: string, etcd: string): void {
    const [client = 0, peer = 0] = this.#storePorts
    this.#run('etcd', etcd, etcdArguments(client, peer))
    this.#apiServer(apiServer, `http://127.0.0.1:${client}`)
  }

  onKine(apiServer: string, kine: string): void {
    const [port = 0] = this.#storePorts
    this.#run('kine', kine, [`--listen-address=127.0.0.1:${port}`, '--metrics-bind-address=0'])
    this.#apiServer(apiServer, `http://127.0.0.1:${port}`)
  }

  #apiServer(program: string, store: string): void {
    this.#run('kube-apiserver', program, apiServerArguments(this.#port, store))
  }

  #run(name: string, program: string, args: readonly string[]): void {
    const log = openSync(join(this.#folder, `${name}.log`), 'w')
    this.processes.push(spawn(program, args, { cwd: this.#folder, stdio: ['ignore', log, log] }))
  }
}

async function start(name: string, run: (cluster: Cluster) => void): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'k3s-apiserver-bench-'))
  const ports = await freePorts(3)
  const { ca, admin } = await writeServerFiles(folder)
  const address: Address = { url: `https://127.0.0.1:${ports[0]}`, ca: ca.cert, cert: admin.cert, key: admin.key }
  const cluster = new Cluster(folder, ports)
  const stop = async (): Promise<void> => {
    for (const child of cluster.processes.toReversed()) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.kill()) await ended
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const begin = performance.now()
  run(cluster)
  for (;;) {
    const client = new ApiClient(address)
    const answer = await client.ask('GET', '/readyz').catch(() => undefined) // does not listen yet
    client.close()
    if (answer?.status === 200) break
    if (performance.now() - begin > readyMs || cluster.processes.some(({ exitCode }) => exitCode !== null)) {
      await stop()
      throw new Error(`Cannot start ${name}`)
    }
    await sleep(10)
  }
  const startMs = performance.now() - begin
  const rss = (): number => cluster.processes.reduce((sum, { pid }) => sum + rssOf(pid), 0)
  const cpuMs = (): number => cluster.processes.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0)
  return { name, address, startMs, rss, cpuMs, [Symbol.asyncDispose]: stop }
}

function cpuMsOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  // Behind the program's name in brackets; both are in ticks of 10 ms.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function rssOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}
