import { spawn } from 'node:child_process'

/** Runs a program of the host; injected, so that plans can be tried without one. */
export type RunCommand = (
  command: string,
  args: readonly string[],
  options?: { readonly input?: string | undefined; readonly signal?: AbortSignal | undefined },
) => Promise<string>

/** A program ended with a failure: the message has its command line and the last of what it printed. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly stderr: string

  constructor(command: string, args: readonly string[], stderr: string, options?: ErrorOptions) {
    super(`Cannot run "${[command, ...args].join(' ')}": ${stderr.trim().slice(-500) || 'it failed without a message'}`, options)
    this.stderr = stderr
  }
}

// A kernel that does not answer within this time will not answer at all.
const timeoutMs = 30_000

/** Runs a program and gives its standard output. Throws a {@link CommandError}; on abort the program is ended and the abort's reason thrown. */
export const runCommand: RunCommand = (command, args, { input, signal } = {}) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs, signal })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', (cause: NodeJS.ErrnoException) => {
      if (signal?.aborted) return reject(signal.reason)
      reject(new CommandError(command, args, cause.code === 'ENOENT' ? `"${command}" is not installed` : cause.message, { cause }))
    })
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out).toString())
      else reject(new CommandError(command, args, Buffer.concat(err).toString()))
    })
    child.stdin.on('error', () => {}) // a program that ends before it read all says so by its exit
    child.stdin.end(input ?? '')
  })
