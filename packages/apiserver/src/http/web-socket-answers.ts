import { request as httpRequest, type IncomingMessage } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import type { ConnectProxy } from '../connect/connect-proxy.ts'
import { tokenProtocol } from '../connect/forward-upgrade.ts'
import type { Answer, ConnectTarget } from '../pipeline/answer.ts'
import type { Upgrade } from './handle-upgrade.ts'
import { negotiate } from './negotiate.ts'
import type { WatchDeliveries } from './watch-deliveries.ts'
import { streamWatch } from './watch-stream.ts'

// Bytes that may wait in a WebSocket before its producer pauses.
const maxBufferedBytes = 1024 * 1024

// Nothing is expected from the client but its goodbye.
const maxReceivedBytes = 4096

const binary = 'binary.k8s.io'
const base64 = 'base64.binary.k8s.io'

/** A watch with one event a message, for browsers. */
export function serveWatchSocket(
  { request, socket, head }: Upgrade,
  answer: Extract<Answer, { type: 'watch' }>,
  options: {
    readonly query: URLSearchParams
    readonly now: () => number
    readonly deliveries: WatchDeliveries
    readonly closing: AbortSignal
  },
): void {
  const stop = (): void => answer.watch.close()
  // A handshake that fails answers by itself and calls nobody; a socket that is gone says so no more.
  socket.once('close', stop)
  if (socket.destroyed) return stop()
  const { representation } = negotiate(request.headers.accept, { transformable: true })
  const server = new WebSocketServer({ noServer: true, handleProtocols: firstProtocol, maxPayload: maxReceivedBytes })
  server.handleUpgrade(request, socket, head, (client) => {
    options.closing.addEventListener('abort', stop, { once: true })
    client.on('error', stop)
    client.on('close', () => options.closing.removeEventListener('abort', stop))
    let drained = (): void => {}
    streamWatch(
      {
        write: (lines) => {
          for (const line of lines.toString('utf8').split('\n')) if (line !== '') client.send(line, () => isDrained(client) && drained())
          return isDrained(client)
        },
        onDrain: (callback) => (drained = callback),
        onClose: (callback) => client.on('close', callback),
        end: () => client.close(1000),
        destroy: () => client.terminate(),
      },
      { ...answer, encode: { representation, includeObject: 'Metadata', now: options.now }, deliveries: options.deliveries },
    )
  })
}

/** A log with its bytes in messages. Throws StatusErrors before the upgrade. */
export async function serveLogSocket(
  { request, socket, head }: Upgrade,
  proxy: ConnectProxy,
  target: ConnectTarget,
  signal: AbortSignal,
): Promise<void> {
  const connection = await proxy.open(target, signal)
  const log = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest({ path: target.path, createConnection: () => connection, signal })
      .once('response', resolve)
      .once('error', reject)
      .end()
  })
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: maxReceivedBytes,
    handleProtocols: (offered) => (offered.has(binary) ? binary : offered.has(base64) ? base64 : firstProtocol(offered)),
  })
  await new Promise<void>((resolve) => {
    server.handleUpgrade(request, socket, head, (client) => {
      const encodes = client.protocol === base64
      client.on('error', () => client.terminate())
      client.on('close', () => {
        connection.destroy()
        resolve()
      })
      log.on('data', (chunk: Buffer) => {
        client.send(encodes ? chunk.toString('base64') : chunk, () => isDrained(client) && log.resume())
        if (!isDrained(client)) log.pause()
      })
      log.on('end', () => client.close(1000))
      log.on('error', () => client.close(1011))
    })
  })
}

/** A token that travels as a protocol is not one to agree on. */
function firstProtocol(offered: ReadonlySet<string>): string | false {
  return [...offered].find((protocol) => !protocol.startsWith(tokenProtocol)) ?? false
}

function isDrained(client: WebSocket): boolean {
  return client.bufferedAmount < maxBufferedBytes
}
