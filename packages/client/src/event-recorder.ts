import { apiVersionOf, hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import { events, type Event, type ObjectReference } from '@k3s/api/types/core/v1'
import { BoundedQueue, noLogger, systemClock, type Clock, type Logger } from '@k3s/lifecycle'
import type { Client } from './client.ts'
import { EventCorrelator } from './event-correlator.ts'

export interface EventRecorderOptions {
  /** Who reports: `kubelet`, `default-scheduler`, `deployment-controller`. */
  readonly component: string
  /** The node it runs on. */
  readonly host?: string | undefined
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
}

/** Tells users what happened to an object. Disposing it sends nothing more. */
export interface EventRecorder extends Disposable {
  /**
   * Records a core/v1 Event. Returns at once and never throws: it is written in the background, counted with equal ones, and dropped when 1000 wait,
   * when an object has too many (25, then one in 5 minutes) or when the server refuses it.
   *
   * @param about an object that carries `kind` and `apiVersion`, as those from informers do; or a reference, see {@link referenceTo}.
   * @param reason short and in CamelCase: `FailedScheduling`.
   */
  event(about: KubernetesObject | ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void
}

const queueCapacity = 1000
/** Follows client-go: an event is tried twelve times, ten seconds apart, while the server cannot be reached. */
const maxAttempts = 12
const retryMs = 10_000
/** core/v1's limit. */
const maxMessageChars = 1024

/** A reference to an object of a known type, for objects that do not carry theirs. */
export function referenceTo<T extends KubernetesObject>(type: ResourceType<T>, object: T): ObjectReference {
  const { name, namespace, uid, resourceVersion } = object.metadata
  return {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  }
}

/** Makes a recorder of one component. It starts when the first event comes. */
export function createEventRecorder(client: Client, options: EventRecorderOptions): EventRecorder {
  return new Recorder(client, options)
}

class Recorder implements EventRecorder {
  readonly #client: Client
  readonly #options: EventRecorderOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #correlator = new EventCorrelator()
  readonly #queue = new BoundedQueue<Event>('events', queueCapacity)
  readonly #stop = new AbortController()
  #isSending = false
  #lastName = 0

  constructor(client: Client, options: EventRecorderOptions) {
    this.#client = client
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#logger = options.logger ?? noLogger
  }

  event(about: KubernetesObject | ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#stop.signal.aborted) return
    const event = this.#make('metadata' in about ? referenceOf(about) : about, type, reason, message)
    if (!this.#queue.offer(event)) {
      this.#logger.warn({ reason, object: event.involvedObject.name }, 'Event is dropped because too many wait')
      return
    }
    if (this.#isSending) return
    this.#isSending = true
    // Owned by the recorder: ends when it is disposed. Never rejects.
    void this.#sendAll()
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
    this.#queue.close()
  }

  #make(involvedObject: ObjectReference, type: string, reason: string, message: string): Event {
    const { component, host } = this.#options
    const now = this.#clock.now()
    // Names must differ; client-go takes the nanoseconds, we count on from the milliseconds.
    this.#lastName = Math.max(this.#lastName + 1, now * 1000)
    const timestamp = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
    return {
      metadata: {
        name: `${involvedObject.name ?? ''}.${this.#lastName.toString(16)}`,
        namespace: involvedObject.namespace || 'default',
      },
      involvedObject,
      type,
      reason,
      message: message.length > maxMessageChars ? `${message.slice(0, maxMessageChars - 3)}...` : message,
      source: { component, ...(host === undefined ? {} : { host }) },
      reportingComponent: component,
      reportingInstance: host ?? '',
      firstTimestamp: timestamp,
      lastTimestamp: timestamp,
      count: 1,
    }
  }

  async #sendAll(): Promise<void> {
    for await (const event of this.#queue) {
      const correlation = this.#correlator.correlate(event, this.#clock.now())
      if (correlation.action === 'drop') {
        this.#logger.debug({ reason: event.reason, object: event.involvedObject.name }, 'Event is dropped because its object has too many')
        continue
      }
      for (let attempt = 1; !this.#stop.signal.aborted; attempt++) {
        try {
          const name = correlation.action === 'patch' ? correlation.name : undefined
          this.#correlator.wrote(correlation.key, await this.#write(correlation.event, correlation.key, name))
          break
        } catch (err) {
          if (this.#stop.signal.aborted) return
          const isAway = hasReason(err, 'ServiceUnavailable', 'TooManyRequests', 'ServerTimeout', 'Timeout')
          if (!isAway || attempt >= maxAttempts) {
            this.#logger.debug(
              { err, reason: event.reason, object: event.involvedObject.name },
              'Event could not be written and is dropped',
            )
            break
          }
        }
        await this.#clock.sleep(retryMs, this.#stop.signal).catch(() => {}) // an abort ends the loop
      }
    }
  }

  async #write(event: Event, key: string, name: string | undefined): Promise<Event> {
    const resource = this.#client.resource(events)
    const { signal } = this.#stop
    if (name !== undefined) {
      const { count, message, lastTimestamp } = event
      try {
        const { namespace } = event.metadata
        return await resource.patch(name, { count, message, lastTimestamp }, { type: 'strategic', namespace, signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
        // It expired meanwhile: a new one begins.
        this.#correlator.forget(key)
      }
    }
    return resource.create(event, { signal })
  }
}

function referenceOf({ apiVersion, kind, metadata }: KubernetesObject): ObjectReference {
  const { name, namespace, uid, resourceVersion } = metadata
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(apiVersion === undefined ? {} : { apiVersion }),
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  }
}
