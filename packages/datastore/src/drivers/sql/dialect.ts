/**
 * The seam between what SQL databases share and what each does in its own way.
 *
 * ```
 * SqlBackend ── commits (prefetch, evaluate in memory, write), reads, compaction, restore, retries after a lost connection, the pool, the schema
 *     │              all in SQL that PostgreSQL and MySQL both understand, with "?" for values
 * SqlDialect ── how to connect, statements that differ (upsert, "one of these"), column types, how members tell each other of commits
 *     │
 * SqlSession ── one connection: statements in, rows out, failures as `DatastoreError`
 * ```
 *
 * Every transaction of the core reads what is committed at each statement (`read committed`), and is serialised by the lock on the one row of `state`.
 */
import type { Kysely } from 'kysely'
import type { LogPosition } from '../../engine/backend.ts'
import type { SqlTable, SqlTables, SqlType } from './tables.ts'

/** One value of a row, as a session hands it out: whole numbers as `number`, as `bigint` or decimal string beyond 2^53. */
export type SqlValue = string | number | bigint | Uint8Array | null
export type SqlRow = readonly SqlValue[]

/** A statement with a "?" for each value (or the placeholders of the dialect's own, as Kysely compiles them). */
export interface SqlStatement {
  readonly sql: string
  /** Numbers, bigints, strings, `Uint8Array`, null; and whatever else a dialect's own statements give its sessions. */
  readonly values: readonly unknown[]
}

/** Fragment of a statement. */
export type SqlCondition = SqlStatement

/** What a connection is for: `writer` holds the lock on `state`, so all its times are bounded; `general` may read for long. */
export type SqlRole = 'writer' | 'general'

/** One connection. One `run` at a time. */
export interface SqlSession {
  /** True when the connection is lost or was destroyed: nothing can be run on it any more. */
  readonly isBroken: boolean
  /**
   * Does the statements in order, sent together where the protocol allows it, and answers the rows of each (none for one that yields none).
   * Rejects with the failure of the first that fails, as a `DatastoreError` where it is one of the database or the network
   * (`Unavailable` when it may go away by itself); those behind it were not done, except that a `rollback` or a `commit` of the failed transaction may be.
   */
  run(statements: readonly SqlStatement[]): Promise<readonly (readonly SqlRow[])[]>
  /** Drops the connection at once; a `run` in progress rejects. */
  destroy(): void
  /** Takes leave of the server; never rejects. */
  close(): Promise<void>
}

/** What differs between databases. */
export interface SqlDialect extends AsyncDisposable {
  /** As `status()` names it. */
  readonly driver: string
  /** Where the server is, for messages: never with a password. */
  readonly address: string
  /** Compiles statements; it is never connected. */
  readonly kysely: Kysely<SqlTables>
  /** Longest key in bytes, which an index allows. */
  readonly maxKeyBytes: number
  /** Bytes of keys and values that one request can have, known when a connection was made; absent: any. */
  readonly maxRequestBytes?: number | undefined
  /** How long members may go without news before they ask for the position of the log, milliseconds. */
  readonly pollIntervalMs: number

  /** Connects within some seconds, or rejects with a typed error that names the server. */
  connect(role: SqlRole): Promise<SqlSession>

  /** Begins a transaction for writing, `read committed`. */
  readonly begin: string
  /** Begins a transaction whose statements all see one state, and write nothing. */
  readonly beginSnapshot: string
  /** An expression: the database's time when the statement began (not the transaction), whole milliseconds since the epoch; may be compared with an index. */
  readonly nowMs: string
  /** Follows a `select`: locks its rows, leaves out those that others have locked. */
  readonly skipLocked: string
  /** `column` is one of the values. */
  oneOf(column: string, type: SqlType, values: readonly unknown[]): SqlCondition
  /** Inserts rows, each with a value for every column of the table in order; at least one row. May take several statements to stay small. */
  insert(table: SqlTable, rows: readonly (readonly unknown[])[]): readonly SqlStatement[]
  /** As `insert`; a row whose key is there replaces it. */
  upsert(table: SqlTable, rows: readonly (readonly unknown[])[]): readonly SqlStatement[]

  readonly schema: SqlSchemaDialect

  /** Statements at the end of a transaction that wrote, which tell other members about it when it is committed. */
  announce(position: LogPosition): readonly SqlStatement[]
  /** Called when a transaction that wrote was committed. Must not throw or wait. */
  onCommitted(position: LogPosition): void
  /**
   * Calls back for each announcement of a member (its own ones may come too), and with `undefined` when some may have been missed: after each
   * new connection, for example. Runs until the signal aborts, over outages too; never rejects.
   */
  follow(onNews: (position: LogPosition | undefined) => void, signal: AbortSignal): Promise<void>
}

/** How a dialect's tables are made. */
export interface SqlSchemaDialect {
  /** Column types of `tables.ts`, as the database names them: `bytes` is for values of up to some GiB, `key` for keys of up to `maxKeyBytes` in byte order. */
  readonly columnTypes: Readonly<Record<SqlType, string>>
  /** Said after `create table NAME (…)`. */
  readonly tableOptions: string
  /** Selects the names of all tables where ours are or would be. */
  readonly listTables: string
  /** Waits for, and gives back, the lock under which one member at a time makes the schema; both on one session. */
  readonly lock: SqlStatement
  readonly unlock: SqlStatement
  /** Statements of this database after the tables were made, storage parameters for example. */
  readonly extras: readonly string[]
  /** Whether an index can be for some rows only. */
  readonly hasPartialIndexes: boolean
}
