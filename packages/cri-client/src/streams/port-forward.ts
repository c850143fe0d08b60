import type { Duplex } from 'node:stream'
import { CriError } from '../errors.ts'
import { SpdySession } from './spdy-session.ts'
import { upgrade } from './upgrade.ts'

/** A connection into the sandbox's network. */
export interface ForwardedConnection {
  /** `end()` half-closes it. */
  readonly data: Duplex
  /** What the runtime says went wrong, as "connection refused"; empty when nothing did. Settles when the connection ends. */
  readonly error: Promise<string>
}

/** Any number of connections to ports of one sandbox. Disposing closes them all. */
export interface PortForwarder extends AsyncDisposable {
  /** A port that nobody listens on shows in `error`, and as an ended `data`. */
  connect(port: number, signal?: AbortSignal): Promise<ForwardedConnection>
  /** Resolves when the runtime has ended the session. */
  readonly closed: Promise<void>
}

const maxErrorBytes = 16 * 1024

/** Opens a URL of `CriClient.portForward` by SPDY/3.1, protocol `portforward.k8s.io`. Rejects with {@link CriError}. */
export async function openPortForward(url: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<PortForwarder> {
  const { socket, head, headers } = await upgrade(url, {
    headers: { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'portforward.k8s.io' },
    signal: options.signal,
  })
  const session = new SpdySession(socket, head)
  if (headers['x-stream-protocol-version'] !== 'portforward.k8s.io') {
    await session[Symbol.asyncDispose]()
    throw new CriError('UNIMPLEMENTED', 'Streaming server of the runtime does not speak portforward.k8s.io')
  }
  let requests = 0
  return {
    closed: session.closed,
    async connect(port, signal) {
      const common = { port: String(port), requestid: String(requests++) }
      // The runtime pairs them by request id and dials when it has both.
      const errors = await session.open({ ...common, streamtype: 'error' }, true, signal)
      try {
        const data = await session.open({ ...common, streamtype: 'data' }, false, signal)
        const error = readText(errors)
        error.catch(() => {}) // who wants it awaits it
        return { data, error }
      } catch (error) {
        errors.destroy()
        throw error
      }
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}

async function readText(stream: Duplex): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of stream) {
    const bytes = part as Buffer // no encoding is set
    size += bytes.length
    if (size <= maxErrorBytes) parts.push(bytes)
  }
  return Buffer.concat(parts).toString()
}
