import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ConnectTarget } from '../pipeline/answer.ts'
import type { ConnectProxy } from './connect-proxy.ts'
import { forwardedHeaders } from './hop-headers.ts'

/** Prefix of a bearer token that a browser sends as a WebSocket protocol. */
export const tokenProtocol = 'base64url.bearer.authorization.k8s.io.'

/** Sends an upgrade request on and joins both connections, byte for byte: SPDY and WebSocket are the ends' own business. Throws StatusErrors before anything was sent. */
export async function forwardUpgrade(
  proxy: ConnectProxy,
  target: ConnectTarget,
  {
    request,
    socket,
    head,
    signal,
  }: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer; readonly signal: AbortSignal },
): Promise<void> {
  const upstream = await proxy.open(target, signal)
  const { dial } = target
  const host = 'node' in dial ? dial.node : dial.host.includes(':') ? `[${dial.host}]` : dial.host
  const lines = [
    `${request.method ?? 'GET'} ${target.path} HTTP/1.1`,
    `Host: ${host}:${dial.port}`,
    'Connection: Upgrade',
    `Upgrade: ${request.headers.upgrade ?? ''}`,
  ]
  const headers = { ...withoutTokens(forwardedHeaders(request.headers)), ...target.aggregated?.headers }
  for (const [name, value] of Object.entries(headers))
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) lines.push(`${name}: ${one}`)
  // Header values are bytes, one for each character.
  upstream.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
  if (head.length > 0) upstream.write(head)
  await joinStreams(socket, upstream, signal)
}

/** Browsers send their token as a WebSocket protocol: it is for us alone. */
function withoutTokens(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const protocols = headers['sec-websocket-protocol']
  if (typeof protocols !== 'string') return headers
  const rest = protocols.split(',').filter((protocol) => !protocol.trim().startsWith(tokenProtocol))
  return { ...headers, 'sec-websocket-protocol': rest.length === 0 ? undefined : rest.join(',') }
}

/** Pipes both ways with back-pressure until both ends have ended, or one failed; then both are closed. */
export function joinStreams(left: Duplex, right: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let open = 2
    const close = (): void => {
      signal.removeEventListener('abort', close)
      left.destroy()
      right.destroy()
      resolve()
    }
    signal.addEventListener('abort', close, { once: true })
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      from.pipe(to)
      from.once('end', () => {
        if (--open === 0) close()
      })
      from.once('error', close)
      from.once('close', close)
    }
    if (signal.aborted) close()
  })
}
