import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { closeWhenIdle, http2ServerOptions } from '@k3s/apiserver'
import type { KeyPair } from '@k3s/pki'
import { listenError } from '../explain.ts'

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly serving: KeyPair
  readonly onRequest: (request: Http2ServerRequest, response: Http2ServerResponse) => void
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

export interface Listener {
  /** Stops accepting, and ends what is open once `close` is called again or it went idle. */
  close(): Promise<void>
}

/** The one port of a server: HTTP/2 and HTTP/1.1 over TLS, with client certificates asked for but not required. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { host, port } = options
  const server: Http2SecureServer = createSecureServer({
    ...options.serving,
    minVersion: 'TLSv1.2',
    ...http2ServerOptions,
  })
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Duplex>()
  server.on('session', (session) => {
    sessions.add(session)
    closeWhenIdle(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {}) // a client that went away
  })
  server.on('sessionError', () => {}) // as above
  server.on('tlsClientError', () => {}) // somebody who speaks no TLS
  server.on('request', options.onRequest)
  server.on('upgrade', options.onUpgrade)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(listenError({ host, port, portFlag: '--https-listen-port', addressFlag: '--bind-address' }, cause)),
    )
    server.listen(port, host, resolve)
  })
  server.on('error', () => {}) // of single connections
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const session of sessions) session.close()
      const force = setTimeout(() => {
        for (const session of sessions) session.destroy()
        for (const socket of sockets) socket.destroy()
      }, 1000)
      force.unref()
      await closed
      clearTimeout(force)
    },
  }
}
