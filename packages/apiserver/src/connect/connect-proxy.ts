import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { badRequest, isStatusError, StatusError } from '@k3s/api'
import type { NodeConnector } from './node-connector.ts'
import { bodyStream } from '../http/read-body.ts'
import { writeHead, type HttpRequest, type HttpResponse } from '../http/send-answer.ts'
import type { ConnectTarget } from '../pipeline/answer.ts'
import { forwardedHeaders, returnedHeaders } from './hop-headers.ts'
import { dialError, openConnection } from './open-connection.ts'

/** Passes requests on to kubelets, pods and services. */
export class ConnectProxy {
  readonly #connector: NodeConnector | undefined

  constructor(connector: NodeConnector | undefined) {
    this.#connector = connector
  }

  open(target: ConnectTarget, signal: AbortSignal): Promise<Duplex> {
    return openConnection(this.#connector, target, signal)
  }

  /** Passes a request and its answer on as streams, each at the pace of its reader. Throws StatusErrors as long as nothing was answered. */
  async forward(
    request: HttpRequest,
    response: HttpResponse,
    target: ConnectTarget,
    options: { readonly headers: OutgoingHttpHeaders; readonly signal: AbortSignal },
  ): Promise<void> {
    if (target.aggregated !== undefined) return this.#forwardToServer(request, response, target, options)
    const { signal } = options
    const connection = await this.open(target, signal)
    try {
      const answer = await ask(request, target, connection, { signal })
      if (target.proxiedAt === undefined && (answer.statusCode ?? 500) >= 400) throw await kubeletError(answer)
      const returned = returnedHeaders(answer.headers)
      if (typeof returned['location'] === 'string' && returned['location'].startsWith('/') && target.proxiedAt !== undefined)
        returned['location'] = target.proxiedAt + returned['location']
      await passOn(answer, response, { ...options.headers, ...returned }, signal)
    } catch (error) {
      if (!response.headersSent) throw error
      response.destroy() // a half answer must not look like a whole one
    } finally {
      connection.destroy()
    }
  }

  /** To an aggregated API server. What keeps it from answering is told in plain text, as upstream does. */
  async #forwardToServer(
    request: HttpRequest,
    response: HttpResponse,
    target: ConnectTarget,
    { headers, signal }: { readonly headers: OutgoingHttpHeaders; readonly signal: AbortSignal },
  ): Promise<void> {
    const { aggregated } = target
    const limit = new AbortController()
    const late = new Error('context deadline exceeded')
    const timer = aggregated?.timeoutMs === undefined ? undefined : setTimeout(() => limit.abort(late), aggregated.timeoutMs)
    const limited = AbortSignal.any([signal, limit.signal])
    let connection: Duplex | undefined
    try {
      connection = await this.open(target, limited)
      const own = { ...aggregated?.headers, 'audit-id': headers['audit-id'] }
      const answer = await ask(request, target, connection, { signal: limited, headers: own })
      await passOn(answer, response, { ...headers, ...returnedHeaders(answer.headers) }, limited)
    } catch (error) {
      if (response.headersSent) {
        response.destroy()
        return
      }
      signal.throwIfAborted()
      const { message } = limit.signal.aborted ? dialError(target, late) : dialError(target, error)
      writeHead(response, 503, { ...headers, 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' })
      response.end(`${isStatusError(error) ? error.message : message}\n`)
    } finally {
      clearTimeout(timer)
      connection?.destroy()
    }
  }
}

/** Streams an answer at the pace of its reader. */
async function passOn(answer: IncomingMessage, response: HttpResponse, headers: OutgoingHttpHeaders, signal: AbortSignal): Promise<void> {
  writeHead(response, answer.statusCode ?? 502, headers)
  // A log that is followed may say nothing for long: its reader waits for the headers.
  if ('stream' in response) response.writeHead(response.statusCode)
  else response.flushHeaders()
  await pipeline(answer, 'stream' in response ? response.stream : response, { signal })
}

// Node frames the bodies of other methods by itself.
const bareMethods = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** A body of unknown length must be framed, or it would be taken for the next request. */
function framing(request: HttpRequest): OutgoingHttpHeaders {
  const { method = 'GET', headers } = request
  const hasBody = 'stream' in request ? !request.stream.endAfterHeaders : headers['transfer-encoding'] !== undefined
  return bareMethods.has(method) && headers['content-length'] === undefined && hasBody ? { 'transfer-encoding': 'chunked' } : {}
}

function ask(
  request: HttpRequest,
  target: ConnectTarget,
  connection: Duplex,
  { signal, headers }: { readonly signal: AbortSignal; readonly headers?: OutgoingHttpHeaders | undefined },
): Promise<IncomingMessage> {
  const { dial } = target
  const host = 'node' in dial ? dial.node : dial.host.includes(':') ? `[${dial.host}]` : dial.host
  const proxied =
    target.proxiedAt === undefined && target.aggregated === undefined
      ? {}
      : { 'x-forwarded-uri': request.url ?? '', 'x-forwarded-host': hostOf(request), 'x-forwarded-proto': 'https' }
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({
      method: request.method,
      path: target.path,
      headers: {
        ...forwardedHeaders(request.headers),
        ...proxied,
        ...framing(request),
        ...headers,
        host: `${host}:${dial.port}`,
        connection: 'close',
      },
      createConnection: () => connection,
      signal,
    })
    upstream.once('response', resolve)
    upstream.once('error', (error) => reject(signal.aborted ? signal.reason : dialError(target, error)))
    // A failing upload fails the request, which is listened to above.
    pipeline(bodyStream(request), upstream).catch((error: unknown) => upstream.destroy(error instanceof Error ? error : undefined))
  })
}

function hostOf(request: HttpRequest): string {
  const { host, ':authority': authority } = request.headers
  return host ?? (typeof authority === 'string' ? authority : '')
}

// A kubelet's error text is one line.
const maxErrorBytes = 64 * 1024

/** What a kubelet refused, as the Status that upstream makes of it. */
async function kubeletError(answer: IncomingMessage): Promise<StatusError> {
  let text = ''
  for await (const chunk of answer as AsyncIterable<Buffer>) if (text.length < maxErrorBytes) text += chunk.toString('utf8') // no encoding is set
  const message = text.trim()
  const code = answer.statusCode ?? 500
  if (code === 400) return badRequest(message)
  if (code === 404) return new StatusError('NotFound', message === '' ? 'the server could not find the requested resource' : message)
  if (code === 503) return new StatusError('ServiceUnavailable', message)
  return new StatusError('', message === '' ? `the kubelet answered ${code}` : message, { code })
}
