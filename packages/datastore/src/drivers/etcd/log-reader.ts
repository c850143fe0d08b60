import type { Clock, Logger } from '@k3s/lifecycle'
import { isInRange } from '../../bytes.ts'
import type { WatchEvent } from '../../contract.ts'
import type { LoggedRevision, LogPage, LogRequest } from '../../engine/backend.ts'
import { isDatastoreError } from '../../errors.ts'
import type { Connection } from './connection.ts'
import { readLogStream } from './log-stream.ts'

/** Streams kept open for watches that are read slowly: each may hold some MiB. */
const maxParked = 8
/** A watch that has not come back by then has caught up, or is very slow. */
const parkedMs = 5000
const retryMs = 200

/** A stream of the log that stands before `next`, with what it has given beyond what was asked for. */
interface Cursor {
  next: number
  readonly previous: boolean
  readonly stream: AsyncGenerator<readonly LoggedRevision[], void, void>
  readonly stop: AbortController
  ahead: readonly LoggedRevision[]
}

/** Reads old revisions for watches that have fallen behind: page by page, from streams that wait for the next page. */
export class LogReader {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #parked = new Set<Cursor>()

  constructor(connection: Connection, clock: Clock, logger: Logger) {
    this.#connection = connection
    this.#clock = clock
    this.#logger = logger
  }

  /**
   * The page from `request.from` on, which ends at `through` at the latest, a revision that exists. Goes on after a lost connection.
   * Throws `Compacted`, `Closed`.
   */
  async read(request: LogRequest, through: number): Promise<LogPage> {
    const { from, range, maxBytes, previous } = request
    // The first revision is that of an empty etcd: the only one without an event to wait for.
    if (through === 1) return { through, events: [] }
    let cursor = this.#take(from, previous)
    const events: WatchEvent[] = []
    let bytes = 0
    while (cursor.next <= through && bytes < maxBytes) {
      const [revision, ...rest] = cursor.ahead
      if (revision === undefined) {
        cursor = await this.#advance(cursor)
        continue
      }
      cursor.ahead = rest
      cursor.next = revision.revision + 1
      for (const event of revision.events) {
        if (!isInRange(range, event.item.key)) continue
        events.push(event)
        bytes += event.item.key.length + event.item.value.length
      }
    }
    this.#park(cursor)
    return { through: cursor.next - 1, events }
  }

  #take(from: number, previous: boolean): Cursor {
    for (const cursor of this.#parked)
      if (cursor.next === from && cursor.previous === previous) {
        this.#parked.delete(cursor)
        return cursor
      }
    return this.#begin(from, previous)
  }

  #begin(from: number, previous: boolean): Cursor {
    const stop = new AbortController()
    const signal = AbortSignal.any([stop.signal, this.#connection.closing])
    return { next: from, previous, stream: readLogStream(this.#connection, { from, previous, isForLog: true, signal }), stop, ahead: [] }
  }

  /** What etcd gives next, from a new stream where the old one was lost. */
  async #advance(cursor: Cursor): Promise<Cursor> {
    try {
      const { value = [] } = await cursor.stream.next()
      return { ...cursor, ahead: value }
    } catch (error) {
      if (isDatastoreError(error) && error.code !== 'Unavailable') throw error
      this.#logger.debug({ revision: cursor.next, err: error }, 'Stream of old revisions was lost')
      await this.#clock.sleep(retryMs, this.#connection.closing)
      return this.#begin(cursor.next, cursor.previous)
    }
  }

  #park(cursor: Cursor): void {
    const [oldest] = this.#parked
    if (this.#parked.size >= maxParked && oldest !== undefined) this.#end(oldest)
    this.#parked.add(cursor)
    // Rejects when the datastore is closed, which ends the stream by itself.
    this.#clock.sleep(parkedMs, this.#connection.closing).then(
      () => this.#end(cursor),
      () => {},
    )
  }

  #end(cursor: Cursor): void {
    if (!this.#parked.delete(cursor)) return
    cursor.stop.abort()
    // It waits where it has given something: this runs what it does at its end.
    void cursor.stream.return()
  }
}
