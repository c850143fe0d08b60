import type { IncomingMessage } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import type { UpgradeRequest } from './proxy-upgrade.ts'

// kubectl sends at most 32 KiB at once; other clients have the limit that browsers' libraries tend to have.
const maxMessageBytes = 16 * 1024 * 1024
// For a client that does not answer our close.
const closeTimeoutMs = 5000

/** The subprotocols that a WebSocket request offers, in the client's order; `undefined` for other upgrades. */
export function offeredProtocols(request: IncomingMessage): readonly string[] | undefined {
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') return undefined
  return (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/**
 * Accepts a WebSocket with one of its offered subprotocols. Never settles for a request that is malformed: it was
 * answered with 400.
 */
export function acceptWebSocket({ request, socket, head }: UpgradeRequest, protocol: string): Promise<WebSocket> {
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    closeTimeout: closeTimeoutMs,
  }
  const server = new WebSocketServer(options)
  // Kubernetes has names with a slash, which no subprotocol may have by the RFC and which the library refuses: it does
  // not get to see them.
  server.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol}`))
  const headers = { value: { ...request.headers, 'sec-websocket-protocol': undefined } }
  const plain = Object.create(request, { headers }) as IncomingMessage // all else is the request's own
  return new Promise((resolve) => server.handleUpgrade(plain, socket, head, resolve))
}

/** Sends one binary message and waits until it has left for the network. Resolves when the socket is gone, too. */
export function send(socket: WebSocket, ...parts: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState !== socket.OPEN) return resolve()
    socket.send(parts.length === 1 ? (parts[0] ?? '') : Buffer.concat(parts), { binary: true }, () => resolve())
  })
}

/** Resolves when the socket is closed, for whatever reason. */
export function whenClosed(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => {}) // a close follows
    if (socket.readyState === socket.CLOSED) resolve()
    else socket.once('close', () => resolve())
  })
}
