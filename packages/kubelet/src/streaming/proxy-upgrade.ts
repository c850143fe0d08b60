import { STATUS_CODES, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isCriError, tryUpgrade, type UpgradeRefusal } from '@k3s/cri-client'
import { pipeBoth } from './pipe.ts'

/** A client's upgrade request as `http.Server` gives it with its `upgrade` event. */
export interface UpgradeRequest {
  readonly request: IncomingMessage
  /** Owned by the callee from here on. */
  readonly socket: Duplex
  readonly head: Buffer
  /** Abort ends the connection, whatever it does. */
  readonly signal?: AbortSignal | undefined
}

/** Passes a client's upgrade on to the runtime's streaming server and then bytes both ways. Resolves when it is over; never rejects. */
export async function proxyUpgrade({ request, socket, head, signal }: UpgradeRequest, url: string): Promise<void> {
  // The runtime is not dialled in vain for a client that left, and the wait for it ends with the client.
  const gone = new AbortController()
  const onClose = (): void => gone.abort()
  const onError = (): void => {} // a close follows
  socket.on('error', onError)
  socket.once('close', onClose)
  try {
    const result = await tryUpgrade(url, {
      method: request.method === 'GET' ? 'GET' : 'POST',
      headers: streamHeaders(request.headers),
      signal: signal === undefined ? gone.signal : AbortSignal.any([gone.signal, signal]),
    })
    if (!('socket' in result)) return refuse(socket, result.status, result.body.toString(), result.headers['content-type'])
    socket.write(switching(result.headers))
    if (result.head.length > 0) socket.write(result.head)
    if (head.length > 0) result.socket.write(head)
    await pipeBoth(socket, result.socket, signal)
  } catch (error) {
    refuse(socket, 502, isCriError(error) ? error.message : 'Cannot open the stream')
  } finally {
    socket.off('close', onClose)
  }
}

/** Answers an upgrade request with an error and closes; does nothing to a socket that is gone. */
export function refuse(socket: Duplex, status: UpgradeRefusal['status'], body: string, contentType = 'text/plain; charset=utf-8'): void {
  if (socket.destroyed) return
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

/** What of a request's headers is about the upgrade; credentials and the like stay here. */
function streamHeaders(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const passed: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined && isStreamHeader(name)) passed[name] = value
  return passed
}

function switching(headers: IncomingHttpHeaders): string {
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade']
  for (const [name, value] of Object.entries(headers)) if (isStreamHeader(name)) lines.push(`${name}: ${String(value)}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

const isStreamHeader = (name: string): boolean =>
  name === 'upgrade' || name === 'x-stream-protocol-version' || name.startsWith('sec-websocket-')
