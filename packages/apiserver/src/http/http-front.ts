import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { hasReason } from '@k3s/api'
import type { Logger } from '@k3s/lifecycle'
import type { AnonymousPaths } from '../api-server.ts'
import { authenticate } from '../authentication/authenticate.ts'
import { separateHeaders } from '../authentication/header-values.ts'
import { asksToBe, impersonate } from '../authentication/impersonate.ts'
import type { Authenticator, Credentials, UserInfo } from '../auth/auth.ts'
import { reportError, toStatusError } from '../errors.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import type { FlowClass } from '../flow-control/flow-control.ts'
import { attributesOf, handleCall, type CallOptions, type CallPipeline } from '../pipeline/handle-call.ts'
import type { ResourceWatch } from '../watch-cache/resource-watch.ts'
import type { ConnectProxy } from '../connect/connect-proxy.ts'
import { handleUpgrade } from './handle-upgrade.ts'
import type { RequestMetrics } from './request-metrics.ts'
import { auditIdOf, originOf, socketOf } from './request-origin.ts'
import { bodyStream, readBody } from './read-body.ts'
import { agentName, parseDurationMs, splitTarget } from './request-parts.ts'
import { isTrueParameter, parseRequestInfo, type RequestInfo } from './request-info.ts'
import { answeredBytes, sendAnswer, sendError, type HttpRequest, type HttpResponse, type SendContext } from './send-answer.ts'
import { Warnings } from './warnings.ts'
import type { WatchDeliveries } from './watch-deliveries.ts'
import type { YamlReader } from './yaml-reader.ts'

export interface HttpFrontOptions {
  readonly pipeline: CallPipeline
  readonly authenticators: readonly Authenticator[]
  readonly allowAnonymous: boolean | AnonymousPaths
  /** Of ordinary requests; watches, logs and proxies have none. */
  readonly requestTimeoutMs: number
  /** How often, of 1, a request ends its HTTP/2 connection. */
  readonly goawayChance: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly connect: ConnectProxy
  readonly yaml: YamlReader
  readonly deliveries: WatchDeliveries
  readonly logger: Logger
  readonly metrics: RequestMetrics
  /** Aborts when the server closes: watches and streams end, new requests are refused. */
  readonly closing: AbortSignal
}

/** Who is at the other end of a connection. */
interface Peer {
  readonly certificate: Uint8Array | undefined
  readonly address: string | undefined
}

// As a segment of a path.
const longRunning = /\/(?:watch|log|exec|attach|portforward|proxy)(?:\/|$)/

/** From HTTP to the pipeline and back. */
export class HttpFront {
  readonly #options: HttpFrontOptions
  /** By connection: asking TLS for the certificate costs more than a small request. */
  readonly #peers = new WeakMap<object, Peer>()
  #running = 0
  #drained: (() => void) | undefined

  constructor(options: HttpFrontOptions) {
    this.#options = options
  }

  /** Resolves when no request is running any more. */
  drained(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drained = resolve))
  }

  /** Passes an upgrade on to where it goes. Never rejects. */
  async handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    await handleUpgrade(this.#options, (call) => this.identify(request, call), { request, socket, head })
  }

  /** Answers one request. Never rejects: what fails becomes a Status. */
  async handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    this.#running++
    try {
      await this.#handle(request, response)
    } finally {
      if (--this.#running === 0) this.#drained?.()
    }
  }

  async #handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    const { logger, pipeline, goawayChance, random } = this.#options
    if (goawayChance > 0 && 'stream' in request && random() < goawayChance) closeAfter(request)
    const started = performance.now()
    const auditId = auditIdOf(request)
    const warnings = new Warnings()
    // Node sends each element of a list as a header of its own; its types know that of few names only.
    let flow: FlowClass | undefined
    const headers = (): OutgoingHttpHeaders => ({
      'audit-id': auditId,
      'cache-control': 'no-cache, private',
      ...(flow === undefined
        ? {}
        : { 'x-kubernetes-pf-flowschema-uid': flow.schemaUid, 'x-kubernetes-pf-prioritylevel-uid': flow.levelUid }),
      ...(warnings.isEmpty ? {} : { warning: warnings.values as unknown as string }),
    })
    const stop = new AbortController()
    const { signal } = stop
    let isGone = false
    let isAnswered = false
    response.once('close', () => {
      // Over HTTP/2 a stream whose last frame has left is closed before it is finished.
      if (isAnswered || response.writableFinished) return
      isGone = true
      stop.abort(new DOMException('The client closed the connection', 'AbortError'))
    })
    let timer: NodeJS.Timeout | undefined
    let info: RequestInfo | undefined
    try {
      const { path, query } = splitTarget(request.url ?? '/')
      const timeoutMs = timeoutOf(path, query, this.#options.requestTimeoutMs)
      const expire = (): void => stop.abort(new DOMException('The request took too long', 'TimeoutError'))
      if (timeoutMs !== undefined) timer = setTimeout(expire, timeoutMs).unref()
      const call: ApiCall = {
        method: request.method ?? 'GET',
        path,
        query,
        headers: request.headers,
        readBody: () => readBody(request, signal, this.#options.yaml),
        signal,
        warn: (message) => warnings.add(message),
        classified: (of) => (flow = of),
        origin: originOf(request, { auditId, address: this.#peerOf(request).address }),
        userAgent: agentName(request.headers['user-agent']),
      }
      const { user, ...how } = await this.identify(request, call)
      const handled = await handleCall(pipeline, call, user, how)
      info = handled.info
      const { deliveries } = this.#options
      const context: SendContext = { request, response, query, now: () => pipeline.core.clock.now(), deliveries, headers }
      const isStream = handled.answer.type === 'connect' || handled.answer.type === 'watch'
      if (isStream && !response.destroyed) response.once('close', this.#options.metrics.begin(info))
      if (handled.answer.type === 'connect')
        await this.#options.connect.forward(request, response, handled.answer.target, {
          headers: headers(),
          signal: AbortSignal.any([signal, this.#options.closing]),
        })
      else {
        if (handled.answer.type === 'watch') endOnClose(handled.answer.watch, response, { closing: this.#options.closing, gone: signal })
        await sendAnswer(context, handled.answer)
        isAnswered = !isStream
      }
    } catch (error) {
      if (isGone) return
      const status = toStatusError(error)
      reportError(status, logger, { method: request.method, path: request.url?.split('?', 1)[0], auditId })
      sendError({ request, response, headers }, status)
      isAnswered = true
    } finally {
      clearTimeout(timer)
      // A request whose body nobody read would keep the connection busy.
      if (!request.complete) bodyStream(request).resume()
      this.#count(request, response, info, (performance.now() - started) / 1000)
    }
  }

  #count(request: HttpRequest, response: HttpResponse, info: RequestInfo | undefined, seconds: number): void {
    this.#options.metrics.count({
      method: request.method,
      info,
      isDryRun: request.url?.includes('dryRun=') === true,
      code: response.statusCode,
      seconds,
      bytes: answeredBytes(response),
    })
  }

  /** The user of a request, and as whom it acts. Throws Unauthorized, which is audited. */
  async identify(request: HttpRequest, call: ApiCall): Promise<Identified> {
    const { authenticators, allowAnonymous, pipeline } = this.#options
    const { auditor, authorizers } = pipeline
    const notes = auditor === undefined ? undefined : new Map<string, string>()
    const peer = this.#peerOf(request)
    const credentials: Credentials = {
      headers: separateHeaders(request.headers, request.rawHeaders),
      clientCertificate: peer.certificate,
      remoteAddress: peer.address,
      ...(notes === undefined ? {} : { annotate: (key, value) => void notes.set(key, value) }),
    }
    try {
      const user = await authenticate(authenticators, credentials, {
        allowAnonymous: typeof allowAnonymous === 'boolean' ? allowAnonymous : allowAnonymous.paths.includes(call.path),
        signal: call.signal,
      })
      if (!asksToBe(request.headers)) return { user, notes }
      const become: CallOptions['become'] = (info) => impersonate(user, credentials.headers, { authorizers, request: attributesOf(info) })
      return { user, notes, become }
    } catch (error) {
      if (auditor !== undefined && hasReason(error, 'Unauthorized')) {
        const info = parseRequestInfo(call.method, call.path, call.query)
        await auditor.unauthenticated(call, info, error, notes)
      }
      throw error
    }
  }

  #peerOf(request: HttpRequest): Peer {
    const connection = 'stream' in request ? request.stream.session : request.socket
    let peer = connection === undefined ? undefined : this.#peers.get(connection)
    if (peer === undefined) {
      peer = { certificate: clientCertificateOf(request), address: socketOf(request)?.remoteAddress }
      if (connection !== undefined) this.#peers.set(connection, peer)
    }
    return peer
  }
}

/** Who asks, and what `handleCall` is to know of them. */
export interface Identified extends CallOptions {
  readonly user: UserInfo
}

/** What runs on the connection ends on it; its client opens another for what comes. */
function closeAfter({ stream }: Http2ServerRequest): void {
  const { session } = stream
  stream.once('close', () => session?.close())
}

function endOnClose(
  watch: ResourceWatch,
  response: HttpResponse,
  { closing, gone }: { readonly closing: AbortSignal; readonly gone: AbortSignal },
): void {
  const stop = (): void => watch.close()
  // A client that left before says so no more.
  if (closing.aborted || gone.aborted) stop()
  closing.addEventListener('abort', stop, { once: true })
  response.once('close', () => closing.removeEventListener('abort', stop))
}

function clientCertificateOf(request: HttpRequest): Uint8Array | undefined {
  const socket = socketOf(request)
  // Only TLS sockets have the method; an HTTP/2 session's socket is a proxy, which `in` does not see through.
  const { getPeerCertificate } = (socket ?? {}) as Partial<Pick<TLSSocket, 'getPeerCertificate'>>
  // An absent client certificate is an empty object.
  return typeof getPeerCertificate === 'function' ? (getPeerCertificate.call(socket) as Partial<PeerCertificate>).raw : undefined
}

/** Milliseconds that a request may take: `?timeout=`, at most `maxRequestMs`; undefined for those that have no end of their own. */
function timeoutOf(path: string, query: URLSearchParams, maxRequestMs: number): number | undefined {
  if (isTrueParameter(query.get('watch')) || longRunning.test(path)) return undefined
  const wanted = parseDurationMs(query.get('timeout') ?? '')
  return wanted > 0 ? Math.min(maxRequestMs, wanted) : maxRequestMs
}
