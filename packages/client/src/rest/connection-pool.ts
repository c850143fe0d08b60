import { isIP } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Clock } from '@k3s/lifecycle'
import { NotSent, type Connection, type WireRequest, type WireResponse } from './connection.ts'
import { Http1Connection } from './http1-connection.ts'
import { openHttp2 } from './http2-connection.ts'

/** PEM texts. Without `ca`, the system's roots are trusted. */
export interface TlsCredentials {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

export interface ConnectionPoolOptions {
  /** Scheme, host and port. */
  readonly origin: string
  /** Read before each new connection. */
  readonly credentials: () => Promise<TlsCredentials>
  readonly serverName: string | undefined
  readonly rejectUnauthorized: boolean
  readonly clock: Clock
  readonly connectMs: number
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
}

/** Connections to one server: usually a single HTTP/2 session, another when its streams are used up; opened when needed. */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions
  #connections: Connection[] = []
  #dialing: Promise<void> | undefined
  #closed = false

  constructor(options: ConnectionPoolOptions) {
    this.#options = options
  }

  /** Sends once more, on another connection, what a connection that was closing did not take. */
  async send(request: WireRequest): Promise<WireResponse> {
    for (let isRetry = false; ; isRetry = true) {
      let connection = this.#find()
      while (connection === undefined) {
        // Everybody who needs a connection now waits for the same one.
        this.#dialing ??= this.#dial().finally(() => (this.#dialing = undefined))
        await this.#dialing
        connection = this.#find()
      }
      try {
        // No await between finding the connection and sending: the room that was found is taken.
        return await connection.send(request)
      } catch (error) {
        if (isRetry || !(error instanceof NotSent)) throw error
        connection.retire()
      }
    }
  }

  /** Later requests open a new connection, with credentials read anew; those that run end where they are. */
  rotate(): void {
    for (const connection of this.#connections) connection.retire()
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#connections) connection.destroy()
    this.#connections = []
  }

  #find(): Connection | undefined {
    if (this.#closed) throw new Error('Transport is closed')
    this.#connections = this.#connections.filter(({ isUsable }) => isUsable)
    return this.#connections.find(({ hasRoom }) => hasRoom)
  }

  async #dial(): Promise<void> {
    const { origin, serverName, rejectUnauthorized, credentials } = this.#options
    const { ca, cert, key } = await credentials()
    const tls = {
      rejectUnauthorized,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    }
    const connection = await this.#open(origin, tls)
    if (this.#closed) connection.destroy()
    else this.#connections.push(connection)
  }

  async #open(origin: string, tls: ConnectionOptions): Promise<Connection> {
    if (origin.startsWith('http:')) return new Http1Connection(origin, {})
    const { connectMs, ...options } = this.#options
    const { hostname, port } = new URL(origin)
    const host = hostname.replace(/^\[|\]$/g, '')
    const socket = connectTls({
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...tls,
      host,
      port: Number(port || 443),
      ALPNProtocols: ['h2', 'http/1.1'],
    })
    const timer = setTimeout(() => socket.destroy(new Error(`No connection in ${connectMs} ms`)), connectMs)
    try {
      await secured(socket)
      if (socket.alpnProtocol === 'h2') return await openHttp2({ ...options, socket })
      socket.destroy()
      return new Http1Connection(origin, tls)
    } finally {
      clearTimeout(timer)
    }
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', () => {
      socket.setNoDelay(true)
      socket.off('error', reject)
      resolve()
    })
    socket.once('error', reject)
  })
}
