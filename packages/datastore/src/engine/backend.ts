/**
 * What the engine asks of a backend that stores a log: memory, SQLite and SQL servers.
 * (A driver of a store that has revisions and watches of its own, such as etcd, implements `Datastore` directly instead.)
 */
import type { Bytes, KeyRange, KeyValue, Lease, ListResult, Txn, TxnResult, WatchEvent } from '../contract.ts'
import type { DatastoreError } from '../errors.ts'
import type { PackedList } from './packed-list.ts'

/** One entry of the commit queue. */
export type WriteRequest =
  | { readonly type: 'create'; readonly key: Bytes; readonly value: Bytes; readonly leaseId: bigint }
  | {
      readonly type: 'update'
      readonly key: Bytes
      readonly value: Bytes
      readonly leaseId: bigint
      readonly expectedRevision: number | undefined
    }
  | { readonly type: 'delete'; readonly key: Bytes; readonly expectedRevision: number | undefined }
  | { readonly type: 'txn'; readonly txn: Txn }
  | { readonly type: 'compact'; readonly revision: number }
  | { readonly type: 'grantLease'; readonly id: bigint; readonly ttlSeconds: number; readonly nowMs: number }
  | { readonly type: 'keepLease'; readonly id: bigint; readonly nowMs: number }
  /** With `nowMs`: only when the deadline has passed then, which a renewal that was queued before may have changed. */
  | { readonly type: 'revokeLease'; readonly id: bigint; readonly nowMs: number | undefined }

export type WriteOutcome =
  | { readonly type: 'failed'; readonly error: DatastoreError }
  | { readonly type: 'written'; readonly revision: number; readonly previous: KeyValue | undefined }
  | { readonly type: 'txn'; readonly result: TxnResult }
  | { readonly type: 'lease'; readonly lease: Lease; readonly deadlineMs: number }

/** All events of one revision, in their order, with what the keys held before. */
export interface LoggedRevision {
  readonly revision: number
  readonly events: readonly WatchEvent[]
}

/** A lease of a restored state. */
export interface RestoredLease extends Lease {
  /** Milliseconds since the epoch. */
  readonly deadlineMs: number
}

/**
 * What a backend is opened for: `own` to read and write; `restore` to be filled by `beginRestore` and what follows it, which opens also a store whose
 * restore was not finished; `read` to read only: it changes nothing, as far as the store allows, and the methods that write are not called.
 */
export type OpenMode = 'own' | 'restore' | 'read'

/** The outcome of one transaction. */
export interface BatchResult {
  /** One a request, in order. */
  readonly outcomes: readonly WriteOutcome[]
  /** The revisions that the batch made, without gaps. */
  readonly log: readonly LoggedRevision[]
  readonly revision: number
  readonly compactRevision: number
}

export interface ListRequest {
  readonly range: KeyRange
  readonly revision: number | undefined
  /** 0: all. */
  readonly limit: number
  readonly keysOnly: boolean
  readonly countOnly: boolean
}

export interface LogRequest {
  readonly range: KeyRange
  /** First revision wanted. */
  readonly from: number
  /** Ends the page after the revision that passes this many bytes of keys and values. */
  readonly maxBytes: number
  readonly previous: boolean
}

/** A stretch of the log. */
export interface LogPage {
  /** The last revision that the page covers; below `from` when there is nothing yet. */
  readonly through: number
  readonly events: readonly WatchEvent[]
}

export interface BackendStatus {
  readonly revision: number
  readonly compactRevision: number
  readonly sizeBytes: number
}

export interface StoredLease extends Lease {
  readonly deadlineMs: number
  /** The time of the backend when it looked; absent: it goes by the engine's clock. */
  readonly nowMs?: number | undefined
  readonly keys: readonly Bytes[]
}

export interface DueLeases {
  readonly ids: readonly bigint[]
  /** The earliest deadline not yet due; undefined: none. */
  readonly nextDeadlineMs: number | undefined
  /** As in {@link StoredLease}. */
  readonly nowMs?: number | undefined
}

/** Where a log stands. */
export interface LogPosition {
  readonly revision: number
  readonly compactRevision: number
}

/**
 * A log to which other processes append too. Its deadlines go by one clock, the database's: the backend puts it in the place of the `nowMs` of
 * requests, and tells it with what it reads.
 */
export interface SharedLog {
  /** Linearizable: no write that was answered before the call is newer. */
  readPosition(): Promise<LogPosition>
  /**
   * Calls back with positions that the log has reached, soon after they were, whoever wrote; repeated and older ones come too.
   * Runs until the signal aborts, over outages of the database too; never rejects.
   */
  follow(onPosition: (position: LogPosition) => void, signal: AbortSignal): Promise<void>
}

/**
 * Stores one log. The engine has one `commit` or `compactSlice` outstanding at a time; reads come at any time and never wait for them.
 * Every method but `commit` may be repeated after a failure.
 */
export interface Backend extends AsyncDisposable {
  readonly driver: string
  /** The position of the log when the backend was opened. */
  readonly opened: LogPosition
  /** Present when this process is not the only one that writes. */
  readonly shared?: SharedLog | undefined
  /** Longest key that can be written; absent: any. */
  readonly maxKeyBytes?: number | undefined
  /** Bytes of keys and values that one request can have; absent: any. */
  readonly maxRequestBytes?: number | undefined
  /**
   * Does the requests in order as one transaction and answers when it is durable.
   * Rejects when none of it was done. `id` is stored with the batch: it tells a backend that lost the database's answer whether the batch was done.
   */
  commit(batch: { readonly id: string; readonly requests: readonly WriteRequest[] }): Promise<BatchResult>
  list(request: ListRequest): Promise<ListResult>
  /** The same; absent where it would not be cheaper. */
  listPacked?(request: ListRequest): Promise<PackedList>
  /** Throws `Compacted` when `from` is below the compact revision. */
  readLog(request: LogRequest): Promise<LogPage>
  /** Frees the space of some history below the compact revision; true when more is left. Bounded to some milliseconds. */
  compactSlice(): Promise<boolean>
  status(): Promise<BackendStatus>
  findLease(id: bigint): Promise<StoredLease | undefined>
  listLeases(): Promise<readonly bigint[]>
  /** The leases whose deadline is at or before `nowMs`, or the database's time when it is shared; at most `limit`. */
  dueLeases(nowMs: number, limit: number): Promise<DueLeases>
  /** What is wrong with the stored data, one sentence each; absent when the store has no such check. Reads all of it. */
  checkIntegrity?(): Promise<readonly string[]>
  /**
   * Fills an empty store with a state that has its own revisions: begin, then items in byte order of their keys, then finish.
   * Begun again after a crash it starts over. `beginRestore` throws `NotEmpty` unless the store is at revision 1 with no keys and no leases, or
   * holds a restore that was never finished. Until `finishRestore` is answered, opening the store fails with `Incomplete` unless it is opened to restore.
   */
  beginRestore(): Promise<void>
  /** At most a few MiB at once. Their `modRevision`, `createRevision`, `version` and `leaseId` are kept. */
  restoreItems(items: readonly KeyValue[]): Promise<void>
  /**
   * The store is then at `revision`, everything below it compacted. Durable when answered. What else `revision` itself did, such as deletions, is not
   * known: `readLog` from it fails with `Compacted` too, as long as it is the compact revision, so that no watch misses a deletion silently.
   */
  finishRestore(end: { readonly revision: number; readonly leases: readonly RestoredLease[] }): Promise<void>
}
