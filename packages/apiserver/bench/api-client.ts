import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'

/** Where a server is, and who asks. */
export interface Address {
  readonly url: string
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface Reply {
  readonly status: number
  readonly body: Buffer
}

/** One client: an HTTP/2 connection of its own, as client-go has. */
export class ApiClient {
  readonly #session: ClientHttp2Session

  constructor({ url, ca, cert, key }: Address) {
    this.#session = connect(url, { ca, cert, key, settings: { initialWindowSize: 4 * 1024 * 1024 } })
    // As client-go: what is on its way is bounded by streams, not by the connection.
    this.#session.once('connect', () => this.#session.setLocalWindowSize(2 ** 30))
    // Each request tells of it.
    this.#session.on('error', () => {})
  }

  ask(method: string, path: string, body?: string, contentType = 'application/json'): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const stream = this.#open(method, path, contentType)
      const chunks: Buffer[] = []
      let status = 0
      stream.on('response', (headers) => (status = headers[':status'] ?? 0))
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', reject)
      stream.on('end', () => resolve({ status, body: Buffer.concat(chunks) }))
      stream.on('close', () => reject(new Error('The connection was cut')))
      stream.end(body)
    })
  }

  /** Resolves when the watch has begun; `onData` gets what comes. */
  watch(path: string, onData: (chunk: Buffer) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream = this.#open('GET', path, 'application/json')
      stream.on('error', reject)
      stream.on('response', (headers) => (headers[':status'] === 200 ? resolve() : reject(new Error(`Status ${headers[':status']}`))))
      stream.on('data', onData)
      stream.end()
    })
  }

  close(): void {
    this.#session.destroy()
  }

  #open(method: string, path: string, contentType: string): ClientHttp2Stream {
    return this.#session.request(
      { ':method': method, ':path': path, 'content-type': contentType, accept: 'application/json' },
      { endStream: false },
    )
  }
}
