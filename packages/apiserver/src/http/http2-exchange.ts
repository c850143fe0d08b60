import type { OutgoingHttpHeaders } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'

const ignore = (): void => {}

/**
 * A request over HTTP/2. Node's own is a stream beside the stream that it came by, and listens to all that happens to that one: making it takes longer
 * than most requests need. This one has what an API server and the handlers beside it use; whoever wants a stream takes `stream`.
 */
class StreamRequest {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _options: unknown, rawHeaders: readonly string[]) {
    this.stream = stream
    this.headers = headers
    this.rawHeaders = rawHeaders
    // What breaks a stream closes it, too, and that is listened to.
    stream.on('error', ignore)
  }

  get method(): string | undefined {
    return this.headers[':method']
  }

  get url(): string | undefined {
    return this.headers[':path']
  }

  /** The body was read, or there will be none. */
  get complete(): boolean {
    const { readableEnded, closed, destroyed } = this.stream
    return readableEnded || closed || destroyed
  }

  /** The body. Whoever stops reading it can answer all the same. */
  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return this.stream.iterator({ destroyOnReturn: false })
  }
}

/** The answer to a {@link StreamRequest}: all of its events are those of the stream. */
class StreamResponse {
  statusCode = 200
  readonly stream: ServerHttp2Stream
  readonly #headers: OutgoingHttpHeaders = {}

  constructor(stream: ServerHttp2Stream) {
    this.stream = stream
  }

  get headersSent(): boolean {
    return this.stream.headersSent
  }

  get destroyed(): boolean {
    return this.stream.destroyed
  }

  get writableEnded(): boolean {
    return this.stream.writableEnded
  }

  get writableFinished(): boolean {
    return this.stream.writableFinished
  }

  setHeader(name: string, value: number | string | readonly string[]): this {
    this.#headers[name] = typeof value === 'object' ? [...value] : value
    return this
  }

  /** Sends the headers, unless the client has gone. */
  writeHead(code: number, headers?: OutgoingHttpHeaders): this {
    this.statusCode = code
    const { stream } = this
    if (!stream.closed && !stream.destroyed) stream.respond({ ':status': code, ...this.#headers, ...headers })
    return this
  }

  writeContinue(): void {
    this.stream.additionalHeaders({ ':status': 100 })
  }

  write(chunk: Uint8Array | string): boolean {
    return this.stream.write(chunk)
  }

  end(chunk?: Uint8Array | string): this {
    if (!this.headersSent) this.writeHead(this.statusCode)
    if (!this.stream.writableEnded) this.stream.end(chunk)
    return this
  }

  destroy(error?: Error): void {
    this.stream.destroy(error)
  }

  on(event: string, listener: () => void): this {
    this.stream.on(event, listener)
    return this
  }

  once(event: string, listener: () => void): this {
    this.stream.once(event, listener)
    return this
  }
}

/** For `createSecureServer`: what it makes of each HTTP/2 stream. */
export const http2Exchange: {
  readonly Http2ServerRequest: typeof Http2ServerRequest
  readonly Http2ServerResponse: typeof Http2ServerResponse
} = {
  // Those that get them ask for no more than these have.
  Http2ServerRequest: StreamRequest as unknown as typeof Http2ServerRequest,
  Http2ServerResponse: StreamResponse as unknown as typeof Http2ServerResponse,
}
