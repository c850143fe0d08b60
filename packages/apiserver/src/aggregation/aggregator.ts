import { apiservices, type APIService } from '@k3s/api/types/apiregistration/v1'
import { services } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import { invariant } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import { equalJson } from '../json.ts'
import type { Answer } from '../pipeline/answer.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { availabilityOf } from './api-service-strategy.ts'
import { slicesOf } from './availability.ts'
import { Backend, servicePortOf, type BackendOptions } from './backend.ts'
import type { RemoteVersion } from './remote-discovery.ts'
import { openApiKeyOf, type OpenApiPart } from './remote-open-api.ts'
import { RemoteService } from './remote-service.ts'

export interface AggregatorOptions extends Pick<BackendOptions, 'connector' | 'proxyCertificate'> {
  readonly core: ApiCore
}

// Upstream's: clients ask for all group versions before they do anything.
const discoveryTimeoutMs = 5000

/**
 * Passes requests on to the servers that APIServices name, and knows what those serve. What is passed on follows the watch cache of
 * APIServices in the same turn of the event loop.
 */
export class Aggregator {
  readonly #core: ApiCore
  readonly #backend: Backend
  readonly #remotes = new Map<string, RemoteService>()
  #generation = 0

  constructor({ core, ...options }: AggregatorOptions) {
    this.#core = core
    this.#backend = new Backend({ ...options, objects: core.objects, random: core.random })
  }

  get backend(): Backend {
    return this.#backend
  }

  /** Counts changes of {@link versions} and of OpenAPI documents. */
  get generation(): number {
    return this.#generation
  }

  /** What other servers serve. */
  get versions(): readonly RemoteVersion[] {
    return [...this.#remotes.values()].map(({ discovered }) => discovered)
  }

  /** Addresses of their OpenAPI v3 documents, by key. */
  get openApiIndex(): Readonly<Record<string, { readonly serverRelativeURL: string }>> {
    const entries = [...this.#remotes.values()].flatMap(({ service, openApi }) =>
      openApi?.v3 === undefined ? [] : [[openApiKeyOf(service), { serverRelativeURL: openApi.v3 }] as const],
    )
    return Object.fromEntries(entries)
  }

  /** What they add to the OpenAPI v2 document, by priority. */
  get openApiParts(): readonly OpenApiPart[] {
    return [...this.#remotes.values()]
      .toSorted((a, b) => b.service.spec.groupPriorityMinimum - a.service.spec.groupPriorityMinimum)
      .flatMap(({ openApi }) => openApi?.v2 ?? [])
  }

  /** Where a request goes when another server answers it; undefined: it is ours. */
  answer(call: Pick<ApiCall, 'path' | 'query'>, user: UserInfo): Answer | undefined {
    if (this.#remotes.size === 0) return undefined
    const parts = call.path.split('/').filter((part) => part !== '')
    const [prefix, group = '', version = ''] = parts
    if (prefix === 'openapi' && group === 'v3') return this.#openApiAnswer(call, parts.slice(2).join('/'), user)
    const name = prefix === 'apis' ? `${version}.${group}` : prefix === 'api' ? `${group}.` : ''
    const remote = this.#remotes.get(name)
    return remote === undefined ? undefined : this.#pass(remote.service, call, user, parts.length === (prefix === 'api' ? 2 : 3))
  }

  #openApiAnswer(call: Pick<ApiCall, 'path' | 'query'>, key: string, user: UserInfo): Answer | undefined {
    const remote = [...this.#remotes.values()].find(({ service, openApi }) => openApi?.v3 !== undefined && openApiKeyOf(service) === key)
    return remote === undefined ? undefined : this.#pass(remote.service, call, user, true)
  }

  #pass(service: APIService, { path, query }: Pick<ApiCall, 'path' | 'query'>, user: UserInfo, isDiscovery: boolean): Answer {
    if (availabilityOf(service)?.status !== 'True') return unavailable
    const text = query.toString()
    try {
      const target = this.#backend.target(service, text === '' ? path : `${path}?${text}`, user)
      const { aggregated } = target
      return {
        type: 'connect',
        target:
          isDiscovery && aggregated !== undefined ? { ...target, aggregated: { ...aggregated, timeoutMs: discoveryTimeoutMs } } : target,
      }
    } catch (error) {
      this.#core.logger.debug({ err: error, apiService: service.metadata.name }, 'Aggregated API server cannot be reached')
      return unavailable
    }
  }

  /** Follows the caches until the signal aborts. The returned promise resolves when all work has ended. */
  start(signal: AbortSignal): { readonly ended: Promise<void> } {
    const work = new Set<Promise<void>>()
    const cacheOf = (type: Parameters<ApiCore['table']['find']>[0]) => {
      const storage = this.#core.table.find(type)?.storage
      invariant(storage !== undefined, `${type.resource} are stored`)
      return storage.cache
    }
    const sync = (): void => this.#sync(signal, work)
    const look = (): void => {
      for (const remote of this.#remotes.values()) remote.look()
    }
    const stops = [cacheOf(apiservices).onChange(sync), cacheOf(services).onChange(look), cacheOf(endpointslices).onChange(look)]
    sync()
    const ended = new Promise<void>((resolve) => {
      const finish = (): void => {
        for (const stop of stops) stop()
        void Promise.all(work).then(() => resolve()) // never rejects
      }
      if (signal.aborted) finish()
      else signal.addEventListener('abort', finish, { once: true })
    })
    return { ended }
  }

  #sync(signal: AbortSignal, work: Set<Promise<void>>): void {
    const { objects } = this.#core
    const present = objects.list(apiservices).filter((service) => servicePortOf(service) !== undefined)
    const names = new Set(present.map(({ metadata }) => metadata.name))
    for (const [name, remote] of this.#remotes) {
      if (names.has(name)) continue
      remote.stop()
      this.#remotes.delete(name)
      this.#generation++
    }
    for (const service of present) {
      const known = this.#remotes.get(service.metadata.name)
      if (known !== undefined) {
        const isOther = !equalJson(known.service.spec, service.spec)
        known.replace(service)
        if (isOther) this.#generation++
        continue
      }
      const remote = new RemoteService({
        service,
        core: this.#core,
        backend: this.#backend,
        fingerprint: (of) => this.#fingerprint(of),
        changed: () => void this.#generation++,
      })
      this.#remotes.set(service.metadata.name, remote)
      this.#generation++
      const running = remote.run(signal).finally(() => work.delete(running))
      work.add(running)
    }
  }

  /** Says whether the Service of an APIService or its endpoints changed. */
  #fingerprint(service: APIService): string {
    const port = servicePortOf(service)
    if (port === undefined) return ''
    const { objects } = this.#core
    const versions = slicesOf(objects, port.namespace, port.name).map(({ metadata }) => metadata.resourceVersion)
    return [objects.get(services, port.namespace, port.name)?.metadata.resourceVersion, ...versions].join(' ')
  }
}

const unavailable: Answer = {
  type: 'bytes',
  code: 503,
  contentType: 'text/plain; charset=utf-8',
  bytes: 'service unavailable\n',
  headers: { 'x-content-type-options': 'nosniff' },
}
