import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const program = join(import.meta.dirname, '../../../apps/k3s/src/main.ts')

/** A `k3s datastore serve` that can be killed, frozen and started again where it was. */
export class ServedMember {
  readonly port: number
  readonly #dsn: string
  readonly #logPath: string
  #child: ChildProcess | undefined

  constructor(dsn: string, port: number, logPath: string) {
    this.#dsn = dsn
    this.port = port
    this.#logPath = logPath
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const log = openSync(this.#logPath, 'a')
    const args = ['datastore', 'serve', '--datastore-endpoint', this.#dsn, '--listen', `127.0.0.1:${this.port}`]
    const child = spawn(process.execPath, ['--conditions=@k3s/source', program, ...args], { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#child = child
    for (let attempt = 0; attempt < 1200; attempt++) {
      if (child.exitCode !== null) throw new Error(`k3s datastore serve has ended; see ${this.#logPath}`)
      if (await isListening(this.port)) return
      await delay(50)
    }
    throw new Error(`k3s datastore serve does not listen; see ${this.#logPath}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Resolves with how it ended. */
  async kill(): Promise<string> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return 'not running'
    const ended = new Promise<string>((resolve) => child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`)))
    child.kill('SIGKILL')
    return ended
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const done = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
  })
}
