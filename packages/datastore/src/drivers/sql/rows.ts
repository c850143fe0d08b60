/** How items come out of rows, and ranges go into statements. */
import { emptyBytes } from '../../bytes.ts'
import type { KeyRange, KeyValue } from '../../contract.ts'
import type { LogPosition } from '../../engine/backend.ts'
import type { SqlCondition, SqlRow, SqlStatement, SqlValue } from './dialect.ts'

/** An item with the id of its row in the log. */
export interface SqlItem extends KeyValue {
  readonly rowId: number
}

/** The condition that a key is in the range. */
export function rangeCondition({ start, end }: KeyRange, column: string): SqlCondition {
  if (end === undefined) return { sql: `${column} = ?`, values: [start] }
  if (end.length === 0) return { sql: `${column} >= ?`, values: [start] }
  return { sql: `${column} >= ? and ${column} < ?`, values: [start, end] }
}

/** How many columns an item has. */
export const itemWidth = 7

/** The columns of an item, as {@link readItem} reads them. */
export function itemColumns(meta: string, value: string): string {
  return ['id', 'revision', 'created', 'version', 'lease', 'name'].map((column) => `${meta}.${column}`).join(', ') + `, ${value}`
}

/** Undefined when the columns, of an outer join, are null. */
export function readItem(row: SqlRow, offset = 0): SqlItem | undefined {
  if (row[offset] === null || row[offset] === undefined) return undefined
  return {
    rowId: toNumber(row[offset]),
    modRevision: toNumber(row[offset + 1]),
    createRevision: toNumber(row[offset + 2]),
    version: toNumber(row[offset + 3]),
    leaseId: toBigInt(row[offset + 4]),
    key: toBytes(row[offset + 5]),
    value: toBytes(row[offset + 6]),
  }
}

export function readItems(rows: readonly SqlRow[]): readonly SqlItem[] {
  return rows.flatMap((row) => readItem(row) ?? [])
}

/** A whole number below 2^53. */
export function toNumber(value: SqlValue | undefined): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new Error(`Invariant broken: ${String(value)} is a safe integer`)
  return number
}

export function toBigInt(value: SqlValue | undefined): bigint {
  return typeof value === 'number' || typeof value === 'string' || typeof value === 'bigint' ? BigInt(value) : 0n
}

export function toBytes(value: SqlValue | undefined): Uint8Array {
  return value instanceof Uint8Array ? value : emptyBytes
}

/** A statement without values. */
export function plain(sql: string): SqlStatement {
  return { sql, values: [] }
}

/** Where the log stands, as {@link readPosition} reads it. */
export const selectPosition: SqlStatement = plain('select revision, compact_revision, restored_revision from state')

export interface StoredPosition extends LogPosition {
  /** What happened at this revision is not known: the store was restored to it. */
  readonly restoredRevision: number
}

export function readPosition(rows: readonly SqlRow[] | undefined): StoredPosition {
  const [revision, compactRevision, restoredRevision] = rows?.[0] ?? []
  return { revision: toNumber(revision), compactRevision: toNumber(compactRevision), restoredRevision: toNumber(restoredRevision) }
}
