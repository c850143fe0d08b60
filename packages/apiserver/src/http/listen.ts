import { createServer } from 'node:http'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import type { Server, Socket } from 'node:net'
import type { ApiServer, Listening, ListenOptions } from '../api-server.ts'

/** Opens a listener for HTTP/2 and HTTP/1.1 over TLS (client certificates asked for, not required), or for plain HTTP/1.1. */
export async function listen(server: Pick<ApiServer, 'handleRequest' | 'handleUpgrade'>, options: ListenOptions): Promise<Listening> {
  const { host = '127.0.0.1', port, tls } = options
  const listener: Server | Http2SecureServer =
    tls === undefined
      ? createServer((request, response) => server.handleRequest(request, response))
      : createSecureServer({ ...tls, allowHTTP1: true, requestCert: true, rejectUnauthorized: false }, (request, response) =>
          server.handleRequest(request, response),
        )
  const sockets = new Set<Socket>()
  listener.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  listener.on('upgrade', (request, socket, head) => server.handleUpgrade(request, socket, head))
  // A client that breaks the handshake is its own problem.
  listener.on('tlsClientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(port, host, () => {
      listener.off('error', reject)
      resolve()
    })
  })
  const address = listener.address()
  const boundPort = typeof address === 'object' && address !== null ? address.port : port
  const shownHost = host.includes(':') ? `[${host}]` : host
  return {
    host,
    port: boundPort,
    url: `${tls === undefined ? 'http' : 'https'}://${shownHost}:${boundPort}`,
    [Symbol.asyncDispose]: () => closeListener(listener, sockets),
  }
}

// Requests that are running get this long after the listener is closed.
const closeGraceMs = 2000

async function closeListener(listener: Server | Http2SecureServer, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
  const cut = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, closeGraceMs)
  if ('closeIdleConnections' in listener && typeof listener.closeIdleConnections === 'function') listener.closeIdleConnections()
  await closed
  clearTimeout(cut)
}
