/** The tables that SQL databases share; `schema.ts` makes them. */

/** `key` is bytes that are indexed. */
export type SqlType = 'integer' | 'float' | 'text' | 'key' | 'bytes'

/** A table as rows are written to it. */
export interface SqlTable {
  readonly name: string
  /** The column of its primary key. */
  readonly key: string
  /** In the order of the rows that are given. */
  readonly columns: readonly (readonly [name: string, type: SqlType])[]
}

/**
 * A row for each write of a key, in the order of `id`; one with version 0 is a tombstone; `previous` is the row that it replaced, 0 for none.
 * Values are here only.
 */
export const logTable: SqlTable = {
  name: 'log',
  key: 'id',
  columns: [
    ['id', 'integer'],
    ['revision', 'integer'],
    ['previous', 'integer'],
    ['created', 'integer'],
    ['version', 'integer'],
    ['lease', 'integer'],
    ['name', 'key'],
    ['value', 'bytes'],
  ],
}

/** One row for each key that exists, so that reading the present never touches history; `id` is its row in the log. */
export const liveTable: SqlTable = {
  name: 'live',
  key: 'name',
  columns: [
    ['name', 'key'],
    ['id', 'integer'],
    ['revision', 'integer'],
    ['created', 'integer'],
    ['version', 'integer'],
    ['lease', 'integer'],
  ],
}

/** Deadlines are in the database's time, milliseconds since the epoch. */
export const leaseTable: SqlTable = {
  name: 'lease',
  key: 'id',
  columns: [
    ['id', 'integer'],
    ['ttl', 'float'],
    ['deadline', 'integer'],
  ],
}

/** The last batch that each member has done: tells a member that lost the answer to its commit whether it happened. */
export const memberTable: SqlTable = {
  name: 'member',
  key: 'id',
  columns: [
    ['id', 'text'],
    ['batch', 'text'],
    ['seen', 'integer'],
  ],
}

/** One row: the position of the log. Its lock serialises all writes. */
export const stateColumns: readonly (readonly [name: string, type: SqlType])[] = [
  ['id', 'integer'],
  ['revision', 'integer'],
  ['compact_revision', 'integer'],
  ['last_id', 'integer'],
  // Bytes of all rows ever written to the log.
  ['written_bytes', 'integer'],
  // The revision to which the store was restored: what else happened at it is not known. 0: never.
  ['restored_revision', 'integer'],
  // 1 while a restore is not finished.
  ['restoring', 'integer'],
]

/** One row: how far history was freed. Its lock lets one member at a time compact. */
export const compactionColumns: readonly (readonly [name: string, type: SqlType])[] = [
  ['id', 'integer'],
  ['compacted_id', 'integer'],
  ['freed_bytes', 'integer'],
]

/** The schema for Kysely. */
export interface SqlTables {
  readonly k3s_datastore: { readonly version: number }
  readonly log: {
    readonly id: number
    readonly revision: number
    readonly previous: number
    readonly created: number
    readonly version: number
    readonly lease: bigint
    readonly name: Uint8Array
    readonly value: Uint8Array
  }
  readonly live: {
    readonly name: Uint8Array
    readonly id: number
    readonly revision: number
    readonly created: number
    readonly version: number
    readonly lease: bigint
  }
  readonly lease: { readonly id: bigint; readonly ttl: number; readonly deadline: number }
  readonly member: { readonly id: string; readonly batch: string; readonly seen: number }
  readonly state: {
    readonly id: number
    readonly revision: number
    readonly compact_revision: number
    readonly last_id: number
    readonly written_bytes: number
    readonly restored_revision: number
    readonly restoring: number
  }
  readonly compaction: { readonly id: number; readonly compacted_id: number; readonly freed_bytes: number }
}
