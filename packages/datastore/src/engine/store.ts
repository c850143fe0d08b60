import type { Bytes, KeyRange, KeyValue } from '../contract.ts'

/** A lease as stored. */
export interface LeaseRow {
  readonly id: bigint
  readonly ttlSeconds: number
  /** Milliseconds since the epoch. */
  readonly deadlineMs: number
}

/** What a list yields inside a transaction. */
export interface StoreList {
  readonly items: readonly KeyValue[]
  readonly count: number
  readonly more: boolean
}

export interface StoreListOptions {
  /** State at this revision; the caller has checked its bounds. Absent: the newest, with what the transaction has written so far. */
  readonly revision?: number | undefined
  readonly limit?: number | undefined
  readonly keysOnly?: boolean | undefined
  readonly countOnly?: boolean | undefined
}

/**
 * The state that requests are evaluated against, inside one transaction, synchronously.
 * `Item` lets a backend keep its row's address with the item that it handed out.
 */
export interface Store<Item extends KeyValue = KeyValue> {
  /** The newest revision, those of this transaction included. */
  revision: number
  compactRevision: number
  find(key: Bytes): Item | undefined
  /** All live items of the range. */
  findAll(range: KeyRange): readonly Item[]
  list(range: KeyRange, options: StoreListOptions): StoreList
  put(item: KeyValue, previous: Item | undefined): void
  /** Records a tombstone. */
  remove(revision: number, previous: Item): void
  findLease(id: bigint): LeaseRow | undefined
  putLease(lease: LeaseRow): void
  removeLease(id: bigint): void
  keysOfLease(id: bigint): readonly Item[]
}
