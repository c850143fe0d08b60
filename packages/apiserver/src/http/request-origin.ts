import { randomUUID } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import type { ApiCall } from '../pipeline/api-call.ts'
import type { HttpRequest } from './send-answer.ts'

/** The socket of an HTTP/2 stream is its session's. */
export function socketOf(request: HttpRequest): Socket | undefined {
  return 'stream' in request ? request.stream.session?.socket : request.socket
}

/** As upstream: addresses that proxies name, then that of the connection. */
export function originOf(
  request: HttpRequest,
  { auditId, address }: { readonly auditId: string; readonly address: string | undefined },
): NonNullable<ApiCall['origin']> {
  const forwarded = request.headers['x-forwarded-for']
  const named = (typeof forwarded === 'string' ? forwarded.split(',') : []).map((ip) => ip.trim()).filter((ip) => isIP(ip) !== 0)
  const own = address?.replace(/^::ffff:/, '')
  const sourceIps = own === undefined || named.includes(own) ? named : [...named, own]
  return { auditId, uri: request.url ?? '/', sourceIps }
}

/** What identifies a request in logs: the client's own `Audit-ID`, or a new one. */
export function auditIdOf(request: HttpRequest): string {
  const given = request.headers['audit-id']
  return typeof given === 'string' && given !== '' && given.length <= 64 ? given : randomUUID()
}
