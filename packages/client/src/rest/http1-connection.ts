import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { NotSent, type Connection, type WireRequest, type WireResponse } from './connection.ts'

/** HTTP/1.1 to `origin` through an agent of ours: a socket for each request that runs, idle ones kept for the next. */
export class Http1Connection implements Connection {
  readonly #url: URL
  readonly #agent: http.Agent
  #isUsable = true

  constructor(origin: string, tls: https.AgentOptions) {
    this.#url = new URL(origin)
    this.#agent = this.#url.protocol === 'https:' ? new https.Agent({ ...tls, keepAlive: true }) : new http.Agent({ keepAlive: true })
  }

  get isUsable(): boolean {
    return this.#isUsable
  }

  get hasRoom(): boolean {
    return true
  }

  async send({ method, path, headers, body, signal }: WireRequest): Promise<WireResponse> {
    signal?.throwIfAborted()
    const { request: start } = this.#url.protocol === 'https:' ? https : http
    const { hostname, port } = this.#url
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = start({
        agent: this.#agent,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        method,
        path,
        headers: body === undefined ? headers : { ...headers, 'content-length': String(body.byteLength) },
        ...(signal === undefined ? {} : { signal }),
      })
      request.once('response', resolve)
      request.once('error', (error: NodeJS.ErrnoException) => {
        // An idle socket that the server had closed already: it cannot have read the request.
        const isStale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
        reject(isStale ? new NotSent('Server had closed the connection', { cause: error }) : error)
      })
      request.end(body)
    })
    return { status: message.statusCode ?? 0, headers: message.headers, body: message }
  }

  retire(): void {
    this.#isUsable = false
    for (const sockets of Object.values(this.#agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  destroy(): void {
    this.#isUsable = false
    this.#agent.destroy()
  }
}
