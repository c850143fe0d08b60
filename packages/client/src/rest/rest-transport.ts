import { StatusError, statusErrorOf, type StatusReason } from '@k3s/api'
import type { Status } from '@k3s/api/types/meta/v1'
import { noLogger, systemClock, type Clock, type Logger } from '@k3s/lifecycle'
import type { ApiRequest, ApiResponse, ApiTransport, ApiWatchEvent } from '../transport.ts'
import { ConnectionPool, type TlsCredentials } from './connection-pool.ts'
import type { WireRequest, WireResponse } from './connection.ts'
import { readJsonLines } from './json-lines.ts'
import { readNulls } from './read-nulls.ts'

export interface RestTimeouts {
  /** Until a connection is open. */
  readonly connectMs?: number | undefined
  /** Until a request other than a watch is answered in full; 0 waits forever. */
  readonly requestMs?: number | undefined
  /** Between pings of an HTTP/2 session. */
  readonly pingIntervalMs?: number | undefined
  /** Until a ping is answered; then the session is given up. */
  readonly pingTimeoutMs?: number | undefined
}

export interface RestTransportOptions extends TlsCredentials {
  /** `https://host:port`; a path is put before every request's. `http://` speaks HTTP/1.1. */
  readonly server: string
  /** Called before each new connection; what it gives replaces `ca`, `cert` and `key`. With {@link RestTransport.rotate}, how certificates are renewed. */
  readonly reload?: (() => Promise<TlsCredentials>) | undefined
  /** Bearer token; a function is asked before every request. */
  readonly token?: string | (() => string | Promise<string>) | undefined
  /** Name that the server's certificate must have, when it is not the host of `server`. */
  readonly serverName?: string | undefined
  /** Trusts any server. */
  readonly insecureSkipTlsVerify?: boolean | undefined
  readonly userAgent?: string | undefined
  readonly timeouts?: RestTimeouts | undefined
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
}

/** An API server reached over HTTP. Disposing it breaks every connection: requests and watches that run fail. */
export interface RestTransport extends ApiTransport, AsyncDisposable {
  /** Later requests use a new connection with credentials read anew; requests and watches that run end on the old one. */
  rotate(): void
}

// Pings follow client-go (30 s idle, 15 s to answer). 60 s is the time an API server allows a request; a client waits a little longer.
const defaultTimeouts = { connectMs: 10_000, requestMs: 65_000, pingIntervalMs: 30_000, pingTimeoutMs: 15_000 }

/** Ten times the largest object that etcd takes. */
const maxEventBytes = 16 << 20

/**
 * Makes a transport to an API server. It connects when the first request comes and again whenever it has to; HTTP/2 where the server speaks it,
 * with all requests and watches in one session, else HTTP/1.1. Nothing is retried but what a closing connection did not take.
 */
export function createRestTransport(options: RestTransportOptions): RestTransport {
  return new HttpTransport(options)
}

class HttpTransport implements RestTransport {
  readonly #options: RestTransportOptions
  readonly #pool: ConnectionPool
  readonly #basePath: string
  readonly #authority: string
  readonly #requestMs: number
  readonly #logger: Logger

  constructor(options: RestTransportOptions) {
    const url = new URL(options.server)
    const { ca, cert, key, timeouts = {}, serverName, insecureSkipTlsVerify = false } = options
    this.#options = options
    this.#basePath = url.pathname.replace(/\/$/, '')
    this.#authority = url.host
    this.#requestMs = timeouts.requestMs ?? defaultTimeouts.requestMs
    this.#logger = options.logger ?? noLogger
    this.#pool = new ConnectionPool({
      origin: url.origin,
      credentials: options.reload ?? (() => Promise.resolve({ ca, cert, key })),
      serverName,
      rejectUnauthorized: !insecureSkipTlsVerify,
      clock: options.clock ?? systemClock,
      connectMs: timeouts.connectMs ?? defaultTimeouts.connectMs,
      pingIntervalMs: timeouts.pingIntervalMs ?? defaultTimeouts.pingIntervalMs,
      pingTimeoutMs: timeouts.pingTimeoutMs ?? defaultTimeouts.pingTimeoutMs,
    })
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    // Not AbortSignal.timeout: its timer would outlive the request, and there are many of them.
    const deadline = new AbortController()
    const timer =
      this.#requestMs === 0
        ? undefined
        : setTimeout(() => deadline.abort(new Error(`No answer in ${this.#requestMs} ms`)), this.#requestMs).unref()
    const signal = request.signal === undefined ? deadline.signal : AbortSignal.any([request.signal, deadline.signal])
    try {
      const response = await this.#send(request, signal)
      const text = await readText(response)
      if (response.status >= 400) throw errorOf(response, text)
      return { status: response.status, body: isJson(response) ? readNulls(JSON.parse(text)) : text }
    } catch (error) {
      throw this.#failureOf(error, request)
    } finally {
      clearTimeout(timer)
    }
  }

  async *watch(request: ApiRequest): AsyncGenerator<ApiWatchEvent, void, void> {
    const { signal } = request
    // Leaving the iteration closes the stream.
    const left = new AbortController()
    try {
      const response = await this.#send(request, signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]))
      if (response.status >= 400) throw errorOf(response, await readText(response))
      for await (const line of readJsonLines(response.body, maxEventBytes)) {
        if (signal?.aborted === true) return
        yield eventOf(line)
      }
    } catch (error) {
      if (signal?.aborted === true) return
      throw this.#failureOf(error, request)
    } finally {
      left.abort()
    }
  }

  rotate(): void {
    this.#pool.rotate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#pool.close()
  }

  async #send(request: ApiRequest, signal: AbortSignal | undefined): Promise<WireResponse> {
    const { token, userAgent = 'k3s-client' } = this.#options
    const bearer = typeof token === 'function' ? await token() : token
    const body = request.body === undefined ? undefined : encode(request.body)
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': userAgent, host: this.#authority }
    if (bearer !== undefined && bearer !== '') headers['authorization'] = `Bearer ${bearer}`
    if (body !== undefined) headers['content-type'] = request.contentType ?? 'application/json'
    const wire: WireRequest = {
      method: request.method,
      path: this.#basePath + request.path + queryText(request.query),
      headers,
      body,
      signal,
    }
    return this.#pool.send(wire)
  }

  /** What a caller sees: Statuses as they are, its own abort as it is, all else as a server that cannot be reached. */
  #failureOf(error: unknown, { method, path, signal }: ApiRequest): unknown {
    if (error instanceof StatusError) return error
    if (signal?.aborted === true) return signal.reason
    this.#logger.debug({ err: error, method, path }, 'Request did not get an answer')
    const why = error instanceof Error ? error.message : String(error)
    return new StatusError('ServiceUnavailable', `${method} ${this.#options.server}${path}: ${why}`, { cause: error })
  }
}

function queryText(query: ApiRequest['query']): string {
  if (query === undefined) return ''
  const pairs = Object.entries(query).flatMap(([name, values]) => [values].flat().map((value): [string, string] => [name, value]))
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`
}

function encode(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body))
}

async function readText(response: WireResponse): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of response.body) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

const isJson = ({ headers }: WireResponse): boolean => headers['content-type']?.includes('json') === true

const reasons: Readonly<Record<number, StatusReason>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  502: 'ServiceUnavailable',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

/** The Status of an answer; one made up of its code and text when a proxy or a plain handler answered. */
function errorOf(response: WireResponse, text: string): StatusError {
  if (isJson(response)) {
    const body: unknown = JSON.parse(text)
    if (isStatus(body)) return statusErrorOf({ ...body, code: body.code ?? response.status })
  }
  const retryAfter = Number(response.headers['retry-after'])
  return new StatusError(reasons[response.status] ?? 'InternalError', text.trim().slice(0, 1000) || `HTTP status ${response.status}`, {
    code: response.status,
    ...(Number.isInteger(retryAfter) ? { retryAfterSeconds: retryAfter } : {}),
  })
}

function isStatus(body: unknown): body is Status {
  return typeof body === 'object' && body !== null && 'kind' in body && body.kind === 'Status'
}

const eventTypes: readonly string[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']

function eventOf(line: unknown): ApiWatchEvent {
  if (typeof line === 'object' && line !== null && 'type' in line && 'object' in line) {
    if (line.type === 'ERROR' && isStatus(line.object)) throw statusErrorOf(line.object)
    if (typeof line.type === 'string' && eventTypes.includes(line.type)) {
      readNulls(line.object)
      return line as ApiWatchEvent // its type was checked
    }
  }
  throw new SyntaxError('Line of a watch is no event')
}
