import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import type { CallOptions } from './contract.ts'
import { CriError } from './errors.ts'
import { frame, FrameReader } from './grpc-frames.ts'
import { decodeStatusMessage, statusName } from './grpc-status.ts'

// What the kubelet allows: ExecSync output and long lists must fit.
const maxMessageBytes = 16 * 1024 * 1024

/**
 * gRPC calls over HTTP/2 on one Unix socket.
 *
 * It connects when a call needs it, so a call after a restart of the server reaches the new one: there is no back-off
 * that would outlive the outage, since connecting to a local socket costs nothing and answers at once.
 */
export class GrpcConnection implements AsyncDisposable {
  readonly #path: string
  #session: ClientHttp2Session | undefined
  #isClosed = false

  constructor(path: string) {
    this.#path = path
  }

  /** One request, one response. */
  async unary(method: string, request: Uint8Array, options: CallOptions): Promise<Buffer> {
    let response: Buffer | undefined
    for await (const message of this.stream(method, request, options)) response ??= message
    if (response === undefined) throw new CriError('INTERNAL', `${method} answered OK without a message`)
    return response
  }

  /** One request, any number of responses; leaving the loop cancels the call. Reads ahead no more than a flow-control window. */
  async *stream(method: string, request: Uint8Array, { signal, timeoutMs = 0 }: CallOptions): AsyncGenerator<Buffer, void, void> {
    signal?.throwIfAborted()
    const stream = this.#open(method, timeoutMs)
    let failure: Error | undefined
    let headers: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders | undefined
    const fail = (error: Error): void => {
      failure ??= error
      stream.close(constants.NGHTTP2_CANCEL)
      stream.destroy()
    }
    const onAbort = (): void => fail(new CriError('CANCELLED', `${method} was aborted`))
    const timer =
      timeoutMs > 0
        ? setTimeout(() => fail(new CriError('DEADLINE_EXCEEDED', `${method} took longer than ${timeoutMs} ms`)), timeoutMs)
        : undefined
    signal?.addEventListener('abort', onAbort, { once: true })
    stream.on('response', (received) => (headers = received))
    stream.on('trailers', (received) => (trailers = received))
    stream.on('error', () => {}) // the loop below gets it too, unless it is at a yield
    stream.end(frame(request))
    const reader = new FrameReader(maxMessageBytes)
    try {
      for await (const chunk of stream) for (const message of reader.push(chunk as Buffer)) yield message // no encoding is set
      signal?.throwIfAborted()
      if (failure !== undefined) throw failure
      throwStatus(method, headers, trailers ?? headers)
    } catch (error) {
      signal?.throwIfAborted()
      if (failure !== undefined) throw failure
      if (error instanceof CriError) throw error
      throw this.#unavailable(error)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
      stream.destroy()
    }
  }

  /** Ends open calls with `UNAVAILABLE`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    const session = this.#session
    if (session === undefined || session.destroyed) return
    const closed = new Promise((resolve) => session.once('close', resolve))
    session.destroy()
    await closed
  }

  #open(method: string, timeoutMs: number): ClientHttp2Stream {
    if (this.#isClosed) throw new CriError('UNAVAILABLE', `Client of "unix://${this.#path}" is closed`)
    try {
      return this.#connect().request({
        ':method': 'POST',
        ':path': method,
        'content-type': 'application/grpc',
        te: 'trailers',
        // At most eight digits are allowed.
        ...(timeoutMs > 0 ? { 'grpc-timeout': timeoutMs < 1e8 ? `${Math.ceil(timeoutMs)}m` : `${Math.ceil(timeoutMs / 1000)}S` } : {}),
      })
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  #connect(): ClientHttp2Session {
    let session = this.#session
    if (session !== undefined && !session.closed && !session.destroyed) return session
    session = connectHttp2('http://localhost', { createConnection: () => connectSocket(this.#path) })
    session.on('error', () => {}) // each call on it fails with the same error
    session.on('goaway', () => session.close())
    this.#session = session
    return session
  }

  #unavailable(cause: unknown): CriError {
    const reason = cause instanceof Error ? cause.message : String(cause)
    return new CriError('UNAVAILABLE', `Cannot reach container runtime at "unix://${this.#path}": ${reason}`, { cause })
  }
}

function throwStatus(method: string, headers: IncomingHttpHeaders, trailers: IncomingHttpHeaders): void {
  const status = trailers['grpc-status']
  if (typeof status !== 'string') {
    const http = String(headers[':status'] ?? '')
    if (http === '' || http === '200') throw new CriError('UNAVAILABLE', `${method} ended without a status`)
    throw new CriError('UNKNOWN', `${method} answered HTTP ${http}`)
  }
  const code = statusName(status)
  if (code === 'OK') return
  const details = decodeStatusMessage(String(trailers['grpc-message'] ?? ''))
  throw new CriError(code, `${method.slice(method.lastIndexOf('/') + 1)} failed: ${details}`, { details })
}
