import { statSync } from 'node:fs'
import type { WatchEvent } from '../../contract.ts'
import type { BackendStatus, DueLeases, ListRequest, LogRequest, StoredLease } from '../../engine/backend.ts'
import { checkReadable, compacted, tombstone } from '../../engine/evaluate.ts'
import type { PackedItems } from '../../engine/packed-list.ts'
import { ByteWriter } from '../byte-stream.ts'
import { writeEvent } from './codec.ts'
import type { SqlDatabase, SqlEngine } from './database.ts'
import { findProblems } from './integrity.ts'
import { checkComplete, restoredRevision } from './restore.ts'
import { openReader, openReadOnly, readNumber } from './schema.ts'
import { scanPacked } from './packed-items.ts'
import { RangeCounts } from './range-counts.ts'
import { countItems, findFirstId, itemColumns, rangeCondition, readItemRow, readPosition, Statements } from './store.ts'
import type { LogPosition } from './store.ts'

/** Revisions that one page of the log looks through. */
const maxPageRevisions = 10_000

/** The connection for reads. Each call sees one state of the file, whatever the writer does meanwhile: the newest when its turn began. */
export class Reader {
  readonly #path: string
  readonly #database: SqlDatabase
  readonly #statements: Statements
  readonly #counts: RangeCounts
  /** The state that is held. */
  #turn: LogPosition | undefined
  /** The history of a restored file begins after this; -1 for one that was not restored. */
  #restored: number | undefined

  /** `isAlone`: no writer of this process has opened and checked the file. */
  constructor(engine: SqlEngine, path: string, { isAlone }: { readonly isAlone: boolean }) {
    this.#path = path
    this.#database = isAlone ? openReadOnly(engine, path) : openReader(engine, path)
    try {
      if (isAlone) checkComplete(this.#database, path)
    } catch (error) {
      this.#database.close()
      throw error
    }
    this.#statements = new Statements(this.#database)
    this.#counts = new RangeCounts(this.#statements)
  }

  /** Sends the items in parts of bounded size while it reads them; the last of them comes with the end. */
  list({ range, revision, limit, keysOnly, countOnly }: ListRequest, sendPart: (part: PackedItems) => void): ListEnd {
    return this.#snapshot((state) => {
      checkReadable(state, revision)
      const at = revision === state.revision ? undefined : revision
      let last: PackedItems | undefined
      const onPart = (part: PackedItems): void => {
        if (last !== undefined) sendPart(last)
        last = part
      }
      const taken = countOnly ? 0 : scanPacked(this.#statements, range, { revision: at, limit, keysOnly }, onPart)
      const isWhole = !countOnly && (limit === 0 || taken < limit)
      const count = isWhole ? taken : at === undefined ? this.#counts.count(range, state) : countItems(this.#statements, range, at)
      return { revision: state.revision, count, more: !countOnly && count > taken, last }
    })
  }

  readLog({ range, from, maxBytes, previous }: LogRequest): LogPageMessage {
    return this.#snapshot((state) => {
      if (from < state.compactRevision) throw compacted(from, state.compactRevision)
      this.#restored ??= restoredRevision(this.#database) ?? -1
      if (from <= this.#restored) throw compacted(from, this.#restored + 1)
      const to = Math.min(state.revision, from + maxPageRevisions - 1)
      const [condition, ...parameters] = rangeCondition(range, 'log.key')
      const before = previous
        ? { columns: `, ${itemColumns('p', 'p.value')}`, join: 'left join log p on p.id = log.previous' }
        : { columns: '', join: '' }
      const sql = `select ${itemColumns('log', 'log.value')}${before.columns} from log ${before.join}
        where log.id >= ? and log.id < ? and ${condition} order by log.id`
      const [first, end] = [findFirstId(this.#statements, from), findFirstId(this.#statements, to + 1)]
      const events = new ByteWriter()
      let count = 0
      let through = to
      let last = from
      for (const row of this.#statements.of(sql).iterate(first, end, ...parameters)) {
        const item = readItemRow(row)
        // A page ends between revisions only.
        if (item.modRevision !== last && events.length >= maxBytes) {
          through = item.modRevision - 1
          break
        }
        last = item.modRevision
        const event: WatchEvent = {
          type: item.version > 0 ? 'put' : 'delete',
          item: item.version > 0 ? item : tombstone(item.key, item.modRevision),
          previous: previous && row[7] !== null ? readItemRow(row, 7) : undefined,
        }
        writeEvent(events, event)
        count++
      }
      return { through, count, events: events.finish() }
    })
  }

  status(): BackendStatus {
    return this.#snapshot(({ revision, compactRevision }) => {
      const fileBytes = readNumber(this.#database, 'pragma page_count') * readNumber(this.#database, 'pragma page_size')
      const logBytes = statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0
      return { revision, compactRevision, sizeBytes: fileBytes + logBytes }
    })
  }

  findLease(id: bigint): StoredLease | undefined {
    return this.#snapshot(() => {
      const row = this.#statements.of('select ttl, deadline from lease where id = ?').get(String(id))
      if (row === undefined) return undefined
      const keys = this.#statements.of('select key from live where lease = ? order by key').all(String(id))
      return {
        id,
        ttlSeconds: Number(row[0]),
        deadlineMs: Number(row[1]),
        // Copies: a row's buffer may be a part of a larger one, which would be cloned whole.
        keys: keys.map(([key]) => Uint8Array.from(key instanceof Uint8Array ? key : [])),
      }
    })
  }

  listLeases(): readonly bigint[] {
    return this.#statements
      .of('select id from lease')
      .all()
      .map(([id]) => BigInt(id as string)) // stored as text
  }

  dueLeases(nowMs: number, limit: number): DueLeases {
    return this.#snapshot(() => {
      const due = this.#statements.of('select id from lease where deadline <= ? order by deadline limit ?').all(nowMs, limit)
      const next = this.#statements.of('select deadline from lease where deadline > ? order by deadline limit 1').get(nowMs)
      return { ids: due.map(([id]) => BigInt(id as string)), nextDeadlineMs: next === undefined ? undefined : Number(next[0]) } // stored as text
    })
  }

  /** What is wrong with the file: SQLite's own findings, and rows that contradict each other. Reads the whole file. */
  checkIntegrity(): readonly string[] {
    return this.#snapshot(() => findProblems(this.#statements))
  }

  /** The next read is of a newer state. To be called between calls, soon: the write-ahead log cannot begin anew while a state is held. */
  endTurn(): void {
    if (this.#turn === undefined) return
    this.#turn = undefined
    this.#statements.of('commit').run()
  }

  close(): void {
    this.endTurn()
    this.#database.close()
  }

  /** Reads at the state of this turn, which is that of its first read. */
  #snapshot<T>(read: (state: LogPosition) => T): T {
    if (this.#turn === undefined) {
      this.#statements.of('begin').run()
      this.#turn = readPosition(this.#statements)
    }
    return read(this.#turn)
  }
}

/** What ends a list, after its parts. */
export interface ListEnd {
  readonly revision: number
  readonly count: number
  readonly more: boolean
  readonly last: PackedItems | undefined
}

/** A page of the log; `events` holds `count` encoded events. */
export interface LogPageMessage {
  readonly through: number
  readonly count: number
  readonly events: Uint8Array<ArrayBuffer>
}
