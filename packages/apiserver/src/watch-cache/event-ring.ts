import type { CachedObject } from './cached-object.ts'

/** What happened to one object. */
export interface CacheEvent {
  readonly revision: number
  /** The new state; of a deletion the last one, with the deletion's revision. */
  readonly current: CachedObject
  readonly isDeletion: boolean
  readonly previous: CachedObject | undefined
  /** Encoded forms that were sent lately, by form and event type: made once for all watchers. */
  frames: Map<string, Buffer> | undefined
}

export interface EventRingOptions {
  readonly maxEvents: number
  readonly maxBytes: number
}

// 4096 events let a watcher that stalls for a second during a burst go on without reading the log; 8 MB bounds large objects.
const defaultEventRingOptions: EventRingOptions = { maxEvents: 4096, maxBytes: 8 * 1024 * 1024 }

// Watchers that keep up read an event in the turn in which it came; these many keep their encoded forms.
const encodedWindow = 256

/**
 * The recent events of one resource, in order of revision. Positions count events since the start and never go back.
 *
 * With events of revisions 5, 7 and 7 in it and `startRevision` 4: `positionAfter(5)` is that of the first 7;
 * once the 5 is dropped `startRevision` is 5, and `positionAfter(4)` is undefined: who needs it must read the datastore's log.
 */
export class EventRing {
  readonly #options: EventRingOptions
  /** Dropped ones are undefined until the array is cut. */
  #events: (CacheEvent | undefined)[] = []
  /** Index in `#events` of the oldest event. */
  #first = 0
  /** Position of the oldest event. */
  #base = 0
  #bytes = 0
  #startRevision: number

  constructor(startRevision: number, options: EventRingOptions = defaultEventRingOptions) {
    this.#startRevision = startRevision
    this.#options = options
  }

  /** Every event after this revision is here. */
  get startRevision(): number {
    return this.#startRevision
  }

  /** Position of the oldest event. */
  get base(): number {
    return this.#base
  }

  /** Position of the next event to come. */
  get end(): number {
    return this.#base + this.#events.length - this.#first
  }

  push(event: CacheEvent): void {
    this.#events.push(event)
    this.#bytes += sizeOf(event)
    while (this.end - this.#base > this.#options.maxEvents || (this.#bytes > this.#options.maxBytes && this.end - this.#base > 1))
      this.#dropOldest()
    const settled = this.at(this.end - 1 - encodedWindow)
    if (settled !== undefined) settled.frames = undefined
  }

  at(position: number): CacheEvent | undefined {
    return position < this.#base ? undefined : this.#events[this.#first + position - this.#base]
  }

  /** Position of the first event after `revision`; undefined when events after it were dropped. */
  positionAfter(revision: number): number | undefined {
    if (revision < this.#startRevision) return undefined
    let low = this.#base
    let high = this.end
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.at(middle)?.revision ?? 0) <= revision) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Drops events up to `revision`, which nobody may ask for any more. */
  dropThrough(revision: number): void {
    while (this.end > this.#base && (this.at(this.#base)?.revision ?? 0) <= revision) this.#dropOldest()
    this.#startRevision = Math.max(this.#startRevision, revision)
  }

  #dropOldest(): void {
    const oldest = this.#events[this.#first]
    if (oldest === undefined) return
    this.#events[this.#first++] = undefined
    this.#base++
    this.#bytes -= sizeOf(oldest)
    this.#startRevision = Math.max(this.#startRevision, oldest.revision)
    if (this.#first > 1024 && this.#first * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#first)
      this.#first = 0
    }
  }
}

/** What an event keeps alive: a deletion nothing but what was there before, as long as nobody hears of it. */
function sizeOf({ current, previous, isDeletion }: CacheEvent): number {
  return (isDeletion ? 0 : current.size) + (previous?.size ?? 0)
}
