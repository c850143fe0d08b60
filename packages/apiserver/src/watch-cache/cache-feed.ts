import type { StatusError } from '@k3s/api'
import { isDatastoreError, type Datastore, type KeyRange, type KeyValue, type WatchBatch, type WatchEvent } from '@k3s/datastore'
import { backoffDelay, invariant, type Clock, type Logger } from '@k3s/lifecycle'
import { unreadableOf } from '../encryption/unreadable.ts'
import { tooLargeResourceVersion } from '../errors.ts'
import { CachedObject } from './cached-object.ts'
import type { StoredResource } from './stored-resource.ts'
import { WatchCache } from './watch-cache.ts'

export interface CacheFeedOptions {
  readonly datastore: Datastore
  readonly logger: Logger
  readonly clock: Clock
}

const root = '/registry/'
const rootRange: KeyRange = rangeOf(root)
// Everything, not only the API's keys: so every revision arrives and a wait for one ends.
const everything: KeyRange = { start: Uint8Array.of(0), end: new Uint8Array() }
// Objects loaded before other work gets a turn: about 2 ms.
const loadPageSize = 500
// Upstream waits this long for its cache to reach a revision before it answers 504.
const maxRevisionWaitMs = 3000

/** All keys that begin with `prefix`. */
export function rangeOf(prefix: string): KeyRange {
  const end = Buffer.from(prefix, 'utf8')
  end[end.length - 1] = (end.at(-1) ?? 0) + 1 // prefixes end with a slash: no carry
  return { start: Buffer.from(prefix, 'utf8'), end }
}

/** What a load found of one resource. */
class Found {
  readonly objects: CachedObject[] = []
  readonly unreadable: (readonly [key: string, why: StatusError])[] = []
  readonly #resource: StoredResource

  constructor(resource: StoredResource) {
    this.#resource = resource
  }

  add(key: string, item: KeyValue): void {
    const own = key.slice(this.#resource.prefix.length)
    const why = unreadableOf(item)
    if (why === undefined) this.objects.push(CachedObject.fromStored(this.#resource, own, item.modRevision, item.value))
    else this.unreadable.push([own, why])
  }
}

/** Keeps every watch cache up to date with one watch of the datastore. */
export class CacheFeed {
  readonly #options: CacheFeedOptions
  readonly #caches = new Map<string, WatchCache>()
  /** Events for resources whose cache is being filled. */
  readonly #loading = new Map<string, { readonly key: string; readonly event: WatchEvent }[]>()
  #revision = 0
  #compactRevision = 0
  #waiters: { readonly revision: number; readonly resolve: () => void }[] = []
  #newestInFlight: { readonly result: Promise<number>; next: Promise<number> | undefined } | undefined

  constructor(options: CacheFeedOptions) {
    this.#options = options
  }

  /** Everything up to this revision is in the caches. 0 before the load. */
  get revision(): number {
    return this.#revision
  }

  /** History below this revision is gone, as far as this server knows. */
  get compactRevision(): number {
    return this.#compactRevision
  }

  /** Notes a compaction: exact lists below it expire and events that nobody may ask for any more are dropped. */
  compacted(revision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, revision)
    for (const cache of this.#caches.values()) cache.ring.dropThrough(revision - 1)
  }

  get caches(): Iterable<WatchCache> {
    return this.#caches.values()
  }

  /** The cache of a resource that is known before {@link load}. */
  add(resource: StoredResource): WatchCache {
    const known = this.#caches.get(resource.prefix)
    if (known !== undefined) return known
    const cache = new WatchCache(resource)
    this.#caches.set(resource.prefix, cache)
    return cache
  }

  /** Adds a cache while the feed runs and fills it. */
  async addLoaded(resource: StoredResource, signal?: AbortSignal): Promise<WatchCache> {
    const known = this.#caches.get(resource.prefix)
    if (known !== undefined) return known
    const missed: { readonly key: string; readonly event: WatchEvent }[] = []
    this.#loading.set(resource.prefix, missed)
    try {
      const found = new Found(resource)
      const revision = await this.#loadRange(rangeOf(resource.prefix), (key, item) => found.add(key, item), signal)
      await this.waitFor(revision, signal)
      // No await from here: what the feed applied since the list is in `missed`.
      const cache = this.add(resource)
      this.#fill(cache, revision, found)
      for (const { key, event } of missed) if (event.item.modRevision > revision) cache.apply(key, event)
      return cache
    } finally {
      this.#loading.delete(resource.prefix)
    }
  }

  /** Drops a cache: it hears of no more changes. Its watches may still take what it has, and are ended by whoever began them. */
  remove(resource: StoredResource): void {
    this.#caches.delete(resource.prefix)
  }

  /** Fills all caches. */
  async load(signal?: AbortSignal): Promise<void> {
    const loaded = new Map<WatchCache, Found>()
    for (const cache of this.#caches.values()) loaded.set(cache, new Found(cache.resource))
    const revision = await this.#loadRange(
      rootRange,
      (key, item) => {
        const cache = this.#cacheOf(key)
        if (cache === undefined) return
        loaded.get(cache)?.add(key, item)
      },
      signal,
    )
    for (const [cache, found] of loaded) this.#fill(cache, revision, found)
    this.#advance(revision)
  }

  /** Follows the datastore until the signal aborts; outlives its outages. Call after {@link load}. */
  async follow(signal: AbortSignal): Promise<void> {
    const { datastore, clock, logger } = this.#options
    for (let attempt = 0; !signal.aborted;) {
      try {
        for await (const batch of datastore.watch(everything, { fromRevision: this.#revision + 1, signal })) {
          attempt = 0
          this.#apply(batch)
        }
        if (signal.aborted) return
      } catch (error) {
        if (signal.aborted) return
        if (isDatastoreError(error) && error.code === 'Compacted') {
          logger.warn({ revision: this.#revision }, 'Watch cache fell behind the compaction and starts over')
          await this.load(signal).catch((cause: unknown) => logger.warn({ err: cause }, 'Watch cache cannot be loaded'))
        } else logger.warn({ err: error, attempt }, 'Datastore watch failed')
      }
      await clock.sleep(backoffDelay(attempt++, { maxMs: 2000 }), signal).catch(() => {}) // an abort ends the loop
    }
  }

  /** Waits until the caches hold `revision`. Throws upstream's `Too large resource version` after three seconds. */
  async waitFor(revision: number, signal?: AbortSignal): Promise<void> {
    if (this.#revision >= revision) return
    signal?.throwIfAborted()
    const reached = Promise.withResolvers<void>()
    const waiter = { revision, resolve: reached.resolve }
    this.#waiters.push(waiter)
    const done = new AbortController()
    const limit = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal])
    this.#options.clock.sleep(maxRevisionWaitMs, limit).then(
      () => reached.reject(tooLargeResourceVersion(revision, this.#revision)),
      (reason: unknown) => reached.reject(reason), // an abort; harmless once the revision was reached
    )
    try {
      await reached.promise
    } finally {
      done.abort()
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
    }
  }

  /** Waits until the caches hold everything that was written before this call. */
  async waitForNewest(signal?: AbortSignal): Promise<void> {
    await this.waitFor(await this.#newestRevision(), signal)
  }

  /** Calls that come while the datastore is being asked share the next question: its answer must be younger than the call. */
  #newestRevision(): Promise<number> {
    const { datastore } = this.#options
    const running = this.#newestInFlight
    if (running !== undefined) {
      running.next ??= running.result.then(
        () => this.#newestRevision(),
        () => this.#newestRevision(),
      )
      return running.next
    }
    const inFlight = { result: datastore.currentRevision(), next: undefined as Promise<number> | undefined } // filled by a later call
    this.#newestInFlight = inFlight
    const clear = (): void => {
      if (this.#newestInFlight === inFlight) this.#newestInFlight = undefined
    }
    inFlight.result.then(clear, clear)
    return inFlight.result
  }

  #fill(cache: WatchCache, revision: number, { objects, unreadable }: Found): void {
    cache.reset(revision, objects)
    for (const [key, why] of unreadable) {
      this.#options.logger.error({ err: why, key: cache.resource.prefix + key }, 'Stored object cannot be read')
      cache.cannotRead(key, why)
    }
  }

  #apply(batch: WatchBatch): void {
    const touched = new Set<WatchCache>()
    for (const event of batch.events) {
      const key = Buffer.from(event.item.key.buffer, event.item.key.byteOffset, event.item.key.byteLength).toString('utf8')
      const cache = this.#cacheOf(key)
      if (cache === undefined) {
        for (const [prefix, missed] of this.#loading) if (key.startsWith(prefix)) missed.push({ key: key.slice(prefix.length), event })
        continue
      }
      cache.apply(key.slice(cache.resource.prefix.length), event)
      touched.add(cache)
    }
    this.#advance(batch.revision)
    for (const cache of touched) cache.wake()
  }

  #advance(revision: number): void {
    invariant(revision >= this.#revision, 'the datastore never goes back')
    this.#revision = revision
    for (const waiter of this.#waiters) if (waiter.revision <= revision) waiter.resolve()
  }

  /** `/registry/RESOURCE/…` or `/registry/GROUP/RESOURCE/…`. */
  #cacheOf(key: string): WatchCache | undefined {
    if (!key.startsWith(root)) return undefined
    const first = key.indexOf('/', root.length)
    if (first < 0) return undefined
    const short = this.#caches.get(key.slice(0, first + 1))
    if (short !== undefined) return short
    const second = key.indexOf('/', first + 1)
    return second < 0 ? undefined : this.#caches.get(key.slice(0, second + 1))
  }

  async #loadRange(range: KeyRange, take: (key: string, item: KeyValue) => void, signal: AbortSignal | undefined): Promise<number> {
    const { datastore } = this.#options
    let revision: number | undefined
    let start = range.start
    for (;;) {
      const page = await datastore.list({ start, end: range.end }, { limit: loadPageSize, revision, signal })
      revision ??= page.revision
      let last: Uint8Array | undefined
      for (const item of page.items) {
        take(Buffer.from(item.key).toString('utf8'), item)
        last = item.key
      }
      if (!page.more || last === undefined) return revision
      start = Buffer.concat([last, Uint8Array.of(0)])
    }
  }
}
