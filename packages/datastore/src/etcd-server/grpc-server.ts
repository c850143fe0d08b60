/**
 * gRPC over node:http2, as much as etcd's API needs: unary calls, streams, statuses. Beside gRPC, plain GET requests over HTTP/1 and HTTP/2.
 *
 * Not grpc-js: a create costs 30 % less time of the processor, plain HTTP requests share the port, and connections can be read before nghttp2 does (ADR 5).
 */
import { createServer as createHttpServer } from 'node:http'
import type { Server as HttpServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { createServer as createTcpServer } from 'node:net'
import type { Server as NetServer, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Logger } from '@k3s/lifecycle'
import { releaseBytes } from '../bytes.ts'
import { admit } from './authority.ts'
import { etcdErrors, GrpcError, grpcCodes, toGrpcError } from './grpc-error.ts'
import { finishFrame, framePrefixBytes, openGrpcStream, readFrameLength } from './grpc-stream.ts'
import type { GrpcStream } from './grpc-stream.ts'

/** One method: a unary one takes a message and answers a frame, that is a message after {@link framePrefixBytes} bytes of headroom, which is the server's from then on. */
export type GrpcMethod =
  | { readonly kind: 'unary'; readonly answer: (message: Buffer) => Promise<Buffer> }
  | { readonly kind: 'stream'; readonly serve: (stream: GrpcStream) => Promise<void> }

export interface HttpAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

export interface GrpcServerOptions {
  /** The method of a path; undefined: there is none. */
  readonly findMethod: (path: string) => GrpcMethod | undefined
  /** Answers a plain GET; undefined: not found. */
  readonly answerHttp: (path: string) => Promise<HttpAnswer | undefined>
  /** PEM. With `ca` clients must show a certificate of it. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer; readonly ca?: string | Buffer | undefined } | undefined
  /** Bytes of one message. */
  readonly maxMessageBytes: number
  /** How long calls may go on when the server stops, milliseconds. */
  readonly graceMs: number
  readonly logger: Logger
}

/** What one connection may have on the way to us before it must wait: many clients' requests at once. */
const connectionWindowBytes = 16 * 2 ** 20
/** What one stream may: a large request in one go. */
const streamWindowBytes = 2 * 2 ** 20
/** Node counts what a connection holds, answers on the way included, and refuses streams beyond this; MB. The default of 10 is less than two large lists. */
const maxSessionMemory = 1024
/** A client may give up many calls at once, as an API server does when its own clients go; Node's default takes that for an attack. */
const streamResets = { streamResetBurst: 100_000, streamResetRate: 10_000 }

const grpcContentType = 'application/grpc'
const okHeaders = { ':status': 200, 'content-type': grpcContentType } as const
const okTrailers = { 'grpc-status': '0' } as const

export class GrpcServer implements AsyncDisposable {
  readonly #options: GrpcServerOptions
  readonly #front: NetServer
  readonly #http2: Http2Server
  readonly #http1: HttpServer
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #stopping = new AbortController()
  #stopped: Promise<void> | undefined

  constructor(options: GrpcServerOptions) {
    this.#options = options
    this.#http2 = createHttp2Server({
      maxSessionMemory,
      ...streamResets,
      settings: { initialWindowSize: streamWindowBytes, maxConcurrentStreams: 2 ** 31 - 1 },
    })
    this.#http2.on('session', (session) => {
      this.#sessions.add(session)
      session.setLocalWindowSize(connectionWindowBytes)
      session.on('close', () => this.#sessions.delete(session)).on('error', () => {}) // its streams see the end
      if (this.#stopping.signal.aborted) session.close()
    })
    this.#http2.on('stream', (stream, headers) => this.#onStream(stream, headers))
    this.#http1 = createHttpServer((request, response) => {
      void this.#answerPlain(request.method, request.url).then(({ status, contentType, body }) =>
        response.writeHead(status, { 'content-type': contentType }).end(body),
      )
    })
    this.#front = this.#createFront()
  }

  /** Listens; resolves with the port, 0 for a socket's path. Rejects with the system's error. */
  listen(address: { readonly host: string; readonly port: number } | { readonly path: string }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#front.once('error', reject).listen(address, () => {
        this.#front.off('error', reject)
        const bound = this.#front.address()
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0)
      })
    })
  }

  /**
   * 1. No connection is taken any more. 2. Streams are ended with `Unavailable`, which makes clients go on elsewhere. 3. Calls are answered, up to the grace time.
   * 4. What is left is cut off.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#front.listening) this.#front.close(() => resolve())
      else resolve()
    })
    this.#stopping.abort(etcdErrors.stopped())
    for (const session of this.#sessions) session.close()
    this.#http1.closeIdleConnections()
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, this.#options.graceMs)
    await closed // which waits for the connections
    clearTimeout(cut)
  }

  #createFront(): NetServer {
    const { tls } = this.#options
    const track = (socket: Socket): void => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {}) // the close follows
    }
    if (tls === undefined)
      return createTcpServer({ noDelay: true }, (socket) => {
        track(socket)
        // HTTP/2 begins with "PRI"; no method of HTTP/1 that we answer begins with a P.
        socket.once('data', (chunk: Buffer) => this.#dispatch(socket, chunk, chunk[0] === 0x50))
      })
    const { cert, key, ca } = tls
    const options = {
      cert,
      key,
      ca,
      requestCert: ca !== undefined,
      rejectUnauthorized: ca !== undefined,
      ALPNProtocols: ['h2', 'http/1.1'],
    }
    const server = createTlsServer({ ...options, minVersion: 'TLSv1.2', noDelay: true }, (socket) => {
      track(socket)
      socket.once('data', (chunk: Buffer) => this.#dispatch(socket, chunk, socket.alpnProtocol === 'h2'))
    })
    return server.on('tlsClientError', (error) => this.#options.logger.debug({ err: error }, 'A client failed the TLS handshake'))
  }

  /** Hands a connection, of which `first` was read, to the server of its protocol. */
  #dispatch(socket: Socket, first: Buffer, isHttp2: boolean): void {
    socket.pause()
    if (isHttp2) {
      admit(socket, first, (read) => {
        socket.unshift(read)
        this.#http2.emit('connection', socket)
      })
      socket.resume()
    } else {
      socket.unshift(first)
      this.#http1.emit('connection', socket)
      socket.resume()
    }
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => {}) // a client that resets it; the close follows
    const path = headers[':path']
    if (headers['content-type']?.startsWith(grpcContentType) !== true || typeof path !== 'string') {
      void this.#answerPlain(headers[':method'], headers[':path']).then(({ status, contentType, body }) => {
        if (!stream.destroyed) stream.respond({ ':status': status, 'content-type': contentType })
        if (!stream.destroyed) stream.end(body)
      })
      return
    }
    const method = this.#options.findMethod(path)
    if (method === undefined) {
      const [, service = '', name = ''] = path.split('/')
      return refuse(stream, new GrpcError('unimplemented', `unknown method ${name} for service ${service}`))
    }
    if (method.kind === 'unary') this.#readUnary(stream, method.answer)
    // Never rejects.
    else void this.#serveStream(stream, method.serve)
  }

  #readUnary(stream: ServerHttp2Stream, answer: (message: Buffer) => Promise<Buffer>): void {
    const { maxMessageBytes } = this.#options
    const chunks: Buffer[] = []
    let size = 0
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxMessageBytes + framePrefixBytes) chunks.push(chunk)
      // The prefix, which tells how large the message is, is in the first chunk.
      else refuse(stream, tooLarge(chunks[0] ?? chunk, maxMessageBytes))
    })
    stream.on('end', () => {
      let message: Buffer
      try {
        const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
        if (body.length < framePrefixBytes) throw new GrpcError('internal', 'grpc: the request has no message')
        const length = readFrameLength(body, maxMessageBytes)
        if (body.length !== framePrefixBytes + length) throw new GrpcError('internal', 'grpc: the request is not one message')
        // A copy, because a chunk is a window on everything that the connection has just read.
        message = Buffer.from(body.subarray(framePrefixBytes))
      } catch (error) {
        return refuse(stream, toGrpcError(error))
      }
      answer(message).then(
        (frame) => respond(stream, frame),
        (error: unknown) => refuse(stream, this.#explain(error)),
      )
    })
  }

  async #serveStream(stream: ServerHttp2Stream, serve: (stream: GrpcStream) => Promise<void>): Promise<void> {
    const closed = new AbortController()
    const onStop = (): void => closed.abort(this.#stopping.signal.reason)
    stream.on('close', () => closed.abort(etcdErrors.stopped()))
    this.#stopping.signal.addEventListener('abort', onStop)
    if (this.#stopping.signal.aborted) onStop()
    let trailers: Record<string, string> = okTrailers
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    stream.respond(okHeaders, { waitForTrailers: true })
    try {
      await serve(openGrpcStream(stream, closed.signal, this.#options.maxMessageBytes))
      if (this.#stopping.signal.aborted) throw this.#stopping.signal.reason
    } catch (error) {
      if (!stream.destroyed) trailers = trailersOf(this.#explain(error))
    } finally {
      this.#stopping.signal.removeEventListener('abort', onStop)
      if (!stream.destroyed) {
        stream.end()
        // What the client still sends is of no interest; unread it would hold the stream open.
        stream.resume()
      }
    }
  }

  async #answerPlain(method: string | undefined, path: string | undefined): Promise<HttpAnswer> {
    try {
      const answer = method === 'GET' ? await this.#options.answerHttp((path ?? '').split('?', 1)[0] ?? '') : undefined
      return answer ?? { status: 404, contentType: 'text/plain; charset=utf-8', body: '404 page not found\n' }
    } catch (error) {
      return { status: 500, contentType: 'text/plain; charset=utf-8', body: `${toGrpcError(error).message}\n` }
    }
  }

  #explain(error: unknown): GrpcError {
    const explained = toGrpcError(error)
    if (explained.code === grpcCodes.unknown) this.#options.logger.error({ err: error }, 'A call failed')
    return explained
  }
}

function respond(stream: ServerHttp2Stream, frame: Buffer): void {
  if (stream.closed || stream.destroyed) return
  stream.on('wantTrailers', () => stream.sendTrailers(okTrailers))
  stream.respond(okHeaders, { waitForTrailers: true })
  // Called when the frame is with the system, and not before; after an error it is the collector's.
  stream.end(finishFrame(frame), (error?: Error | null) => {
    if (!error) releaseBytes(frame)
  })
}

function refuse(stream: ServerHttp2Stream, error: GrpcError): void {
  if (stream.closed || stream.destroyed || stream.headersSent) return
  stream.respond({ ...okHeaders, ...trailersOf(error) }, { endStream: true })
  stream.resume()
}

function trailersOf({ code, message }: GrpcError): Record<string, string> {
  return { 'grpc-status': String(code), 'grpc-message': percentEncode(message) }
}

/** gRPC's encoding of a message: everything but printable ASCII, and "%", in percent form. */
function percentEncode(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text))
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return encoded
}

function tooLarge(body: Buffer, maxBytes: number): GrpcError {
  const length = body.length >= framePrefixBytes ? body.readUInt32BE(1) : body.length
  return new GrpcError('resourceExhausted', `grpc: received message larger than max (${length} vs. ${maxBytes})`)
}
