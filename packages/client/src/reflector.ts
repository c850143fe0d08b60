import { setImmediate } from 'node:timers/promises'
import { apiVersionOf, groupResourceOf, hasReason, isStatusError, objectKey, type KubernetesObject } from '@k3s/api'
import { backoffDelay, type Clock, type Logger } from '@k3s/lifecycle'
import type { ListOptions, ResourceClient, ResourceEvent } from './client.ts'
import { deepFreeze } from './deep-freeze.ts'
import type { InformerOptions } from './informer-contract.ts'
import { byKey } from './store.ts'

/** Who is told what a reflector sees. What it throws is a bug and ends the reflector. */
export interface ReflectorSink<T> {
  /** The whole truth: what is not in `objects` is gone. The map is the sink's from now on. */
  replace(objects: Map<string, T>): Promise<void>
  /** The object was added or changed. */
  set(key: string, object: T): void
  delete(key: string, object: T): void
}

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly resource: ResourceClient<T>
  readonly select: InformerOptions
  readonly sink: ReflectorSink<T>
  readonly clock: Clock
  readonly logger: Logger
  /** Uniform in [0, 1): spreads watch timeouts and back-off. */
  readonly random: () => number
  /** False lists with pages and watches from there, for servers without WatchList. */
  readonly watchList: boolean
}

// client-go's 5 to 10 minutes: servers lose idle watches, clients spread their return.
const minWatchSeconds = 300
/** client-go's page size. */
const pageLimit = 500
/** A watch that ended sooner, with nothing to tell, counts as a failure: otherwise a server that closes at once is asked in a tight loop. */
const shortWatchMs = 1000
// Unlike client-go, which begins with 800 ms: a server that restarts on the same machine is back sooner.
const retryDelay = { initialMs: 100, maxMs: 30_000, jitter: 0.5 }
/** Work between two turns of the event loop: 250 events are well below a millisecond of ours, so handlers set the pace. */
const eventsPerTurn = 250
const initialEventsEnd = 'k8s.io/initial-events-end'

/** A failure of the sink, which is a bug: passes through what handles failures of the server. */
class SinkFailure extends Error {}

/**
 * Keeps a sink in step with one resource of an API server: list once, then watch, forever.
 *
 * It is in one of two states. *listing*: what the sink holds may be wrong; the truth is fetched, by a watch that begins with all objects
 * (WatchList) or by pages. *watching*: the sink is right as of `#resourceVersion`, and the next watch continues there. A failure that the
 * server may recover from keeps the state; `Expired` goes back to listing. So no event is lost: either the watch has it, or a listing finds its effect.
 */
export class Reflector<T extends KubernetesObject> {
  readonly #options: ReflectorOptions<T>
  readonly #logger: Logger
  #state: 'listing' | 'watching' = 'listing'
  /** Newest that was seen; a listing is asked for nothing older. Empty: anything the server has. */
  #resourceVersion = ''
  /** The next listing is by pages, because the server refused to begin a watch with all objects. */
  #byPages = false
  #eventsThisTurn = 0

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.#logger = options.logger.child({ resource: groupResourceOf(options.resource.type) })
  }

  /** Runs until `signal` aborts. Rejects only with what the sink threw. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    for (let failures = 0; !signal.aborted;) {
      const startedAt = clock.monotonic()
      const stateBefore = this.#state
      const versionBefore = this.#resourceVersion
      let outcome: 'ended' | 'retryNow' | 'retryLater' = 'ended'
      try {
        await this.#turn(signal)
      } catch (error) {
        if (error instanceof SinkFailure) throw error.cause
        if (signal.aborted) return
        outcome = this.#handleFailure(error)
      }
      const hasListed = stateBefore === 'listing' && this.#state === 'watching'
      const hasWorked = clock.monotonic() - startedAt >= shortWatchMs || (!hasListed && this.#resourceVersion !== versionBefore)
      if (hasWorked) failures = 0
      if (outcome === 'ended' && (hasWorked || hasListed)) continue
      if (outcome === 'retryNow' && failures++ === 0) continue
      await clock.sleep(backoffDelay(failures++, { ...retryDelay, random }), signal).catch(() => {}) // an abort ends the loop, too
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#state === 'watching') return this.#watch(signal)
    if (this.#options.watchList && !this.#byPages) return this.#watchList(signal)
    await this.#listPages(signal)
    this.#byPages = false
  }

  /** A watch that tells all objects first, then goes on as any other. */
  async #watchList(signal: AbortSignal): Promise<void> {
    const { resource, select, sink } = this.#options
    let initial: Map<string, T> | undefined = new Map()
    const events = resource.watch({
      ...select,
      resourceVersion: this.#resourceVersion,
      resourceVersionMatch: 'NotOlderThan',
      sendInitialEvents: true,
      allowWatchBookmarks: true,
      timeoutSeconds: this.#watchSeconds(),
      signal,
    })
    for await (const event of events) {
      if (initial === undefined) {
        this.#apply(event)
      } else if (event.type === 'BOOKMARK') {
        if (event.object.metadata.annotations?.[initialEventsEnd] !== 'true') continue
        const objects: Map<string, T> = initial
        initial = undefined
        await guard(() => sink.replace(objects))
        this.#state = 'watching'
        this.#resourceVersion = event.object.metadata.resourceVersion ?? ''
      } else {
        const object = deepFreeze(event.object)
        if (event.type === 'DELETED') initial.delete(objectKey(object))
        else initial.set(objectKey(object), object)
      }
      await this.#yieldNowAndThen()
    }
    // A server that knows no initial events ends without their bookmark.
    if (initial !== undefined && !signal.aborted) this.#byPages = true
  }

  async #listPages(signal: AbortSignal): Promise<void> {
    const { resource, select, sink } = this.#options
    const { kind } = resource.type
    const apiVersion = apiVersionOf(resource.type)
    const items: T[] = []
    // Nothing known reads what is newest. With a limit but no match, a version would be taken as an exact one.
    const version: ListOptions =
      this.#resourceVersion === '' ? {} : { resourceVersion: this.#resourceVersion, resourceVersionMatch: 'NotOlderThan' }
    let page = await resource.list({ ...select, ...version, limit: pageLimit, signal })
    for (;;) {
      for (const item of page.items) {
        // Items of a list come without their type.
        items.push(deepFreeze(item.kind === undefined ? { apiVersion, kind, ...item } : item))
        await this.#yieldNowAndThen()
      }
      const token = page.metadata.continue
      if (token === undefined || token === '') break
      try {
        page = await resource.list({ ...select, limit: pageLimit, continue: token, signal })
      } catch (error) {
        if (!isExpired(error)) throw error
        // The pages' version was compacted meanwhile: read all at once.
        items.length = 0
        page = await resource.list({ ...select, resourceVersion: '', signal })
      }
    }
    await guard(() => sink.replace(byKey(items)))
    this.#state = 'watching'
    this.#resourceVersion = page.metadata.resourceVersion
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { resource, select } = this.#options
    const events = resource.watch({
      ...select,
      resourceVersion: this.#resourceVersion,
      allowWatchBookmarks: true,
      timeoutSeconds: this.#watchSeconds(),
      signal,
    })
    for await (const event of events) {
      this.#apply(event)
      await this.#yieldNowAndThen()
    }
  }

  #apply(event: ResourceEvent<T>): void {
    const { sink } = this.#options
    const { resourceVersion } = event.object.metadata
    if (event.type !== 'BOOKMARK') {
      const object = deepFreeze(event.object)
      try {
        if (event.type === 'DELETED') sink.delete(objectKey(object), object)
        else sink.set(objectKey(object), object)
      } catch (cause) {
        throw new SinkFailure('', { cause })
      }
    }
    if (resourceVersion !== undefined) this.#resourceVersion = resourceVersion
  }

  /** Decides what is tried next, and whether that may succeed at once. */
  #handleFailure(err: unknown): 'retryNow' | 'retryLater' {
    const state = this.#state
    const isTooLarge = isResourceVersionTooLarge(err)
    if (isTooLarge || isExpired(err)) {
      // While watching, nothing older than what was seen is wanted. When that cannot be had, the server's history began anew.
      if (isTooLarge || state === 'listing') this.#resourceVersion = ''
      this.#state = 'listing'
      this.#logger.info({ err, state }, 'Watch cannot continue where it was and lists anew')
      return 'retryNow'
    }
    if (isRecoverable(err)) {
      this.#logger.debug({ err, state }, 'List or watch failed and will be retried')
      return 'retryLater'
    }
    this.#state = 'listing'
    this.#byPages = state === 'listing' && !this.#byPages
    if (this.#byPages) {
      this.#logger.debug({ err }, 'Server does not begin a watch with all objects and is asked for pages')
      return 'retryNow'
    }
    this.#logger.warn({ err, state }, 'List or watch was refused and will be retried')
    return 'retryLater'
  }

  #watchSeconds(): number {
    return Math.round(minWatchSeconds * (1 + this.#options.random()))
  }

  async #yieldNowAndThen(): Promise<void> {
    if (++this.#eventsThisTurn < eventsPerTurn) return
    this.#eventsThisTurn = 0
    await setImmediate()
  }
}

async function guard(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    throw new SinkFailure('', { cause })
  }
}

/** The server is away, busy or without an answer for now: the same question may be asked again. */
function isRecoverable(error: unknown): boolean {
  return hasReason(error, 'ServiceUnavailable', 'TooManyRequests', 'ServerTimeout', 'Timeout', 'InternalError')
}

function isExpired(error: unknown): boolean {
  return hasReason(error, 'Expired', 'Gone')
}

function isResourceVersionTooLarge(error: unknown): boolean {
  if (!isStatusError(error)) return false
  return (
    error.details?.causes?.some((cause) => cause.reason === 'ResourceVersionTooLarge') === true ||
    error.message.includes('Too large resource version')
  )
}
