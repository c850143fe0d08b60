import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'

export interface ExecOptions {
  readonly input?: string | Buffer | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Default 60 s; then the program is killed and the call fails. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ExecResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>> | undefined
  /** On the machine of the caller; both outputs are appended. */
  readonly logFile: string
}

/** A program that runs on a host. */
export interface HostProcess {
  /** As the caller's machine numbers it: of the program that entered the host. */
  readonly pid: number
  readonly exited: Promise<number | string>
  kill(signal: NodeJS.Signals): void
}

/** A machine to run things on. */
export interface Host extends AsyncDisposable {
  readonly name: string
  /** Its address towards the other hosts. */
  readonly ip: string
  /** Runs a program to its end. Never throws for an exit code; does for a program that cannot be started or runs too long. */
  exec(command: string, args: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** Starts a program that goes on. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): HostProcess
  /** The host's file as a path of the caller's machine. */
  path(file: string): string
  /** Drops every TCP connection that others open to this host, as an edge firewall does; UDP to the listed ports stays open. */
  closeInbound(options: { readonly openUdpPorts: readonly number[] }): Promise<void>
  /** Takes its network cable out, or puts it back. */
  setCable(state: 'in' | 'out'): Promise<void>
  /** Power off and on: all processes end at once, files stay. */
  reboot(): Promise<void>
}

/** The output of a child as text. */
export async function readAll(stream: Readable | null): Promise<string> {
  if (stream === null) return ''
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer) // no encoding was set
  return Buffer.concat(chunks).toString()
}

/** Waits for a child's end. */
export function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })
}
