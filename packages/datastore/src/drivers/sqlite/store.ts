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
  return `${meta}.id, ${meta}.revision, ${meta}.created, ${meta}.version, ${meta}.lease, ${value}, ${meta}.key`
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

/** Reads the live items of a range, or those at an older revision, which the caller has found readable. Calls `each` in byte order of keys. */
export function scanItems(
  statements: Statements,
  range: KeyRange,
  { revision, limit = 0, keysOnly = false, countOnly = false }: StoreListOptions,
  each: (item: SqliteItem) => void,
): { readonly count: number; readonly more: boolean } {
  let source: { readonly items: string; readonly count: string; readonly parameters: readonly SqlValue[] }
  if (revision === undefined) {
    const [condition, ...parameters] = rangeCondition(range, 'live.key')
    const items = keysOnly
      ? `select ${itemColumns('live', 'null')} from live where ${condition} order by live.key limit ?`
      : `select ${itemColumns('live', 'log.value')} from live cross join log on log.id = live.id where ${condition} order by live.key limit ?`
    source = { items, count: `select count(*) from live where ${condition}`, parameters }
  } else {
    // What was written after the revision is replaced by what it replaced first. `previous` is of the row with the least revision: SQLite promises so.
    const [condition, ...parameters] = rangeCondition(range, 'key')
    const undone = `select key, min(revision), previous from log indexed by log_revision where revision > ? and ${condition} group by key`
    const then = `select key, id from live where ${condition} and revision <= ?
      union all select key, previous from (${undone}) where previous > 0`
    const value = keysOnly ? 'null' : 'log.value'
    source = {
      items: `select ${itemColumns('log', value)} from (${then} order by key limit ?) item cross join log on log.id = item.id order by item.key`,
      count: `select count(*) from (${then})`,
      parameters: [...parameters, revision, revision, ...parameters],
    }
  }
  let taken = 0
  if (!countOnly) {
    // One more than the limit tells whether counting is needed at all.
    for (const row of statements.of(source.items).iterate(...source.parameters, limit === 0 ? -1 : limit + 1)) {
      taken++
      if (limit === 0 || taken <= limit) each(readItemRow(row))
    }
    if (limit === 0 || taken <= limit) return { count: taken, more: false }
  }
  return { count: Number(statements.of(source.count).get(...source.parameters)?.[0] ?? 0), more: taken > 0 }
}

/** The state of the file as one transaction sees and changes it. */
export class SqliteStore implements Store<SqliteItem> {
  revision = 0
  readonly #statements: Statements
  #compactRevision = 0
  #lastId = 0
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

  /** Whether anything was written since {@link SqliteStore.load}. */
  get isChanged(): boolean {
    return this.#isChanged
  }

  /** To be called when a transaction has begun. */
  load(): void {
    this.#isChanged = false
    const row = this.#statements.of('select revision, compact_revision, last_id from state').get()
    this.revision = safeRevision(row?.[0])
    this.#compactRevision = Number(row?.[1])
    this.#lastId = Number(row?.[2])
  }

  /** To be called before the transaction is committed. */
  save(batch: string): void {
    const { revision, compactRevision } = this
    this.#statements
      .of('update state set revision = ?, compact_revision = ?, last_id = ?, batch = ?')
      .run(revision, compactRevision, this.#lastId, batch)
  }

  find(key: Bytes): SqliteItem | undefined {
    const sql = `select ${itemColumns('live', 'log.value')} from live cross join log on log.id = live.id where live.key = ?`
    const row = this.#statements.of(sql).get(key)
    return row === undefined ? undefined : readItemRow(row)
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
    this.#isChanged = true
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
    this.#isChanged = true
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
