import type { Clock, Gauge, MetricsRegistry } from '@k3s/lifecycle'
import { isInRange } from '../bytes.ts'
import type { KeyRange, Watch, WatchBatch, WatchEvent } from '../contract.ts'
import type { DatastoreError } from '../errors.ts'
import { abortable } from './abortable.ts'
import type { Backend, LoggedRevision } from './backend.ts'
import { compacted } from './evaluate.ts'

/** Bytes of recent events kept for all watchers together: what a watcher may lag before it re-reads the log. */
const ringBytes = 4 * 2 ** 20
/** Bytes of one batch that a watcher is handed, or of one page of the log. It ends with the revision that passes this. */
const maxBatchBytes = 2 ** 20

/** A watch that waits for the log to grow. */
interface Waiter {
  readonly range: KeyRange
  next: number
  /** The revision that a progress mark was asked for; 0: none. */
  wanted: number
  wake: () => void
}

/** What watches ask of a backend. */
export type WatchedLog = Pick<Backend, 'opened' | 'readLog'>

export interface WatcherOptions {
  readonly range: KeyRange
  /** The next revision that the watcher needs. */
  readonly from: number
  readonly previous: boolean
  /** 0: none. */
  readonly progressIntervalMs: number
  readonly signal: AbortSignal | undefined
}

/**
 * The tail of the log, which feeds every watch of this process.
 *
 * A watcher is the next revision that it needs; its queue is the ring of recent revisions, which all share. While its revision is in the ring
 * it reads there; when it has fallen behind the ring it reads pages of the log. An append wakes only those waiters whose range it touches,
 * and moves the others on.
 *
 * ```
 * ring 7 8 9 · revision 9 · a watcher at 10 waits, one at 8 reads the ring, one at 3 reads the log up to 9, then the ring
 * ```
 */
export class WatchHub {
  readonly #backend: WatchedLog
  readonly #clock: Clock
  readonly #watchers: Gauge
  readonly #waiters = new Set<Waiter>()
  readonly #closing = new AbortController()
  /** Entry i is revision `#revision - #ring.length + 1 + i`. */
  #ring: { readonly events: readonly WatchEvent[]; readonly bytes: number }[] = []
  #ringBytes = 0
  #revision: number
  #compactRevision: number
  #count = 0

  constructor(backend: WatchedLog, clock: Clock, metrics: MetricsRegistry) {
    this.#backend = backend
    this.#clock = clock
    this.#revision = backend.opened.revision
    this.#compactRevision = backend.opened.compactRevision
    this.#watchers = metrics.gauge({ name: 'k3s_datastore_watchers', help: 'Watches that are open' })
  }

  /** The newest revision that watchers can see; everything up to it can be read. */
  get revision(): number {
    return this.#revision
  }

  get compactRevision(): number {
    return this.#compactRevision
  }

  /** Takes what a batch wrote: the revisions that follow {@link WatchHub.revision}. */
  append(log: readonly LoggedRevision[], compactRevision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, compactRevision)
    if (log.length === 0) return
    for (const { revision, events } of log) {
      if (revision !== this.#revision + 1) throw new Error(`Invariant broken: revision ${revision} follows ${this.#revision} in the log`)
      this.#revision = revision
      const bytes = events.reduce(
        (sum, { item, previous }) => sum + 100 + item.key.length + item.value.length + (previous?.value.length ?? 0),
        0,
      )
      this.#ring.push({ events, bytes })
      this.#ringBytes += bytes
    }
    let dropped = 0
    for (; this.#ringBytes > ringBytes && dropped < this.#ring.length - 1; dropped++) this.#ringBytes -= this.#ring[dropped]?.bytes ?? 0
    if (dropped > 0) this.#ring.splice(0, dropped)
    for (const waiter of this.#waiters) {
      const isTouched = log.some(
        ({ revision, events }) => revision >= waiter.next && events.some(({ item }) => isInRange(waiter.range, item.key)),
      )
      if (!isTouched) waiter.next = Math.max(waiter.next, this.#revision + 1)
      if (isTouched || (waiter.wanted > 0 && waiter.wanted <= this.#revision)) waiter.wake()
    }
  }

  /** Ends every watch, with `error`. */
  close(error: DatastoreError): void {
    this.#closing.abort(error)
  }

  watch(options: WatcherOptions): AsyncIterableIterator<WatchBatch> & Watch {
    // A generator's return() waits for the next() in progress, so it is woken first.
    const stop = new AbortController()
    const waiter: Waiter = { range: options.range, next: options.from, wanted: 0, wake: () => {} }
    const iterator = this.#batches(waiter, options, stop.signal)
    const result: AsyncIterableIterator<WatchBatch> & Watch = {
      requestProgress: (revision) => {
        waiter.wanted = Math.max(waiter.wanted, revision)
        waiter.wake()
      },
      next: () => iterator.next(),
      return: () => {
        stop.abort()
        return iterator.return(undefined)
      },
      [Symbol.asyncIterator]: () => result,
    }
    return result
  }

  async *#batches(waiter: Waiter, options: WatcherOptions, stop: AbortSignal): AsyncGenerator<WatchBatch, void, void> {
    const ends = AbortSignal.any([stop, this.#closing.signal, ...(options.signal === undefined ? [] : [options.signal])])
    if (options.from < this.#compactRevision) throw compacted(options.from, this.#compactRevision)
    this.#watchers.set(++this.#count)
    try {
      for (;;) {
        if (this.#closing.signal.aborted) throw this.#closing.signal.reason
        if (ends.aborted) return
        if (waiter.next > this.#revision) {
          const delivered = Math.min(waiter.next - 1, this.#revision)
          if (waiter.wanted > 0 && delivered >= waiter.wanted) {
            waiter.wanted = 0
            yield { revision: delivered, events: [] }
            continue
          }
          const isProgressDue = await this.#wait(waiter, options.progressIntervalMs, ends)
          if (isProgressDue && !ends.aborted && waiter.next === this.#revision + 1) yield { revision: this.#revision, events: [] }
          continue
        }
        const ringStart = this.#revision - this.#ring.length + 1
        const page = waiter.next >= ringStart ? this.#readRing(waiter, ringStart) : await this.#readLog(waiter, options.previous, ends)
        if (page === undefined || ends.aborted) continue
        waiter.next = page.revision + 1
        if (page.events.length > 0 && page.revision >= waiter.wanted) waiter.wanted = 0
        if (page.events.length > 0) yield options.previous ? page : { revision: page.revision, events: page.events.map(withoutPrevious) }
      }
    } finally {
      this.#watchers.set(--this.#count)
    }
  }

  #readRing({ next, range }: Waiter, ringStart: number): WatchBatch {
    const events: WatchEvent[] = []
    let [revision, bytes] = [next - 1, 0]
    while (revision < this.#revision && bytes < maxBatchBytes) {
      revision++
      const entry = this.#ring[revision - ringStart]
      if (entry === undefined) throw new Error(`Invariant broken: revision ${revision} is in the ring from ${ringStart} on`)
      const touched = entry.events.filter(({ item }) => isInRange(range, item.key))
      if (touched.length === 0) continue
      events.push(...touched)
      bytes += entry.bytes
    }
    return { revision, events }
  }

  /** Undefined when the watch ends meanwhile, which a database that does not answer must not delay. */
  async #readLog({ next, range }: Waiter, previous: boolean, ends: AbortSignal): Promise<WatchBatch | undefined> {
    try {
      const page = this.#backend.readLog({ range, from: next, maxBytes: maxBatchBytes, previous })
      const { through, events } = await abortable(page, ends)
      return { revision: through, events }
    } catch (error) {
      if (ends.aborted) return undefined
      throw error
    }
  }

  /** Resolves when the log has grown by an event of the range, when the watch ends (false), or when a progress mark is due (true). */
  async #wait(waiter: Waiter, progressIntervalMs: number, ends: AbortSignal): Promise<boolean> {
    const timer = new AbortController()
    let wake: () => void = () => {}
    const woken = new Promise<false>((resolve) => {
      wake = () => resolve(false)
    })
    waiter.wake = wake
    ends.addEventListener('abort', wake, { once: true })
    this.#waiters.add(waiter)
    try {
      if (progressIntervalMs === 0) return await woken
      const due = this.#clock.sleep(progressIntervalMs, timer.signal).then(
        () => true,
        () => false, // aborted below
      )
      return await Promise.race([woken, due])
    } finally {
      this.#waiters.delete(waiter)
      ends.removeEventListener('abort', wake)
      timer.abort()
    }
  }
}

function withoutPrevious({ type, item }: WatchEvent): WatchEvent {
  return { type, item }
}
