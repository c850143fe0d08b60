import { emptyBytes } from '../../bytes.ts'
import type { Bytes, KeyRange, KeyValue } from '../../contract.ts'
import type { LeaseRow, Store, StoreList, StoreListOptions } from '../../engine/store.ts'
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from './database.ts'

/** An item with the id of its row in the log. */
export interface SqliteItem extends KeyValue {
  readonly rowId: number
}

/** The condition that a key is in the range, with its parameters. */
export function rangeCondition({ start, end }: KeyRange, column: string): readonly [sql: string, ...parameters: SqlValue[]] {
  if (end === undefined) return [`${column} = ?`, start]
  if (end.length === 0) return [`${column} >= ?`, start]
  return [`${column} >= ? and ${column} < ?`, start, end]
}

/** The columns of an item, as {@link readItemRow} reads them; the key is given or comes last. */
export function itemColumns(meta: string, value: string): string {
  return `${meta}.id, ${meta}.revision, ${meta}.created, ${meta}.version, ${meta}.lease, ${value} as value, ${meta}.key`
}

export function readItemRow(row: SqlRow, offset = 0): SqliteItem {
  const [rowId, modRevision, createRevision, version, lease, value, key] = offset === 0 ? row : row.slice(offset)
  return {
    rowId: Number(rowId),
    modRevision: safeRevision(modRevision),
    createRevision: Number(createRevision),
    version: Number(version),
    leaseId: typeof lease === 'string' ? BigInt(lease) : 0n,
    value: value instanceof Uint8Array ? value : emptyBytes,
    key: key instanceof Uint8Array ? key : emptyBytes,
  }
}

function safeRevision(value: SqlValue | undefined): number {
  const revision = Number(value)
  if (!Number.isSafeInteger(revision)) throw new Error(`Invariant broken: revision ${revision} is a safe integer`)
  return revision
}

/** Statements of one connection, prepared once. */
export class Statements {
  readonly #database: SqlDatabase
  readonly #prepared = new Map<string, SqlStatement>()

  constructor(database: SqlDatabase) {
    this.#database = database
  }

  of(sql: string): SqlStatement {
    let statement = this.#prepared.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#prepared.set(sql, statement)
    }
    return statement
  }
}

/** The statements that read a range, with what they are given: the limit is -1 for none. */
export interface ItemSource {
  readonly items: string
  readonly itemParameters: (limit: number) => readonly SqlValue[]
  readonly count: string
  readonly countParameters: readonly SqlValue[]
}

function presentItems(range: KeyRange, keysOnly: boolean): ItemSource {
  const [condition, ...parameters] = rangeCondition(range, 'live.key')
  const items = keysOnly
    ? `select ${itemColumns('live', "x''")} from live where ${condition} order by live.key limit ?`
    : `select ${itemColumns('live', 'log.value')} from live cross join log on log.id = live.id where ${condition} order by live.key limit ?`
  return {
    items,
    itemParameters: (limit) => [...parameters, limit],
    count: `select count(*) from live where ${condition}`,
    countParameters: parameters,
  }
}

/**
 * What lived at a revision lives still, or has a tombstone since; of its rows it is the newest that is not younger than the revision, and is
 * reached from the last one through `previous`.
 */
function itemsAt(range: KeyRange, revision: number, keysOnly: boolean): ItemSource {
  const [ofLive, ...keys] = rangeCondition(range, 'live.key')
  const [ofTombstone] = rangeCondition(range, 'log.key')
  const lives = `select live.key as key, live.id as id from live where ${ofLive} and live.created <= ?
    union all select log.key, log.previous from log indexed by log_tombstone cross join log ended on ended.id = log.previous
      where log.version = 0 and log.revision > ? and ${ofTombstone} and ended.created <= ?`
  const reached = `(with recursive back (id, previous, revision) as (
      select id, previous, revision from log where id = life.id
      union all select log.id, log.previous, log.revision from back cross join log on log.id = back.previous where back.revision > ?)
    select id from back where revision <= ?)`
  const items = `select ${itemColumns('log', keysOnly ? "x''" : 'log.value')}
    from (${lives} order by key limit ?) life cross join log on log.id = ${reached} order by life.key`
  const parameters = [...keys, revision, revision, ...keys, revision]
  return {
    items,
    itemParameters: (limit) => [...parameters, limit, revision, revision],
    count: `select count(*) from (${lives})`,
    countParameters: parameters,
  }
}

/** How to read the live items of a range in byte order of keys, or those at an older revision, which the caller has found readable. */
export function itemSource(range: KeyRange, revision: number | undefined, keysOnly: boolean): ItemSource {
  return revision === undefined ? presentItems(range, keysOnly) : itemsAt(range, revision, keysOnly)
}

/** Reads the live items of a range, or those at an older revision, which the caller has found readable. Calls `each` in byte order of keys. */
export function scanItems(
  statements: Statements,
  range: KeyRange,
  { revision, limit = 0, keysOnly = false, countOnly = false }: StoreListOptions,
  each: (item: SqliteItem) => void,
): { readonly count: number; readonly more: boolean } {
  const source = itemSource(range, revision, keysOnly)
  let taken = 0
  if (!countOnly) {
    // One more than the limit tells whether counting is needed at all.
    for (const row of statements.of(source.items).iterate(...source.itemParameters(limit === 0 ? -1 : limit + 1))) {
      taken++
      if (limit === 0 || taken <= limit) each(readItemRow(row))
    }
    if (limit === 0 || taken <= limit) return { count: taken, more: false }
  }
  return { count: countItems(statements, range, revision), more: taken > 0 }
}

/** How many items {@link itemSource} has. */
export function countItems(statements: Statements, range: KeyRange, revision: number | undefined): number {
  const { count, countParameters } = itemSource(range, revision, true)
  return Number(statements.of(count).get(...countParameters)?.[0] ?? 0)
}

/** Where the log of a file stands. */
export interface LogPosition {
  readonly revision: number
  readonly compactRevision: number
  /** Of the newest row. */
  readonly lastId: number
  /** The newest batch that the log itself does not tell of; see {@link SqliteStore.save}. */
  readonly batch: string
}

export function readPosition(statements: Statements): LogPosition {
  // One statement, so that it is of one state without a transaction too.
  const row = statements
    .of(`select state.revision, state.last_id, state.compact_revision, state.batch, newest.revision, newest.id
      from state left join (select id, revision from log order by id desc limit 1) newest`)
    .get()
  const [revision, lastId, compactRevision, batch, newestRevision, newestId] = row ?? []
  return {
    revision: Math.max(safeRevision(revision), safeRevision(newestRevision ?? 0)),
    compactRevision: Number(compactRevision),
    lastId: Math.max(Number(lastId), Number(newestId ?? 0)),
    batch: String(batch),
  }
}

/**
 * An id that divides the log: rows below it are of revisions below `revision`, which must not be below the compact revision; rows from it on are not.
 * A restored state has no order of revisions, and counts as below.
 * Each revision has one row at least, mostly exactly one: the search begins where the row would be if all had one, and looks backwards from there.
 */
export function findFirstId(statements: Statements, revision: number): number {
  const begin = Number(statements.of('select compacted_id from state').get()?.[0]) + 1
  const newest = statements.of('select id, revision from log where id >= ? order by id desc limit 1').get(begin)
  if (newest === undefined) return begin
  const [newestId, newestRevision] = [Number(newest[0]), Number(newest[1])]
  // The answer is in low..high.
  let [low, high, step] = [begin, newestId + 1, 1]
  let probe = newestId - (newestRevision - revision)
  while (low < high) {
    const at = Math.min(Math.max(probe, low), high - 1)
    const row = statements.of('select id, revision from log where id >= ? order by id limit 1').get(at)
    if (row !== undefined && Number(row[1]) < revision) low = Number(row[0]) + 1
    else high = at
    probe = low === begin ? high - step : Math.floor((low + high) / 2)
    step *= 2
  }
  return low
}

const findSql = `select live.id, live.revision, live.created, live.version, live.lease, log.value
  from live cross join log on log.id = live.id where live.key = ?`

/** The live item of a key, with the same array as its key. */
export function findItem(statements: Statements, key: Bytes): SqliteItem | undefined {
  const row = statements.of(findSql).get(key)
  if (row === undefined) return undefined
  const [rowId, modRevision, createRevision, version, lease, value] = row
  return {
    rowId: Number(rowId),
    modRevision: safeRevision(modRevision),
    createRevision: Number(createRevision),
    version: Number(version),
    leaseId: typeof lease === 'string' ? BigInt(lease) : 0n,
    value: value instanceof Uint8Array ? value : emptyBytes,
    key,
  }
}

/** The state of the file as one transaction sees and changes it. */
export class SqliteStore implements Store<SqliteItem> {
  revision = 0
  readonly #statements: Statements
  #compactRevision = 0
  #lastId = 0
  #savedLastId = 0
  /** Whether something was changed that is not in the log. */
  #isChanged = false

  constructor(statements: Statements) {
    this.#statements = statements
  }

  get compactRevision(): number {
    return this.#compactRevision
  }

  set compactRevision(revision: number) {
    if (revision !== this.#compactRevision) this.#isChanged = true
    this.#compactRevision = revision
  }

  /** To be called when a transaction has begun whose predecessor may not be what this store has seen: at first, and after a failure. */
  load(): void {
    const { revision, compactRevision, lastId } = readPosition(this.#statements)
    this.revision = revision
    this.#compactRevision = compactRevision
    this.#lastId = lastId
    this.#begin()
  }

  /**
   * To be called before the transaction is committed. A batch that wrote keys is known by the log's new end, any other that changed something by
   * its id: `wasDone`, of a position read later, tells whether the transaction happened. Undefined: it changes nothing.
   */
  save(batch: string): { readonly wasDone: (position: LogPosition) => boolean } | undefined {
    const [lastId, hasLogged] = [this.#lastId, this.#lastId !== this.#savedLastId]
    if (this.#isChanged) this.#statements.of('update state set compact_revision = ?, batch = ?').run(this.#compactRevision, batch)
    else if (!hasLogged) return undefined
    this.#begin()
    return { wasDone: (position) => (hasLogged ? position.lastId === lastId : position.batch === batch) }
  }

  #begin(): void {
    this.#isChanged = false
    this.#savedLastId = this.#lastId
  }

  find(key: Bytes): SqliteItem | undefined {
    return findItem(this.#statements, key)
  }

  findAll(range: KeyRange): readonly SqliteItem[] {
    const items: SqliteItem[] = []
    scanItems(this.#statements, range, {}, (item) => items.push(item))
    return items
  }

  list(range: KeyRange, options: StoreListOptions): StoreList {
    const items: KeyValue[] = []
    const { count, more } = scanItems(this.#statements, range, options, (item) => items.push(item))
    return { items, count, more }
  }

  put({ key, value, createRevision, modRevision, version, leaseId }: KeyValue, previous: SqliteItem | undefined): void {
    const id = ++this.#lastId
    const lease = leaseId === 0n ? null : String(leaseId)
    this.#statements
      .of('insert into log (id, revision, previous, created, version, lease, key, value) values (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(id, modRevision, previous?.rowId ?? 0, createRevision, version, lease, key, value)
    this.#statements
      .of('insert or replace into live (key, id, revision, created, version, lease) values (?, ?, ?, ?, ?, ?)')
      .run(key, id, modRevision, createRevision, version, lease)
  }

  remove(revision: number, { key, rowId }: SqliteItem): void {
    this.#statements
      .of("insert into log (id, revision, previous, created, version, lease, key, value) values (?, ?, ?, 0, 0, null, ?, x'')")
      .run(++this.#lastId, revision, rowId, key)
    this.#statements.of('delete from live where key = ?').run(key)
  }

  findLease(id: bigint): LeaseRow | undefined {
    const row = this.#statements.of('select ttl, deadline from lease where id = ?').get(String(id))
    return row === undefined ? undefined : { id, ttlSeconds: Number(row[0]), deadlineMs: Number(row[1]) }
  }

  putLease({ id, ttlSeconds, deadlineMs }: LeaseRow): void {
    this.#isChanged = true
    this.#statements
      .of('insert or replace into lease (id, ttl, deadline) values (?, ?, ?)')
      .run(String(id), ttlSeconds, Math.ceil(deadlineMs))
  }

  removeLease(id: bigint): void {
    this.#isChanged = true
    this.#statements.of('delete from lease where id = ?').run(String(id))
  }

  keysOfLease(id: bigint): readonly SqliteItem[] {
    const sql = `select ${itemColumns('live', 'log.value')} from live cross join log on log.id = live.id where live.lease = ? order by live.key`
    return this.#statements
      .of(sql)
      .all(String(id))
      .map((row) => readItemRow(row))
  }
}
