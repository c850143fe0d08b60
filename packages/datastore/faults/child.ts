import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'

/** A process of this folder, which answers by messages. */
export interface Child {
  readonly process: ChildProcess
  readonly pid: number
  /** Resolves with how it ended. */
  readonly ended: Promise<string>
}

export function startChild(file: string, settings: unknown, onMessage: (message: unknown) => void): Child {
  const child = spawn(process.execPath, ['--conditions=@k3s/source', join(import.meta.dirname, file), JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`Cannot start ${file}`)
  child.on('message', onMessage)
  const ended = new Promise<string>((resolve) => child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`)))
  return { process: child, pid, ended }
}
