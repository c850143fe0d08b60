import { statusErrorOf, StatusError, type KubernetesList, type KubernetesObject } from '@k3s/api'
import type { ApiRequest, ApiResponse, ApiTransport, ApiWatchEvent } from '@k3s/client'
import type { Logger } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import { deepFreeze } from '../deep-freeze.ts'
import { reportError, toStatusError } from '../errors.ts'
import { bookmarkObject } from '../http/encode.ts'
import type { Backend } from '../aggregation/backend.ts'
import type { Answer, ConnectTarget } from '../pipeline/answer.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import { handleCall, type CallPipeline } from '../pipeline/handle-call.ts'
import { apiVersionOfServed, toServed, type ServedResource } from '../registry/served-resource.ts'
import { formatResourceVersion } from '../resource-version.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { ResourceWatch, WatchItem } from '../watch-cache/resource-watch.ts'
import { requestAggregated, watchAggregated } from './aggregated-answers.ts'

export interface InProcessTransportOptions {
  readonly pipeline: CallPipeline
  readonly logger: Logger
  readonly user: UserInfo
  /** Aborts when the server closes. */
  readonly closing: AbortSignal
}

const bookmarkIntervalMs = 60_000
// Events handed over in one turn of the event loop.
const maxItemsPerTurn = 256

/** A client's way to a server in the same process: authorization and admission as for everyone, without TLS and JSON. Answers are shared and frozen. */
export function createInProcessTransport(options: InProcessTransportOptions): ApiTransport {
  const { pipeline, logger, user } = options
  const ask = async (request: ApiRequest, call: ApiCall): Promise<Answer> => {
    const { signal } = call
    if (options.closing.aborted) throw closed()
    signal.throwIfAborted()
    try {
      const { answer } = await handleCall(pipeline, call, user)
      return answer
    } catch (error) {
      if (options.closing.aborted) throw closed(error)
      if (signal.aborted) throw signal.reason
      const status = toStatusError(error)
      reportError(status, logger, { method: request.method, path: request.path })
      throw status
    }
  }
  const backendOf = (answer: Answer): { readonly server: Backend; readonly target: ConnectTarget } | undefined =>
    answer.type !== 'connect' || answer.target.aggregated === undefined || pipeline.aggregator === undefined
      ? undefined
      : { server: pipeline.aggregator.backend, target: answer.target }
  return {
    async request(request): Promise<ApiResponse> {
      const call = callOf(request, user, signalOf(request, options.closing), {})
      const answer = await ask(request, call)
      if (answer.type === 'watch') answer.watch.close()
      const backend = backendOf(answer)
      return backend === undefined ? responseOf(answer) : requestAggregated(backend.server, backend.target, call)
    },
    async *watch(request): AsyncGenerator<ApiWatchEvent, void, void> {
      const signal = signalOf(request, options.closing)
      if (signal.aborted) return
      let answer: Answer
      const call = callOf(request, user, signal, { watch: 'true' })
      try {
        answer = await ask(request, call)
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      const backend = backendOf(answer)
      if (backend !== undefined) {
        yield* watchAggregated(backend.server, backend.target, call)
        return
      }
      if (answer.type !== 'watch') throw new StatusError('BadRequest', 'the request is not a watch')
      yield* eventsOf(answer, signal)
    },
  }
}

const closed = (cause?: unknown): StatusError =>
  new StatusError('ServiceUnavailable', 'the server is closing', { cause, retryAfterSeconds: 1 })

async function* eventsOf(answer: Extract<Answer, { type: 'watch' }>, signal: AbortSignal): AsyncGenerator<ApiWatchEvent, void, void> {
  const { watch, served, sendsBookmarks } = answer
  let wake = (): void => {}
  let isBookmarkDue = false
  let isTimeUp = false
  const stop = (): void => watch.close()
  watch.onReady(() => wake())
  signal.addEventListener('abort', stop, { once: true })
  const bookmarks = sendsBookmarks
    ? setInterval(() => {
        isBookmarkDue = true
        wake()
      }, bookmarkIntervalMs).unref()
    : undefined
  const timeout = setTimeout(() => {
    isTimeUp = true
    wake()
  }, answer.timeoutMs).unref()
  try {
    for (;;) {
      const items = watch.take(maxItemsPerTurn)
      for (const item of items) yield eventOf(served, item)
      if (watch.isDone) break
      if (items.length > 0) continue
      if ((isBookmarkDue || isTimeUp) && sendsBookmarks) {
        isBookmarkDue = false
        yield eventOf(served, { type: 'BOOKMARK', revision: watch.revision, endsInitialEvents: false })
        // Something may have come while the bookmark was taken.
        if (!isTimeUp) continue
      }
      if (isTimeUp) return
      await waitFor(watch, (callback) => (wake = callback))
    }
    if (watch.failure !== undefined && !signal.aborted) throw watch.failure
  } finally {
    clearInterval(bookmarks)
    clearTimeout(timeout)
    signal.removeEventListener('abort', stop)
    watch.close()
  }
}

/** No await between the look at the watch and the registration: a change in between would wake nobody. */
function waitFor(watch: ResourceWatch, register: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    register(resolve)
    if (watch.isDone) resolve()
  })
}

function eventOf(served: ServedResource, item: WatchItem): ApiWatchEvent {
  return item.type === 'BOOKMARK'
    ? { type: 'BOOKMARK', object: deepFreeze(bookmarkObject(served, item)) }
    : { type: item.type, object: servedObject(served, item.object) }
}

function servedObject(served: ServedResource, object: CachedObject): KubernetesObject {
  return served.conversion === undefined ? object.object : deepFreeze(toServed(served, object.object))
}

function signalOf(request: ApiRequest, closing: AbortSignal): AbortSignal {
  return request.signal === undefined ? closing : AbortSignal.any([request.signal, closing])
}

function callOf(request: ApiRequest, user: UserInfo, signal: AbortSignal, extraQuery: Readonly<Record<string, string>>): ApiCall {
  const query = new URLSearchParams(extraQuery)
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (typeof value === 'string') query.set(name, value)
    else for (const one of value) query.append(name, one)
  }
  const { body, contentType = 'application/json' } = request
  return {
    method: request.method,
    path: request.path,
    query,
    headers: {},
    readBody: () =>
      Promise.resolve(
        body === undefined
          ? undefined
          : body instanceof Uint8Array
            ? { bytes: Buffer.from(body.buffer, body.byteOffset, body.byteLength), contentType }
            : typeof body === 'string'
              ? { bytes: Buffer.from(body), contentType }
              : { object: body, contentType },
      ),
    signal,
    warn: () => {},
    userAgent: user.name.split(':').at(-1) ?? user.name,
  }
}

function responseOf(answer: Answer): ApiResponse {
  switch (answer.type) {
    case 'stored':
      return { status: answer.code, body: servedObject(answer.served, answer.object) }
    case 'object':
      return successOf(answer.code, deepFreeze(answer.object))
    case 'list': {
      const { served, page } = answer
      const list: KubernetesList<KubernetesObject> = {
        kind: `${served.type.kind}List`,
        apiVersion: apiVersionOfServed(served),
        metadata: {
          resourceVersion: formatResourceVersion(page.revision),
          ...(page.continue === '' ? {} : { continue: page.continue }),
          ...(page.remainingItemCount === undefined ? {} : { remainingItemCount: page.remainingItemCount }),
        },
        items: page.items.map((object) => servedObject(served, object)),
      }
      return { status: 200, body: Object.freeze(list) }
    }
    case 'bytes': {
      const text = answer.bytes.toString()
      if (answer.code >= 400) throw new StatusError(answer.code === 503 ? 'ServiceUnavailable' : '', text.trim(), { code: answer.code })
      return { status: answer.code, body: answer.contentType.startsWith('application/json') ? JSON.parse(text) : text }
    }
    case 'watch':
      throw new StatusError('BadRequest', 'a watch is no request: use the transport’s watch')
    default:
      throw new StatusError('BadRequest', 'streams to kubelets need a connection over HTTP')
  }
}

/** A handler may answer a Status of failure as an object. */
function successOf(status: number, body: object): ApiResponse {
  if (status >= 400) throw statusErrorOf(body)
  return { status, body }
}
