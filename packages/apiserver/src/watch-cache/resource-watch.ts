import { StatusError } from '@k3s/api'
import type { Datastore } from '@k3s/datastore'
import { toStatusError, tooOldResourceVersion } from '../errors.ts'
import { preparedView, type StorageView } from '../registry/served-resource.ts'
import type { CachedObject } from './cached-object.ts'
import type { CacheFeed } from './cache-feed.ts'
import type { CacheEvent } from './event-ring.ts'
import { readLog } from './log-reader.ts'
import { selects, type Selection } from './selection.ts'
import { Turn } from './turns.ts'
import type { WatchCache } from './watch-cache.ts'

export type WatchItem =
  | {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
      readonly object: CachedObject
      /** Present when the event is shared with other watchers: encoded forms are kept there. */
      readonly event: CacheEvent | undefined
    }
  | { readonly type: 'BOOKMARK'; readonly revision: number; readonly endsInitialEvents: boolean }

export interface ResourceWatchOptions {
  readonly cache: WatchCache
  readonly feed: CacheFeed
  readonly datastore: Datastore
  readonly selection: Selection
  /** First the current objects as ADDED; undefined: only what came after `revision`. */
  readonly initial: { readonly withEndBookmark: boolean } | undefined
  /** Where to begin when there is no `initial`. */
  readonly revision: number
  /** Of custom resources: what is shown of the stored objects. */
  readonly view?: StorageView | undefined
  /** Ends the watch when it has taken what happened until then. */
  readonly retired?: AbortSignal | undefined
}

// Objects that one request to a webhook converts.
const prepareAhead = 100

const objectsOf = ({ current, previous }: CacheEvent): readonly CachedObject[] => (previous === undefined ? [current] : [current, previous])

/**
 * One watcher: the next position it needs and nothing else. It reads the cache's ring at its own pace;
 * when the ring no longer holds that position it reads the datastore's log until it has caught up.
 *
 * Pull with `take` until it gives nothing, then wait for `onReady`. No queue of its own beyond the snapshot or one page of the log.
 */
export class ResourceWatch {
  readonly #options: ResourceWatchOptions
  readonly #epoch: number
  #snapshot: CachedObject[]
  #taken = 0
  #endBookmark: number | undefined
  #position: number | undefined
  /** Everything up to this revision was taken. */
  #revision: number
  #logPage: CacheEvent[] = []
  #isReadingLog = false
  #isPreparing = false
  /** It had its turn: others have theirs before it goes on. */
  #isResting = false
  #failure: StatusError | undefined
  #closed: (() => void) | undefined
  #isClosed = false
  #ready: (() => void) | undefined
  readonly #stop = new AbortController()
  readonly #unsubscribe: () => void

  constructor(options: ResourceWatchOptions) {
    this.#options = options
    const { cache, feed, initial, selection } = options
    this.#epoch = cache.epoch
    // No await from here to the end: snapshot and position belong together.
    if (initial === undefined) {
      this.#snapshot = []
      this.#revision = options.revision
      this.#position = cache.ring.positionAfter(options.revision)
    } else {
      this.#snapshot = cache.objects.slice(selection.keyPrefix)
      this.#revision = feed.revision
      this.#position = cache.ring.end
      if (initial.withEndBookmark) this.#endBookmark = feed.revision
    }
    const unsubscribe = cache.onChange(() => this.#ready?.())
    const retire = (): void => this.#ready?.()
    options.retired?.addEventListener('abort', retire)
    this.#unsubscribe = () => {
      unsubscribe()
      options.retired?.removeEventListener('abort', retire)
    }
  }

  /** Ended: by {@link close}, or with {@link failure}. */
  get isDone(): boolean {
    return this.#isClosed
  }

  /** Why the watch ended, to be sent as its last event. */
  get failure(): StatusError | undefined {
    return this.#failure
  }

  /** Revision up to which everything was taken: what a bookmark may say when `take` had nothing more. */
  get revision(): number {
    return this.#revision
  }

  /** Called when `take` may have something again, also when the watch ended. */
  onReady(ready: () => void): void {
    this.#ready = ready
  }

  /** Called once when the watch has ended; at once when it has. */
  onClose(closed: () => void): void {
    if (this.#isClosed) closed()
    else this.#closed = closed
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unsubscribe()
    this.#stop.abort()
    this.#resumeLog?.()
    this.#snapshot = []
    this.#logPage = []
    this.#ready?.()
    this.#closed?.()
  }

  /** At most `max` items, in order of revision. None: nothing is ready, or the watch has ended. */
  take(max: number): WatchItem[] {
    const items: WatchItem[] = []
    if (this.#isClosed || this.#isResting) return items
    const turn = new Turn()
    if (this.#options.cache.epoch !== this.#epoch) {
      this.#fail(tooOldResourceVersion(this.#revision, this.#options.feed.revision))
      return items
    }
    this.#takeSnapshot(items, max, turn)
    if (this.#snapshot.length > 0) return items
    if (this.#endBookmark !== undefined) {
      items.push({ type: 'BOOKMARK', revision: this.#endBookmark, endsInitialEvents: true })
      this.#endBookmark = undefined
    }
    this.#takeLog(items, max)
    if (this.#logPage.length === 0 && !this.#isReadingLog) this.#takeRing(items, max, turn)
    const isWaiting = this.#isReadingLog || this.#isPreparing || this.#isResting
    if (items.length === 0 && !isWaiting && this.#options.retired?.aborted === true) this.close()
    return items
  }

  #takeSnapshot(items: WatchItem[], max: number, turn: Turn): void {
    const { selection } = this.#options
    while (items.length < max && this.#taken < this.#snapshot.length) {
      if (turn.isOver) return this.#rest()
      if (
        !this.#isPrepared(this.#snapshot.slice(this.#taken, this.#taken + 1), () =>
          this.#snapshot.slice(this.#taken, this.#taken + prepareAhead),
        )
      )
        return
      const object = this.#snapshot[this.#taken++]
      if (object !== undefined && (selection.isEverything || selection.matches(object)))
        items.push({ type: 'ADDED', object: this.#shown(object), event: undefined })
    }
    if (this.#taken >= this.#snapshot.length) this.#snapshot = []
  }

  /** Ends a turn; `onReady` tells of the next. */
  #rest(): void {
    this.#isResting = true
    setImmediate(() => {
      this.#isResting = false
      this.#ready?.()
    })
  }

  #takeRing(items: WatchItem[], max: number, turn: Turn): void {
    const { ring } = this.#options.cache
    if (this.#position === undefined || this.#position < ring.base) {
      this.#isReadingLog = true
      void this.#readLog() // never rejects: failures end the watch
      return
    }
    let event = ring.at(this.#position)
    while (items.length < max && event !== undefined) {
      if (turn.isOver) return this.#rest()
      const from = this.#position
      const ahead = (): readonly CachedObject[] =>
        Array.from({ length: prepareAhead }, (_, offset) => ring.at(from + offset)).flatMap((one) =>
          one === undefined ? [] : objectsOf(one),
        )
      if (!this.#isPrepared(objectsOf(event), ahead)) return
      this.#position++
      // A watch may begin at a version that is still to come.
      if (event.revision > this.#options.revision || this.#options.initial !== undefined) {
        this.#revision = event.revision
        this.#emit(items, event, event)
      }
      event = ring.at(this.#position)
    }
    if (event === undefined) this.#revision = Math.max(this.#revision, this.#options.feed.revision)
  }

  #takeLog(items: WatchItem[], max: number): void {
    let count = 0
    for (const event of this.#logPage) {
      if (items.length >= max) break
      if (!this.#isPrepared(objectsOf(event), () => this.#logPage.slice(count, count + prepareAhead).flatMap(objectsOf))) break
      count++
      this.#emit(items, event, undefined)
    }
    this.#logPage = this.#logPage.slice(count)
    if (count > 0 && this.#logPage.length === 0) this.#resumeLog?.()
  }

  /** Upstream's transitions: an object that comes into the selection is ADDED, one that leaves it DELETED with its last selected state. */
  #emit(items: WatchItem[], event: CacheEvent, shared: CacheEvent | undefined): void {
    const { selection } = this.#options
    if (!event.current.key.startsWith(selection.keyPrefix)) return
    const was = event.previous !== undefined && selects(selection, event.previous)
    if (event.isDeletion) {
      if (was) items.push({ type: 'DELETED', object: this.#shown(event.current), event: shared })
      return
    }
    const is = selection.isEverything || selection.matches(event.current)
    if (is) items.push({ type: was ? 'MODIFIED' : 'ADDED', object: this.#shown(event.current), event: shared })
    else if (was && event.previous !== undefined)
      items.push({ type: 'DELETED', object: this.#shown(event.previous).atRevision(event.revision), event: undefined })
  }

  #shown(object: CachedObject): CachedObject {
    const { view } = this.#options
    return view === undefined ? object : preparedView(view, object)
  }

  /** False: what is needed is being converted, with what comes next; `onReady` tells when it is done. */
  #isPrepared(needed: readonly CachedObject[], ahead: () => readonly CachedObject[]): boolean {
    const { view } = this.#options
    if (view === undefined || needed.every((object) => view.at(object) !== undefined)) return true
    if (this.#isPreparing) return false
    this.#isPreparing = true
    const missing = ahead().filter((object) => view.at(object) === undefined)
    view.prepare(missing, this.#stop.signal).then(
      () => {
        this.#isPreparing = false
        this.#ready?.()
      },
      (error: unknown) => this.#fail(toStatusError(error)),
    )
    return false
  }

  #resumeLog: (() => void) | undefined

  /** Fills the log page by page, each after the one before was taken, until the ring can take over. */
  async #readLog(): Promise<void> {
    const { cache, datastore } = this.#options
    try {
      for await (const batch of readLog(datastore, cache.resource, this.#revision + 1, this.#stop.signal)) {
        this.#logPage = batch.events
        if (this.#logPage.length > 0) {
          await new Promise<void>((resolve) => {
            this.#resumeLog = resolve
            this.#ready?.()
          })
          this.#resumeLog = undefined
        }
        if (this.#isClosed) return
        this.#revision = batch.revision
        this.#position = cache.ring.positionAfter(batch.revision)
        if (this.#position !== undefined) break
      }
      this.#isReadingLog = false
      this.#ready?.()
    } catch (error) {
      this.#fail(toStatusError(error, { resource: cache.resource.type.resource, operation: 'watch', requestedRevision: this.#revision }))
    }
  }

  #fail(error: StatusError): void {
    if (this.#isClosed) return
    this.#failure = error
    this.close()
  }
}
