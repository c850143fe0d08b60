import { append, backoffDelay, noLogger } from '@k3s/lifecycle'
import type { Clock, Gauge, Logger, MetricsRegistry } from '@k3s/lifecycle'
import { emptyBytes, isInRange } from '../bytes.ts'
import type { KeyRange, Watch, WatchBatch, WatchEvent } from '../contract.ts'
import { isDatastoreError } from '../errors.ts'
import type { DatastoreError } from '../errors.ts'
import { abortable } from './abortable.ts'
import type { Backend, LoggedRevision, LogPosition } from './backend.ts'
import { compacted } from './evaluate.ts'

/** Bytes of recent events kept for all watchers together: what a watcher may lag before it re-reads the log. */
const ringBytes = 4 * 2 ** 20
/** Bytes of one batch that a watcher is handed, or of one page of the log. It ends with the revision that passes this. */
const maxBatchBytes = 2 ** 20
/** Between attempts to read the log of a database that is away: soon back after it is. */
const retryDelay = { initialMs: 50, maxMs: 1000 } as const

interface RingEntry {
  readonly events: readonly WatchEvent[]
  readonly bytes: number
}

/** A watch that waits for the log to grow. */
interface Waiter {
  readonly range: KeyRange
  next: number
  /** The revision that a progress mark was asked for; 0: none. */
  wanted: number
  wake: () => void
}

/** What watches ask of a backend. */
export type WatchedLog = Pick<Backend, 'opened' | 'readLog' | 'shared'>

export interface WatcherOptions {
  readonly range: KeyRange
  /** The next revision that the watcher needs; the watch ends with the failure of a promise. */
  readonly from: number | Promise<number>
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
 *
 * Of a log to which others append too, the hub reads what it has not been given: it learns by {@link WatchHub.note} how far the log has got.
 * What this process has written then waits, if need be, until what came before it was read.
 *
 * ```
 * revision 9 · 10 was written by another, 11 by us, which waits in `ahead` · the hub reads 10 from the log (with it 11, if it is there), then takes 11
 * ```
 */
export class WatchHub {
  readonly #backend: WatchedLog
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #watchers: Gauge
  readonly #waiters = new Set<Waiter>()
  readonly #closing = new AbortController()
  /** Entry i is revision `#revision - #ring.length + 1 + i`. */
  #ring: RingEntry[] = []
  #ringBytes = 0
  #revision: number
  #compactRevision: number
  #newest = 0
  #count = 0
  /** How far the log is known to reach. */
  #target: number
  /** Revisions that this process has written, which others that were not read yet precede. */
  #ahead: LoggedRevision[] = []
  #wakeTail: () => void = () => {}

  constructor(backend: WatchedLog, clock: Clock, metrics: MetricsRegistry, logger: Logger = noLogger) {
    this.#backend = backend
    this.#clock = clock
    this.#logger = logger
    this.#target = backend.opened.revision
    this.#revision = backend.opened.revision
    this.#compactRevision = backend.opened.compactRevision
    this.#watchers = metrics.gauge({ name: 'k3s_datastore_watchers', help: 'Watches that are open' })
  }

  /** The newest revision that watchers can see; everything up to it can be read. */
  get revision(): number {
    return this.#revision
  }

  /** The newest revision that any watcher has seen: a page of the log may hold what was not appended here yet. */
  get newest(): number {
    return Math.max(this.#newest, this.#revision)
  }

  get compactRevision(): number {
    return this.#compactRevision
  }

  /** Takes what a batch of this process wrote. */
  append(log: readonly LoggedRevision[], compactRevision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, compactRevision)
    const [first] = log
    if (first === undefined) return
    if (first.revision > this.#revision + 1) {
      if (this.#backend.shared === undefined)
        throw new Error(`Invariant broken: revision ${first.revision} follows ${this.#revision} in the log`)
      append(this.#ahead, log)
      // More than the ring holds is better read again.
      if (this.#ahead.reduce((sum, { events }) => sum + sizeOf(events), 0) > ringBytes) this.#ahead = []
      this.#setTarget(log.at(-1)?.revision ?? 0)
      return
    }
    this.#take(log)
  }

  /** Says how far the log reaches, whoever wrote; an older position does nothing. */
  note({ revision, compactRevision }: LogPosition): void {
    this.#compactRevision = Math.max(this.#compactRevision, compactRevision)
    this.#setTarget(revision)
  }

  /** Reads what others append, until the signal aborts; over outages of the database too. To be run for a log that is shared. */
  async tail(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      if (this.#target <= this.#revision) {
        await new Promise<void>((resolve) => {
          this.#wakeTail = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
        continue
      }
      try {
        const hasGrown = await this.#readTail()
        failures = hasGrown ? 0 : failures + 1
      } catch (error) {
        if (signal.aborted) return
        if (failures++ === 0) this.#logger.warn({ err: error }, 'Log could not be read')
      }
      if (failures > 0) await this.#clock.sleep(backoffDelay(failures - 1, retryDelay), signal).catch(() => {}) // aborted: the loop ends
    }
  }

  /** Ends every watch, with `error`. */
  close(error: DatastoreError): void {
    this.#closing.abort(error)
  }

  watch(options: WatcherOptions): AsyncIterableIterator<WatchBatch> & Watch {
    // A generator's return() waits for the next() in progress, so it is woken first.
    const stop = new AbortController()
    const waiter: Waiter = { range: options.range, next: 0, wanted: 0, wake: () => {} }
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
    this.#watchers.set(++this.#count)
    try {
      const from = typeof options.from === 'number' ? options.from : await unlessAborted(options.from, ends)
      if (from !== undefined && from < this.#compactRevision) throw compacted(from, this.#compactRevision)
      waiter.next = from ?? this.#revision + 1
      let failures = 0
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
        if (ends.aborted) continue
        if (page === undefined) {
          await this.#clock.sleep(backoffDelay(failures++, retryDelay), ends).catch(() => {}) // aborted: looked at above
          continue
        }
        failures = 0
        waiter.next = page.revision + 1
        this.#newest = Math.max(this.#newest, page.revision)
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
      append(events, touched)
      bytes += entry.bytes
    }
    return { revision, events }
  }

  /** Undefined: not now, as a database that is shared is away; or the watch ends meanwhile, which one that does not answer must not delay. */
  async #readLog({ next, range }: Waiter, previous: boolean, ends: AbortSignal): Promise<WatchBatch | undefined> {
    try {
      const page = await unlessAborted(this.#backend.readLog({ range, from: next, maxBytes: maxBatchBytes, previous }), ends)
      return page === undefined ? undefined : { revision: page.through, events: page.events }
    } catch (error) {
      if (this.#backend.shared !== undefined && isDatastoreError(error) && error.code === 'Unavailable') return undefined
      throw error
    }
  }

  #setTarget(revision: number): void {
    if (revision <= this.#target) return
    this.#target = revision
    if (revision > this.#revision) this.#wakeTail()
  }

  /** Takes one page of the log; false when it is not there yet. */
  async #readTail(): Promise<boolean> {
    const from = this.#revision + 1
    let page
    try {
      page = await this.#backend.readLog({ range: everything, from, maxBytes: maxBatchBytes, previous: true })
    } catch (error) {
      if (!isDatastoreError(error) || error.code !== 'Compacted') throw error
      this.#skip(error.revision ?? 0)
      return true
    }
    this.#take(byRevision(page.events, from, page.through))
    return page.through >= from
  }

  /**
   * Appends revisions to the ring, and what was ahead and now follows. Those that are there already, as they were written here and read too,
   * are left out.
   * No await between the look at the revision and the append: each revision is appended once, in order.
   */
  #take(log: readonly LoggedRevision[]): void {
    const added: LoggedRevision[] = []
    for (const entry of [...log, ...this.#ahead]) {
      if (entry.revision !== this.#revision + 1) continue
      this.#revision = entry.revision
      const bytes = sizeOf(entry.events)
      this.#ring.push({ events: entry.events, bytes })
      this.#ringBytes += bytes
      added.push(entry)
    }
    if (this.#ahead.length > 0) this.#ahead = this.#ahead.filter(({ revision }) => revision > this.#revision)
    this.#target = Math.max(this.#target, this.#revision)
    let dropped = 0
    for (; this.#ringBytes > ringBytes && dropped < this.#ring.length - 1; dropped++) this.#ringBytes -= this.#ring[dropped]?.bytes ?? 0
    if (dropped > 0) this.#ring.splice(0, dropped)
    for (const waiter of this.#waiters) {
      const isTouched = added.some(
        ({ revision, events }) => revision >= waiter.next && events.some(({ item }) => isInRange(waiter.range, item.key)),
      )
      if (!isTouched) waiter.next = Math.max(waiter.next, this.#revision + 1)
      if (isTouched || (waiter.wanted > 0 && waiter.wanted <= this.#revision)) waiter.wake()
    }
  }

  /** Goes on behind history that others have compacted before it was read here: watchers that need it find out that it is gone. */
  #skip(compactRevision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, compactRevision)
    this.#revision = Math.max(this.#revision + 1, compactRevision - 1)
    this.#target = Math.max(this.#target, this.#revision)
    this.#ring = []
    this.#ringBytes = 0
    for (const waiter of this.#waiters) waiter.wake()
  }

  /** Resolves when the log has grown by an event of the range, when the watch ends (false), or when a progress mark is due (true). */
  async #wait(waiter: Waiter, progressIntervalMs: number, ends: AbortSignal): Promise<boolean> {
    let wake: () => void = () => {}
    const woken = new Promise<false>((resolve) => {
      wake = () => resolve(false)
    })
    waiter.wake = wake
    let timer: AbortController | undefined
    ends.addEventListener('abort', wake, { once: true })
    this.#waiters.add(waiter)
    try {
      if (progressIntervalMs === 0) return await woken
      timer = new AbortController()
      const due = this.#clock.sleep(progressIntervalMs, timer.signal).then(
        () => true,
        () => false, // aborted below
      )
      return await Promise.race([woken, due])
    } finally {
      this.#waiters.delete(waiter)
      ends.removeEventListener('abort', wake)
      timer?.abort()
    }
  }
}

function sizeOf(events: readonly WatchEvent[]): number {
  return events.reduce((sum, { item, previous }) => sum + 100 + item.key.length + item.value.length + (previous?.value.length ?? 0), 0)
}

const everything: KeyRange = { start: emptyBytes, end: emptyBytes }

/** Undefined when the signal aborts first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return abortable<T | undefined>(promise, signal).catch((error: unknown) => {
    if (signal.aborted) return undefined
    throw error
  })
}

/** The events of a page, each revision's together. */
function byRevision(events: readonly WatchEvent[], from: number, through: number): readonly LoggedRevision[] {
  const log: { readonly revision: number; readonly events: WatchEvent[] }[] = []
  for (let revision = from; revision <= through; revision++) log.push({ revision, events: [] })
  for (const event of events) log[event.item.modRevision - from]?.events.push(event)
  return log
}

function withoutPrevious({ type, item }: WatchEvent): WatchEvent {
  return { type, item }
}
