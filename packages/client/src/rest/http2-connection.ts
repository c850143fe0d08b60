import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '@k3s/lifecycle'
import { NotSent, type Connection, type WireRequest, type WireResponse } from './connection.ts'

export interface Http2Options {
  readonly origin: string
  readonly socket: TLSSocket
  readonly clock: Clock
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
}

// Many watches share a session: a stream's window holds the largest object, the session's so many that a few slow readers block nobody.
const streamWindowBytes = 1 << 20
const sessionWindowBytes = 32 << 20

/** Speaks HTTP/2 on a TLS socket that has agreed to it. Resolves when the server's settings are known; takes the socket over in any case. */
export async function openHttp2(options: Http2Options): Promise<Connection> {
  const session = connect(options.origin, {
    createConnection: () => options.socket,
    settings: { enablePush: false, initialWindowSize: streamWindowBytes },
  })
  try {
    await new Promise<void>((resolve, reject) => {
      session.once('remoteSettings', () => resolve())
      session.once('error', reject)
      session.once('close', () => reject(new Error('HTTP/2 session was closed before it began')))
    })
  } catch (error) {
    session.destroy()
    throw error
  }
  session.setLocalWindowSize(sessionWindowBytes)
  return new Http2Connection(session, options)
}

class Http2Connection implements Connection {
  readonly #session: ClientHttp2Session
  readonly #stopPings = new AbortController()
  #open = 0
  /** As the server last said: the session's own `remoteSettings` may stay at what they were when first read. */
  #maxStreams: number
  #isRetired = false

  constructor(session: ClientHttp2Session, options: Http2Options) {
    this.#session = session
    this.#maxStreams = session.remoteSettings.maxConcurrentStreams ?? Infinity
    session.on('remoteSettings', ({ maxConcurrentStreams = Infinity }) => (this.#maxStreams = maxConcurrentStreams))
    // What breaks the session breaks its streams, whose readers are told.
    session.on('error', () => {})
    session.on('goaway', () => this.retire())
    session.on('close', () => this.#stopPings.abort())
    // Owned by the session: ends when it closes.
    void this.#keepAlive(options)
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.#session.closed && !this.#session.destroyed
  }

  get hasRoom(): boolean {
    return this.#open < this.#maxStreams
  }

  async send({ method, path, headers, body, signal }: WireRequest): Promise<WireResponse> {
    signal?.throwIfAborted()
    let stream: ClientHttp2Stream
    try {
      stream = this.#session.request({ ...headers, ':method': method, ':path': path }, { endStream: body === undefined })
    } catch (cause) {
      throw new NotSent('HTTP/2 session takes no more requests', { cause })
    }
    this.#open++
    const onAbort = (): void => {
      stream.close(constants.NGHTTP2_CANCEL)
      stream.destroy(signal?.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal?.reason }))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    stream.once('close', () => {
      this.#open--
      signal?.removeEventListener('abort', onAbort)
    })
    // After the head has come the reader of the body is told; nobody else needs to know.
    stream.on('error', () => {})
    if (body !== undefined) stream.end(body)
    const head = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
      stream.once('response', resolve)
      stream.once('error', (error) => reject(failureOf(stream, error)))
      stream.once('close', () => reject(failureOf(stream, new Error('HTTP/2 stream was closed without an answer'))))
    })
    return { status: Number(head[':status']), headers: head, body: readBody(stream) }
  }

  retire(): void {
    if (this.#isRetired) return
    this.#isRetired = true
    if (!this.#session.destroyed) this.#session.close()
  }

  destroy(): void {
    this.#isRetired = true
    this.#session.destroy()
  }

  /** A dead peer is noticed though nothing is sent: its watches would wait forever. */
  async #keepAlive({ clock, pingIntervalMs, pingTimeoutMs }: Http2Options): Promise<void> {
    const { signal } = this.#stopPings
    try {
      for (;;) {
        await clock.sleep(pingIntervalMs, signal)
        const answered = new AbortController()
        const isSent = this.#session.ping(() => answered.abort())
        if (!isSent) continue
        await clock.sleep(pingTimeoutMs, AbortSignal.any([signal, answered.signal])).then(
          () => this.#session.destroy(new Error(`No answer to a ping in ${pingTimeoutMs} ms`)),
          () => {},
        )
      }
    } catch {
      // The session closed: nothing is left to be kept alive.
    }
  }
}

/**
 * The chunks of a stream. Not the stream's own iterator: that takes one which is closed already, while its last bytes wait to be read, for one that
 * was cut short. And one that the loss of its session did cut short ends like a complete one, but is closed with a code.
 */
async function* readBody(stream: ClientHttp2Stream): AsyncGenerator<Uint8Array, void, void> {
  let wake = (): void => {}
  const onEvent = (): void => wake()
  const events = ['readable', 'end', 'close', 'error'] as const
  for (const event of events) stream.on(event, onEvent)
  try {
    for (;;) {
      // No await between the read that finds nothing and the wait for an event: none is missed.
      const chunk = stream.read() as Uint8Array | null // no encoding is set
      if (chunk !== null) yield chunk
      else if (stream.readableEnded || stream.destroyed) break
      else await new Promise<void>((resolve) => (wake = resolve))
    }
    while (!stream.closed) await new Promise<void>((resolve) => (wake = resolve))
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error(`HTTP/2 stream was closed before its end (code ${stream.rstCode})`)
  } finally {
    for (const event of events) stream.off(event, onEvent)
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
  }
}

function failureOf(stream: ClientHttp2Stream, cause: Error): Error {
  if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || ('code' in cause && cause.code === 'ERR_HTTP2_GOAWAY_SESSION'))
    return new NotSent('Server refused the stream', { cause })
  return cause
}
