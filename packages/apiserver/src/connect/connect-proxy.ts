import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { badRequest, StatusError } from '@k3s/api'
import type { NodeConnector } from '../api-server.ts'
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
    const { signal } = options
    const connection = await this.open(target, signal)
    try {
      const answer = await ask(request, target, connection, signal)
      if (target.proxiedAt === undefined && (answer.statusCode ?? 500) >= 400) throw await kubeletError(answer)
      const returned = returnedHeaders(answer.headers)
      if (typeof returned['location'] === 'string' && returned['location'].startsWith('/') && target.proxiedAt !== undefined)
        returned['location'] = target.proxiedAt + returned['location']
      writeHead(response, answer.statusCode ?? 502, { ...options.headers, ...returned })
      // A log that is followed may say nothing for long: its reader waits for the headers.
      if ('stream' in response) response.writeHead(response.statusCode)
      else response.flushHeaders()
      await pipeline(answer, response, { signal })
    } catch (error) {
      if (!response.headersSent) throw error
      response.destroy() // a half answer must not look like a whole one
    } finally {
      connection.destroy()
    }
  }
}

function ask(request: HttpRequest, target: ConnectTarget, connection: Duplex, signal: AbortSignal): Promise<IncomingMessage> {
  const { dial } = target
  const host = 'node' in dial ? dial.node : dial.host.includes(':') ? `[${dial.host}]` : dial.host
  const proxied =
    target.proxiedAt === undefined
      ? {}
      : { 'x-forwarded-uri': request.url ?? '', 'x-forwarded-host': hostOf(request), 'x-forwarded-proto': 'https' }
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({
      method: request.method,
      path: target.path,
      headers: { ...forwardedHeaders(request.headers), ...proxied, host: `${host}:${dial.port}`, connection: 'close' },
      createConnection: () => connection,
      signal,
    })
    upstream.once('response', resolve)
    upstream.once('error', (error) => reject(signal.aborted ? signal.reason : dialError(target, error)))
    // A failing upload fails the request, which is listened to above.
    pipeline(request, upstream).catch((error: unknown) => upstream.destroy(error instanceof Error ? error : undefined))
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
