import { hasReason } from '@k3s/api'
import { apiservices, type APIService } from '@k3s/api/types/apiregistration/v1'
import { backoffDelay } from '@k3s/lifecycle'
import { equalJson } from '../json.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { formatTime } from '../registry/write-scope.ts'
import { availabilityOf, setAvailability, type Availability } from './api-service-strategy.ts'
import { judgeAvailability } from './availability.ts'
import type { Backend } from './backend.ts'
import { fetchResources, type RemoteVersion } from './remote-discovery.ts'
import { fetchOpenApi, type RemoteOpenApi } from './remote-open-api.ts'

export interface RemoteServiceOptions {
  readonly service: APIService
  readonly core: ApiCore
  readonly backend: Backend
  /** Of the Service behind it and its endpoints. */
  readonly fingerprint: (service: APIService) => string
  /** Called when what is discovered or published changed. */
  readonly changed: () => void
}

// Upstream's resync of healthy services, and the longest wait of those that fail.
const resyncMs = 30_000
const firstRetryMs = 50
// How long documents are good.
const refreshMs = 60_000

/** Watches over one aggregated server: whether it answers, what it serves, what it publishes. */
export class RemoteService {
  readonly #options: RemoteServiceOptions
  readonly #stopped = new AbortController()
  #service: APIService
  #seen = ''
  #isDirty = false
  #wake = (): void => {}
  #discovered: RemoteVersion
  #openApi: RemoteOpenApi | undefined
  /** When documents are to be read again, in the clock's milliseconds. */
  #refreshAt = 0

  constructor(options: RemoteServiceOptions) {
    this.#options = options
    this.#service = options.service
    this.#discovered = this.#version(undefined, 'Stale')
  }

  get service(): APIService {
    return this.#service
  }

  get discovered(): RemoteVersion {
    return this.#discovered
  }

  get openApi(): RemoteOpenApi | undefined {
    return this.#openApi
  }

  /** The APIService changed. */
  replace(service: APIService): void {
    const isOther = !equalJson(service.spec, this.#service.spec)
    this.#service = service
    if (!isOther) return
    this.#refreshAt = 0
    this.#discovered = this.#version(this.#discovered.resources, this.#discovered.freshness)
    this.#check()
  }

  /** Something that it depends on may have changed. */
  look(): void {
    if (this.#options.fingerprint(this.#service) !== this.#seen) this.#check()
  }

  stop(): void {
    this.#stopped.abort()
  }

  #check(): void {
    this.#isDirty = true
    this.#wake()
  }

  #version(resources: RemoteVersion['resources'], freshness: RemoteVersion['freshness']): RemoteVersion {
    const { group = '', version = '', groupPriorityMinimum, versionPriority } = this.#service.spec
    return { group, version, priority: { group: groupPriorityMinimum, version: versionPriority }, resources, freshness }
  }

  /** Checks again and again until it is stopped or `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { core } = this.#options
    const stop = AbortSignal.any([signal, this.#stopped.signal])
    let failures = 0
    while (!stop.aborted) {
      this.#isDirty = false
      let isHealthy = false
      try {
        isHealthy = await this.#round(stop)
      } catch (error) {
        if (stop.aborted) return
        core.logger.warn({ err: error, apiService: this.#service.metadata.name }, 'APIService cannot be checked')
      }
      failures = isHealthy ? 0 : failures + 1
      if (this.#isDirty) continue
      const delay = isHealthy ? resyncMs : backoffDelay(failures - 1, { initialMs: firstRetryMs, maxMs: resyncMs, jitter: 0 })
      await this.#pause(delay, stop)
    }
  }

  /** Waits, unless something changes. */
  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    try {
      await this.#options.core.clock.sleep(delayMs, AbortSignal.any([signal, woken.signal]))
    } catch {
      // Woken or stopped: the caller looks which.
    }
    this.#wake = () => {}
  }

  /** One look. True when nothing needs to be tried again soon. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { core, backend, fingerprint } = this.#options
    const service = this.#service
    this.#seen = fingerprint(service)
    const availability = await judgeAvailability(service, { objects: core.objects, backend, signal })
    const before = availabilityOf(service)
    const isNews = before?.status !== availability.status
    if (isNews || before.reason !== availability.reason || before.message !== availability.message) await this.#write(availability)
    if (availability.status !== 'True') {
      // Upstream's discovery shows a version that cannot be asked without its resources.
      this.#show(this.#version(undefined, 'Stale'), this.#openApi)
      this.#refreshAt = 0
      return availability.reason !== 'FailedDiscoveryCheck'
    }
    if (core.clock.now() < this.#refreshAt && !isNews) return true
    const discovered = await fetchResources(backend, service, signal).then(
      (resources) => this.#version(resources, 'Current'),
      (error: unknown) => {
        signal.throwIfAborted()
        core.logger.debug({ err: error, apiService: service.metadata.name }, 'Discovery of an aggregated API server failed')
        return this.#version(undefined, 'Stale')
      },
    )
    // Shown at once: documents may take longer.
    this.#show(discovered, this.#openApi)
    this.#show(discovered, await fetchOpenApi(backend, service, { previous: this.#openApi, signal }))
    if (discovered.freshness === 'Stale') return false
    this.#refreshAt = core.clock.now() + refreshMs
    return true
  }

  #show(discovered: RemoteVersion, openApi: RemoteOpenApi | undefined): void {
    const isSame = equalJson(discovered, this.#discovered) && equalJson(openApi, this.#openApi)
    this.#discovered = discovered
    this.#openApi = openApi
    if (!isSame) this.#options.changed()
  }

  async #write(availability: Availability): Promise<void> {
    const { core } = this.#options
    const { name, uid } = this.#service.metadata
    try {
      await core.operations.guaranteedUpdate(apiservices, { namespace: '', name }, (service) => {
        if (service.metadata.uid === uid) setAvailability(service, availability, formatTime(core.clock.now()))
      })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error // it was deleted meanwhile
    }
  }
}
