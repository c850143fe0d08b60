import { createServer } from 'node:http'
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { Server, Socket } from 'node:net'
import type { ApiServer, Listening, ListenOptions } from '../api-server.ts'
import { closeWhenIdle } from './close-when-idle.ts'
import { http2Exchange } from './http2-exchange.ts'

/** A listener as the server that owns it sees it. */
export interface OwnListening extends Listening {
  /** Takes no more connections and tells clients to go; what is running goes on. */
  stop(): void
  /** Cuts what is left and resolves when the port is free. */
  cut(): Promise<void>
}

/**
 * What an API server's `createSecureServer` needs besides a certificate: both versions of HTTP, client certificates that are asked for and not required,
 * and requests and answers over HTTP/2 that are less than node's own: they have no more than what an API server uses.
 * Clients send all their requests over one HTTP/2 session, and node refuses new streams of one that holds more than `maxSessionMemory`
 * (in MB; 10 unless told): a client with a few large lists under way would get no more answers.
 */
export const http2ServerOptions: typeof http2Exchange & {
  readonly allowHTTP1: true
  readonly requestCert: true
  readonly rejectUnauthorized: false
  readonly maxSessionMemory: number
  readonly settings: { readonly maxConcurrentStreams: number }
} = {
  ...http2Exchange,
  allowHTTP1: true,
  requestCert: true,
  rejectUnauthorized: false,
  maxSessionMemory: 2048,
  // Upstream's --http2-max-streams-per-connection; node's own default has no bound.
  settings: { maxConcurrentStreams: 1000 },
}

// Requests that are running when a listener is disposed of get this long.
const closeGraceMs = 2000

/** Opens a listener for HTTP/2 and HTTP/1.1 over TLS (client certificates asked for, not required), or for plain HTTP/1.1. */
export async function listen(server: Pick<ApiServer, 'handleRequest' | 'handleUpgrade'>, options: ListenOptions): Promise<OwnListening> {
  const { host = '127.0.0.1', port, tls } = options
  const listener: Server | Http2SecureServer =
    tls === undefined
      ? createServer((request, response) => server.handleRequest(request, response))
      : createSecureServer({ ...tls, ...http2ServerOptions }, (request, response) => server.handleRequest(request, response))
  const sockets = new Set<Socket>()
  const sessions = new Set<ServerHttp2Session>()
  listener.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  listener.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    closeWhenIdle(session)
    session.on('error', () => session.destroy())
    session.on('close', () => sessions.delete(session))
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
  const closed = Promise.withResolvers<void>()
  let isStopped = false
  const own: OwnListening = {
    host,
    port: boundPort,
    url: `${tls === undefined ? 'http' : 'https'}://${shownHost}:${boundPort}`,
    stop: () => {
      if (isStopped) return
      isStopped = true
      listener.close(() => closed.resolve())
      for (const session of sessions) session.close()
    },
    cut: () => {
      own.stop()
      for (const socket of sockets) socket.destroy()
      return closed.promise
    },
    [Symbol.asyncDispose]: async () => {
      own.stop()
      const timer = setTimeout(() => void own.cut(), closeGraceMs) // its promise is awaited below
      await closed.promise
      clearTimeout(timer)
    },
  }
  return own
}
