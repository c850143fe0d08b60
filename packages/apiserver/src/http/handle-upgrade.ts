import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { badRequest, type StatusError } from '@k3s/api'
import type { UserInfo } from '../auth/auth.ts'
import { forwardUpgrade } from '../connect/forward-upgrade.ts'
import { reportError, toStatusError } from '../errors.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import { authorize } from '../pipeline/authorize.ts'
import { handleCall, type CallPipeline } from '../pipeline/handle-call.ts'
import { auditIdOf, originOf } from './request-origin.ts'
import type { HttpFrontOptions, Identified } from './http-front.ts'
import type { RequestInfo } from './request-info.ts'
import { agentName, splitTarget } from './request-parts.ts'
import { serveLogSocket, serveWatchSocket } from './web-socket-answers.ts'

// Interactive subresources change what runs: who may only read must not enter by a WebSocket's GET.
const interactive = new Set(['exec', 'attach', 'portforward'])

export interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
}

/** The one dispatcher of upgrades: streams to kubelets and proxies as bytes; watches and logs over WebSocket. Never rejects. */
export async function handleUpgrade(
  options: HttpFrontOptions,
  identify: (call: ApiCall) => Promise<Identified>,
  upgrade: Upgrade,
): Promise<void> {
  const { request, socket } = upgrade
  const gone = new AbortController()
  socket.once('close', () => gone.abort(new DOMException('The client closed the connection', 'AbortError')))
  const signal = AbortSignal.any([gone.signal, options.closing])
  try {
    const { path, query } = splitTarget(request.url ?? '/')
    const call: ApiCall = {
      method: request.method ?? 'GET',
      path,
      query,
      headers: request.headers,
      readBody: () => Promise.resolve(undefined),
      signal,
      warn: () => {},
      origin: originOf(request, { auditId: auditIdOf(request), address: request.socket.remoteAddress }),
      userAgent: agentName(request.headers['user-agent']),
    }
    const { user: own, ...how } = await identify(call)
    const { answer, info, user } = await handleCall(options.pipeline, call, own, how)
    if (answer.type === 'watch') {
      const { pipeline, deliveries, closing } = options
      serveWatchSocket(upgrade, answer, { query, now: () => pipeline.core.clock.now(), deliveries, closing })
      return
    }
    if (answer.type !== 'connect') throw badRequest('the request cannot be upgraded')
    if (request.method === 'GET' && interactive.has(info.subresource)) await authorizeCreate(options.pipeline, info, user)
    if (info.subresource === 'log') await serveLogSocket(upgrade, options.connect, answer.target, signal)
    else await forwardUpgrade(options.connect, answer.target, { ...upgrade, signal })
  } catch (error) {
    if (gone.signal.aborted) return
    const status = toStatusError(error)
    reportError(status, options.logger, { method: request.method, path: request.url?.split('?', 1)[0] })
    refuse(socket, status)
  }
}

function authorizeCreate({ authorizers }: CallPipeline, info: RequestInfo, user: UserInfo): Promise<void> {
  const { group, version, resource, subresource, namespace, name, path } = info
  return authorize(authorizers, { user, verb: 'create', isResource: true, group, version, resource, subresource, namespace, name, path })
}

/** A Status on a connection that was not upgraded. */
function refuse(socket: Duplex, status: StatusError): void {
  if (socket.destroyed || !socket.writable) return
  const body = JSON.stringify(status.toStatus())
  socket.end(
    [
      `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? 'Error'}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
}
