import type { Bytes, KeyRange, ListResult, WatchEvent } from '../../contract.ts'
import type { BackendStatus, DueLeases, ListRequest, LogPage, LogRequest, StoredLease } from '../../engine/backend.ts'
import { checkReadable, compacted, tombstone } from '../../engine/evaluate.ts'
import type { SqlDialect, SqlRow, SqlStatement } from './dialect.ts'
import { RangeCounts } from './range-counts.ts'
import {
  itemColumns,
  itemWidth,
  plain,
  rangeCondition,
  readItem,
  readItems,
  readPosition,
  selectPosition,
  toBigInt,
  toBytes,
  toNumber,
} from './rows.ts'
import type { StoredPosition } from './rows.ts'
import { countAt, selectAt, selectLive } from './selects.ts'
import type { SessionPool } from './session-pool.ts'
import type { SqlTimeouts } from './timeouts.ts'

/** Revisions that one page of the log looks through, and rows of it at most (those of its last revision come whole). */
const maxPageRevisions = 10_000
const maxPageRows = 2000

/** Reads on connections of their own. Each sees one state of the database, and waits for no writer. */
export class SqlReader {
  readonly #dialect: SqlDialect
  readonly #pool: SessionPool
  readonly #timeouts: SqlTimeouts
  readonly #counts = new RangeCounts()

  constructor(dialect: SqlDialect, pool: SessionPool, timeouts: SqlTimeouts) {
    this.#dialect = dialect
    this.#pool = pool
    this.#timeouts = timeouts
  }

  async readPosition(): Promise<StoredPosition> {
    const [rows] = await this.#run([selectPosition])
    return readPosition(rows)
  }

  async list(request: ListRequest): Promise<ListResult> {
    const { range, revision, limit, keysOnly, countOnly } = request
    if (revision === undefined && range.end === undefined) return this.#get(range.start, request)
    if (revision !== undefined) return this.#listAt(request, revision)
    const counting = countOnly || limit > 0 ? this.#counts.plan(range) : undefined
    const { position, rows } = await this.#snapshot([
      ...(countOnly ? [] : [selectLive(rangeCondition(range, 'live.name'), { limit, keysOnly })]),
      ...(counting === undefined ? [] : [counting.statement]),
    ])
    const items = countOnly ? [] : readItems(rows[0] ?? [])
    const count = counting === undefined ? items.length : counting.finish(toNumber(rows.at(-1)?.[0]?.[0]), position)
    if (count === undefined) {
      this.#counts.forget(range)
      return this.list(request)
    }
    return { revision: position.revision, items, count, more: !countOnly && count > items.length }
  }

  async #listAt({ range, limit, keysOnly, countOnly }: ListRequest, revision: number): Promise<ListResult> {
    const { position, rows } = await this.#snapshot([
      ...(countOnly ? [] : [selectAt(range, revision, { limit, keysOnly })]),
      ...(countOnly || limit > 0 ? [countAt(range, revision)] : []),
    ])
    checkReadable(position, revision)
    const items = countOnly ? [] : readItems(rows[0] ?? [])
    const count = countOnly || limit > 0 ? toNumber(rows.at(-1)?.[0]?.[0]) : items.length
    return { revision: position.revision, items, count, more: !countOnly && count > items.length }
  }

  /** One statement: one state. */
  async #get(key: Bytes, { keysOnly, countOnly }: ListRequest): Promise<ListResult> {
    const value = keysOnly || countOnly ? { column: 'null', join: '' } : { column: 'log.value', join: 'left join log on log.id = live.id' }
    const [rows] = await this.#run([
      {
        sql: `select state.revision, ${itemColumns('live', value.column)} from state left join live on live.name = ? ${value.join}`,
        values: [key],
      },
    ])
    const row = rows?.[0] ?? []
    const item = readItem(row, 1)
    return {
      revision: toNumber(row[0]),
      items: item === undefined || countOnly ? [] : [item],
      count: item === undefined ? 0 : 1,
      more: false,
    }
  }

  async readLog({ range, from, maxBytes, previous }: LogRequest): Promise<LogPage> {
    const to = from + maxPageRevisions - 1
    const { position, rows } = await this.#snapshot([selectLogPage(range, { from, to, maxBytes, previous })])
    const { compactRevision, restoredRevision } = position
    const oldest = restoredRevision > 0 && restoredRevision === compactRevision ? compactRevision + 1 : compactRevision
    if (from < oldest) throw compacted(from, compactRevision)
    return readLogPage(rows[0] ?? [], Math.min(to, position.revision), maxBytes)
  }

  async status(): Promise<BackendStatus> {
    const { kysely } = this.#dialect
    const sizes = kysely.selectFrom(['state', 'compaction']).select(['state.written_bytes', 'compaction.freed_bytes']).compile()
    const { position, rows } = await this.#snapshot([compiled(sizes)])
    const [written, freed] = rows[0]?.[0] ?? []
    return { revision: position.revision, compactRevision: position.compactRevision, sizeBytes: toNumber(written) - toNumber(freed) }
  }

  async findLease(id: bigint): Promise<StoredLease | undefined> {
    const { kysely, nowMs } = this.#dialect
    const lease = kysely.selectFrom('lease').select(['ttl', 'deadline']).where('id', '=', id).compile()
    const keys = kysely.selectFrom('live').select('name').where('lease', '=', id).where('lease', '<>', 0n).orderBy('name').compile()
    const { rows } = await this.#snapshot([compiled(lease), compiled(keys), plain(`select ${nowMs}`)])
    const [found] = rows[0] ?? []
    if (found === undefined) return undefined
    return {
      id,
      ttlSeconds: Number(found[0]),
      deadlineMs: toNumber(found[1]),
      nowMs: Number(rows[2]?.[0]?.[0]),
      keys: (rows[1] ?? []).map(([name]) => toBytes(name)),
    }
  }

  async listLeases(): Promise<readonly bigint[]> {
    const [rows = []] = await this.#run([compiled(this.#dialect.kysely.selectFrom('lease').select('id').orderBy('id').compile())])
    return rows.map(([id]) => toBigInt(id))
  }

  async dueLeases(limit: number): Promise<DueLeases> {
    // One statement, because an idle member asks it too. One more than the limit: the first that is not due.
    const [rows = []] = await this.#run([
      {
        sql: `select clock.now_ms, next.id, next.deadline from (select ${this.#dialect.nowMs} as now_ms) clock
          left join (select id, deadline from lease order by deadline limit ?) next on 1 = 1 order by next.deadline`,
        values: [limit + 1],
      },
    ])
    const nowMs = Number(rows[0]?.[0])
    const leases = rows.flatMap(([, id, deadline]) => (id === null ? [] : { id: toBigInt(id), deadlineMs: toNumber(deadline) }))
    return {
      ids: leases.flatMap(({ id, deadlineMs }) => (deadlineMs <= nowMs ? id : [])).slice(0, limit),
      nextDeadlineMs: leases.find(({ deadlineMs }) => deadlineMs > nowMs)?.deadlineMs,
      nowMs,
    }
  }

  /** Does the statements on one state, and tells where the log stood then. */
  async #snapshot(
    statements: readonly SqlStatement[],
  ): Promise<{ readonly position: StoredPosition; readonly rows: readonly (readonly SqlRow[])[] }> {
    const all = [plain(this.#dialect.beginSnapshot), selectPosition, ...statements, plain('commit')]
    const [, position, ...rows] = await this.#pool.run(all, this.#timeouts.scanAnswerMs)
    return { position: readPosition(position), rows: rows.slice(0, -1) }
  }

  #run(statements: readonly SqlStatement[]): Promise<readonly (readonly SqlRow[])[]> {
    return this.#pool.run(statements, this.#timeouts.readAnswerMs)
  }
}

/** What Kysely has compiled. */
function compiled({ sql, parameters }: { readonly sql: string; readonly parameters: readonly unknown[] }): SqlStatement {
  return { sql, values: parameters }
}

const rowBytes = 'octet_length(log.name) + octet_length(log.value)'

/**
 * The rows of a page: whole revisions, through that one whose rows pass `maxBytes` or {@link maxPageRows}. The inner select finds where the page
 * ends without reading values; {@link readLogPage} finds the same place again. The bound `to` is repeated, for planners that do not know the inner one.
 */
export function selectLogPage(
  range: KeyRange,
  { from, to, maxBytes, previous }: Omit<LogRequest, 'range'> & { readonly to: number },
): SqlStatement {
  const condition = rangeCondition(range, 'log.name')
  const before = previous
    ? { columns: `, ${itemColumns('p', 'p.value')}`, join: 'left join log p on p.id = log.previous' }
    : { columns: '', join: '' }
  const sizes = `select log.revision, log.id, ${rowBytes} as bytes from log
    where log.revision >= ? and log.revision <= ? and ${condition.sql} order by log.revision, log.id limit ${maxPageRows}`
  const ends = `select min(revision) from (select revision, sum(bytes) over (order by revision, id) as total, row_number() over (order by revision, id) as number
    from (${sizes}) sizes) page where total >= ? or number = ${maxPageRows}`
  return {
    sql: `select ${itemColumns('log', 'log.value')}${before.columns} from log ${before.join}
      where log.revision >= ? and log.revision <= ? and log.revision <= coalesce((${ends}), ?) and ${condition.sql} order by log.revision, log.id`,
    values: [from, to, from, to, ...condition.values, maxBytes, to, ...condition.values],
  }
}

function readLogPage(rows: readonly SqlRow[], to: number, maxBytes: number): LogPage {
  let [bytes, count] = [0, 0]
  let through = to
  const events = rows.flatMap((row): WatchEvent[] => {
    const item = readItem(row)
    if (item === undefined || item.modRevision > through) return []
    count++
    bytes += item.key.length + item.value.length
    if (bytes >= maxBytes || count === maxPageRows) through = item.modRevision
    const isPut = item.version > 0
    return [
      {
        type: isPut ? 'put' : 'delete',
        item: isPut ? item : tombstone(item.key, item.modRevision),
        previous: row.length > itemWidth ? readItem(row, itemWidth) : undefined,
      },
    ]
  })
  return { through, events }
}
