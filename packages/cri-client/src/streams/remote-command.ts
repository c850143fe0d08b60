import type { Duplex, Readable, Writable } from 'node:stream'
import { CriError } from '../errors.ts'
import { SpdySession } from './spdy-session.ts'
import { upgrade } from './upgrade.ts'

/** What was asked for in the `exec` or `attach` request that gave the URL: the runtime waits for exactly these. */
export interface OpenStreamsOptions {
  readonly stdin?: boolean | undefined
  readonly stdout?: boolean | undefined
  readonly stderr?: boolean | undefined
  readonly tty?: boolean | undefined
  /** Until the streams are open; abort closes what was opened. */
  readonly signal?: AbortSignal | undefined
}

/** How a command ended. */
export interface StreamStatus {
  /** The runtime's `Status` object as it came, for who forwards it. */
  readonly json: Buffer
  readonly isSuccess: boolean
  /** 0 for success; absent for a failure that is not the command's own. */
  readonly exitCode: number | undefined
  readonly message: string
}

/**
 * The streams of an `exec` or `attach`. All readable ones must be read: they share one connection without flow
 * control of their own. Disposing closes the connection; a command of `exec` is not killed by it.
 */
export interface RuntimeStreams extends AsyncDisposable {
  /** `end()` is the end of input for the process. */
  readonly stdin: Writable | undefined
  /** Destroyed with an error when the connection breaks. */
  readonly stdout: Readable | undefined
  readonly stderr: Readable | undefined
  /** Sets the terminal's size in characters; only with `tty`. */
  resize(columns: number, rows: number): void
  /** Settles when the command has ended or, for `attach`, the container; rejects with `UNAVAILABLE` when the connection breaks first. */
  readonly status: Promise<StreamStatus>
}

const maxStatusBytes = 64 * 1024

/** Opens a URL of `CriClient.exec` or `.attach` by SPDY/3.1, protocol `v4.channel.k8s.io`. Rejects with {@link CriError}. */
export async function openStreams(url: string, options: OpenStreamsOptions): Promise<RuntimeStreams> {
  const { signal } = options
  const { socket, head, headers } = await upgrade(url, {
    headers: { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v4.channel.k8s.io' },
    signal,
  })
  const session = new SpdySession(socket, head)
  try {
    if (headers['x-stream-protocol-version'] !== 'v4.channel.k8s.io')
      throw new CriError('UNIMPLEMENTED', 'Streaming server of the runtime does not speak v4.channel.k8s.io')
    const open = async (type: string, isReadOnly: boolean, isWanted = true): Promise<Duplex | undefined> =>
      isWanted ? session.open({ streamtype: type }, isReadOnly, signal) : undefined
    const tty = options.tty ?? false
    const [error, stdin, stdout, stderr, resizing] = await Promise.all([
      open('error', true),
      open('stdin', false, options.stdin ?? false),
      open('stdout', true, options.stdout ?? false),
      open('stderr', true, (options.stderr ?? false) && !tty),
      open('resize', false, tty),
    ])
    stdin?.resume() // the peer sends nothing on it but its end
    resizing?.resume()
    const status = readStatus(error)
    status.catch(() => {}) // who wants it awaits it
    return {
      stdin,
      stdout,
      stderr,
      status,
      resize: (columns, rows) => {
        if (resizing?.writable === true) resizing.write(`${JSON.stringify({ Width: columns, Height: rows })}\n`)
      },
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    }
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

async function readStatus(stream: Readable | undefined): Promise<StreamStatus> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of stream ?? []) {
    const bytes = part as Buffer // no encoding is set
    size += bytes.length
    if (size <= maxStatusBytes) parts.push(bytes)
  }
  const json = Buffer.concat(parts)
  if (json.length === 0) throw new CriError('UNAVAILABLE', 'Runtime ended the streams without a status')
  return parseStatus(json)
}

/** Reads a `Status` of the error stream; text that is none counts as a failure with that message. */
export function parseStatus(json: Buffer): StreamStatus {
  let parsed: unknown
  try {
    parsed = JSON.parse(json.toString())
  } catch {
    return { json, isSuccess: false, exitCode: undefined, message: json.toString() } // older protocols send plain text
  }
  const { status, message, details } = (parsed ?? {}) as {
    readonly status?: unknown
    readonly message?: unknown
    readonly details?: { readonly causes?: readonly { readonly reason?: unknown; readonly message?: unknown }[] }
  } // checked where used
  const isSuccess = status === 'Success'
  const exitCause = details?.causes?.find(({ reason }) => reason === 'ExitCode')
  const exitCode = isSuccess ? 0 : exitCause === undefined ? undefined : Number(exitCause.message)
  return { json, isSuccess, exitCode, message: typeof message === 'string' ? message : '' }
}
