import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

/** Where a server listens, and as whom to ask it. */
export interface Target {
  readonly name: string
  readonly url: string
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
  readonly token?: string | undefined
}

/** What came back, as it came. */
export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

export interface Ask {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | undefined
  /** Hang up after so many lines. */
  readonly lines?: number | undefined
}

// A watch without an end is a bug of a case.
const patienceMs = 20_000

/** Asks one server over connections that are kept. */
export class Client implements Disposable {
  readonly #target: Target
  readonly #agent: HttpAgent | HttpsAgent

  constructor(target: Target) {
    this.#target = target
    this.#agent = target.tls === undefined ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ keepAlive: true, ...target.tls })
  }

  /** Rejects when the server cannot be reached or does not end its answer in twenty seconds. */
  ask({ method, path, headers, body, lines }: Ask): Promise<RawAnswer> {
    const { url, tls, token } = this.#target
    return new Promise((resolve, reject) => {
      const send = tls === undefined ? httpRequest : httpsRequest
      const all: OutgoingHttpHeaders = { 'user-agent': 'difference/1', accept: 'application/json', ...headers }
      if (token !== undefined) all['authorization'] ??= `Bearer ${token}`
      if (body !== undefined) all['content-length'] = String(Buffer.byteLength(body))
      const { hostname, port } = new URL(url)
      const request = send({
        host: hostname,
        port,
        path,
        method,
        agent: this.#agent,
        headers: all,
        signal: AbortSignal.timeout(patienceMs),
      })
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        let seen = 0
        const end = (): void =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() })
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          if (lines === undefined) return
          seen += chunk.toString('latin1').split('\n').length - 1
          if (seen < lines) return
          end()
          request.destroy()
        })
        response.on('end', end)
        response.on('error', reject)
      })
      request.on('error', (error) => reject(new Error(`${method} ${path}: ${error.message}`, { cause: error })))
      request.end(body)
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
