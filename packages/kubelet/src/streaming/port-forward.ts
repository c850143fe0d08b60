import type { Duplex } from 'node:stream'
import { upgrade } from '@k3s/cri-client'
import type { RawData, WebSocket } from 'ws'
import { proxyUpgrade, refuse, type UpgradeRequest } from './proxy-upgrade.ts'
import { acceptWebSocket, offeredProtocols, send, whenClosed } from './web-socket.ts'

export interface PortForwardOptions extends UpgradeRequest {
  /** From `CriClient.portForward`; for WebSocket `v4.channel.k8s.io` it must have been asked for with the ports of the query. */
  readonly url: string
}

/** kubectl's: SPDY in a WebSocket. */
const tunnelled = 'SPDY/3.1+portforward.k8s.io'

/**
 * Serves `portforward` on a client's upgraded connection: SPDY and WebSocket `v4.channel.k8s.io` pass through as
 * bytes, SPDY inside a WebSocket is unwrapped. Resolves when the connection is over, everything closed; never rejects.
 */
export async function servePortForward(options: PortForwardOptions): Promise<void> {
  if (offeredProtocols(options.request)?.includes(tunnelled) !== true) return proxyUpgrade(options, options.url)
  const { socket, url, signal } = options
  const gone = new AbortController()
  const onClose = (): void => gone.abort()
  socket.on('error', () => {}) // a close follows
  socket.once('close', onClose)
  try {
    const runtime = await upgrade(url, {
      headers: { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'portforward.k8s.io' },
      signal: signal === undefined ? gone.signal : AbortSignal.any([gone.signal, signal]),
    })
    const client = await accept(options, runtime.socket)
    if (client === undefined) return
    await tunnel(client, runtime.socket, runtime.head, signal)
  } catch (error) {
    refuse(socket, 502, error instanceof Error ? error.message : String(error))
  } finally {
    socket.off('close', onClose)
  }
}

/** `undefined` when the client was refused or left meanwhile; the runtime's socket is destroyed then. */
async function accept(options: UpgradeRequest, runtime: Duplex): Promise<WebSocket | undefined> {
  runtime.on('error', () => {}) // a close follows
  const left = new Promise<undefined>((resolve) => {
    if (options.socket.destroyed) resolve(undefined)
    else options.socket.once('close', () => resolve(undefined))
  })
  const client = await Promise.race([acceptWebSocket(options, tunnelled), left])
  if (client === undefined) runtime.destroy()
  return client
}

/** Messages of one side are the bytes of the other, with back-pressure both ways. Resolves when both are closed. */
async function tunnel(client: WebSocket, runtime: Duplex, head: Buffer, signal: AbortSignal | undefined): Promise<void> {
  const closed = whenClosed(client)
  const onAbort = (): void => {
    client.terminate()
    runtime.destroy()
  }
  if (signal?.aborted === true) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  client.on('message', (data: RawData) => {
    if (runtime.writable && !runtime.write(data)) client.pause()
  })
  runtime.on('drain', () => client.resume())
  runtime.on('close', () => client.resume())
  // The client sends nothing more: the runtime ends the session in its turn.
  void closed.then(() => runtime.destroy()) // never rejects
  try {
    if (head.length > 0) await send(client, head)
    for await (const chunk of runtime) await send(client, chunk as Buffer) // no encoding is set
  } catch {
    // The runtime's connection broke: closing the client's says so.
  }
  client.resume() // to read its answer
  client.close(1000)
  await closed
  signal?.removeEventListener('abort', onAbort)
}
