import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, createRestTransport, type RestTransport } from '@k3s/client'
import { clusterroles } from '@k3s/api/types/rbac/v1'
import { until } from '../src/cluster.ts'
import { writeServerFiles, type ServerFiles } from '../src/server-files.ts'

const readyMs = 60_000

/** Our API server in a process of its own, on SQLite in a temporary folder and always on the same port, so that it can be killed and come back. */
export class ApiProcess implements AsyncDisposable {
  readonly files: ServerFiles
  readonly url: string
  /** The administrator's way to it. */
  readonly transport: RestTransport
  readonly #folder: string
  readonly #port: number
  readonly #compactionMs: number
  #child: ChildProcess | undefined

  private constructor(options: {
    readonly files: ServerFiles
    readonly folder: string
    readonly port: number
    readonly compactionMs: number
  }) {
    this.files = options.files
    this.#folder = options.folder
    this.#port = options.port
    this.#compactionMs = options.compactionMs
    this.url = `https://127.0.0.1:${options.port}`
    this.transport = createRestTransport({ server: this.url, ca: this.files.ca.cert, ...this.files.admin })
  }

  /** @param options.compactionMs what is kept of the history is between one and two of these long. */
  static async start(options: { readonly port: number; readonly compactionMs: number }): Promise<ApiProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'k3s-informers-'))
    const server = new ApiProcess({ ...options, folder, files: await writeServerFiles(folder) })
    await server.begin()
    return server
  }

  /** Starts it and waits until it answers. */
  async begin(): Promise<void> {
    const log = openSync(join(this.#folder, 'server.log'), 'a')
    const script = join(import.meta.dirname, '../churn/serve.ts')
    const args = ['--conditions=@k3s/source', script, 'sqlite:store.db', String(this.#port), String(this.#compactionMs)]
    const child = spawn(process.execPath, args, { cwd: this.#folder, stdio: ['ignore', log, log] })
    this.#child = child
    await until(
      'the server answers',
      async () => {
        if (child.exitCode !== null) throw new Error(readFileSync(join(this.#folder, 'server.log'), 'utf8').slice(-2000))
        await createClient(this.transport).resource(clusterroles).get('cluster-admin')
        return true
      },
      readyMs,
    )
  }

  /** Ends it and waits for its end. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport[Symbol.asyncDispose]()
    await this.end('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
