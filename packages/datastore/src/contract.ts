/** Keys and values are bytes. A Uint8Array passed in is owned by the datastore from then on; one handed out must not be changed. */
export type Bytes = Uint8Array

/** One version of one key, as etcd's mvcc has it. */
export interface KeyValue {
  readonly key: Bytes
  readonly value: Bytes
  /** Revision at which this life of the key began. */
  readonly createRevision: number
  /** Revision of this write. */
  readonly modRevision: number
  /** Writes in this life of the key; 1 after the create. */
  readonly version: number
  /** 0n for none. */
  readonly leaseId: bigint
}

/** Keys from `start` (included) to `end` (excluded). No `end`: exactly `start`. An empty `end`: everything from `start` on. */
export interface KeyRange {
  readonly start: Bytes
  readonly end?: Bytes | undefined
}

export interface CallOptions {
  /** Gives up waiting. A write that was already handed to the database may still happen. */
  readonly signal?: AbortSignal | undefined
}

export interface ReadOptions extends CallOptions {
  /** Reads the state at exactly this revision, 1 or more; absent: a linearizable read of the newest. Throws `Compacted` below the compact revision, `FutureRevision` above the newest. */
  readonly revision?: number | undefined
}

export interface ListOptions extends ReadOptions {
  /** At most this many items; absent or 0: all. */
  readonly limit?: number | undefined
  /** Leaves `value` empty. */
  readonly keysOnly?: boolean | undefined
  /** No items, only `count`. */
  readonly countOnly?: boolean | undefined
}

export interface GetResult {
  /** The datastore's revision when the read was done, even for a read of an older one. */
  readonly revision: number
  readonly item: KeyValue | undefined
}

export interface ListResult {
  /** As in {@link GetResult}. With no `ListOptions.revision` it is the revision of the items: a watch from `revision + 1` follows on without gap. */
  readonly revision: number
  /** In byte order of their keys. */
  readonly items: readonly KeyValue[]
  /** All keys in the range at that revision, the limit set aside. */
  readonly count: number
  /** True when the limit cut items off. */
  readonly more: boolean
}

export interface WriteResult {
  /** The revision that this write got. */
  readonly revision: number
  /** What the key held before: of update and delete. */
  readonly previous?: KeyValue | undefined
}

export interface UpdateOptions extends CallOptions {
  /** Throws `RevisionConflict`, with the present version in `current`, unless the key's modRevision is this one. 0: the key must not exist.  Absent: unconditional. */
  readonly expectedRevision?: number | undefined
}

/** One condition of a transaction. Absence is `createRevision equal 0`, as in etcd. */
export interface Compare {
  readonly range: KeyRange
  readonly target: 'version' | 'createRevision' | 'modRevision' | 'value' | 'lease'
  readonly result: 'equal' | 'notEqual' | 'greater' | 'less'
  readonly operand: number | bigint | Bytes
}

export type TxnOperation =
  | {
      readonly type: 'put'
      readonly key: Bytes
      readonly value: Bytes
      readonly leaseId?: bigint | undefined
      readonly keepValue?: boolean | undefined
      readonly keepLease?: boolean | undefined
      readonly previous?: boolean | undefined
    }
  | { readonly type: 'delete'; readonly range: KeyRange; readonly previous?: boolean | undefined }
  | { readonly type: 'list'; readonly range: KeyRange; readonly options?: Omit<ListOptions, 'signal'> | undefined }
  | { readonly type: 'txn'; readonly txn: Txn }

/** All comparisons hold: `success` is done, else `failure`; as one write with one revision. A key may be written once. */
export interface Txn {
  readonly compare: readonly Compare[]
  readonly success: readonly TxnOperation[]
  readonly failure: readonly TxnOperation[]
}

export type TxnOperationResult =
  | { readonly type: 'put'; readonly previous?: KeyValue | undefined }
  | { readonly type: 'delete'; readonly deleted: number; readonly previous: readonly KeyValue[] }
  | { readonly type: 'list'; readonly result: ListResult }
  | { readonly type: 'txn'; readonly result: TxnResult }

export interface TxnResult {
  readonly succeeded: boolean
  /** The revision of the write, or the newest revision when nothing was written. */
  readonly revision: number
  readonly results: readonly TxnOperationResult[]
}

export interface WatchEvent {
  readonly type: 'put' | 'delete'
  /** Of a delete: key and modRevision, with an empty value. */
  readonly item: KeyValue
  /** What the key held before; present only when asked for and when the key existed. */
  readonly previous?: KeyValue | undefined
}

/** All events of one or more whole revisions, in order; with no events it is a progress mark: everything up to `revision` was delivered. */
export interface WatchBatch {
  readonly revision: number
  readonly events: readonly WatchEvent[]
}

export interface WatchOptions extends CallOptions {
  /** First revision wanted; absent: everything after the newest at the time of the call. */
  readonly fromRevision?: number | undefined
  /** Fills {@link WatchEvent.previous}; also of a deletion at the compact revision itself. */
  readonly previous?: boolean | undefined
  /** Sends a progress mark when nothing happened for this long, milliseconds; absent or 0: none. */
  readonly progressIntervalMs?: number | undefined
}

/** The batches of a watch, to be iterated once. */
export interface Watch extends AsyncIterable<WatchBatch> {
  /**
   * Asks the watch to say when everything up to `revision` was delivered: by a batch of that revision or a newer one, empty if need be.
   * Absent: the driver knows it only by {@link WatchOptions.progressIntervalMs}.
   */
  readonly requestProgress?: ((revision: number) => void) | undefined
}

export interface Lease {
  readonly id: bigint
  readonly ttlSeconds: number
}

export interface LeaseStatus extends Lease {
  readonly remainingSeconds: number
  readonly keys: readonly Bytes[]
}

export interface DatastoreStatus {
  readonly revision: number
  readonly compactRevision: number
  /** Bytes on disk, or in memory for `memory:`. */
  readonly sizeBytes: number
  readonly driver: string
}

/** Limits of one request; the defaults are etcd's. */
export interface DatastoreLimits {
  /** Bytes of keys and values. Default 1.5 MiB. */
  readonly maxRequestBytes?: number | undefined
  /** Operations of one txn. Default 128. */
  readonly maxTxnOperations?: number | undefined
}

/**
 * A key-value store with revisions.
 *
 * Every accepted write has one revision of its own, one higher than the write before it; revisions become visible in order. An empty datastore is at revision 1.
 * A write that was answered survives a crash. A list at revision R and a watch from R + 1 together equal history.
 */
export interface Datastore extends AsyncDisposable {
  get(key: Bytes, options?: ReadOptions): Promise<GetResult>
  list(range: KeyRange, options?: ListOptions): Promise<ListResult>
  /** Throws `KeyExists` when the key has a value. */
  create(key: Bytes, value: Bytes, options?: CallOptions & { readonly leaseId?: bigint | undefined }): Promise<WriteResult>
  /** Creates the key when it does not exist. Without `leaseId` the key is detached from its lease, as in etcd. */
  update(key: Bytes, value: Bytes, options?: UpdateOptions & { readonly leaseId?: bigint | undefined }): Promise<WriteResult>
  /** Deleting a missing key unconditionally writes nothing: `previous` is absent and `revision` is the newest. */
  delete(key: Bytes, options?: UpdateOptions): Promise<WriteResult>
  txn(txn: Txn, options?: CallOptions): Promise<TxnResult>
  /**
   * Delivers every event of the range in order, all of one revision together, until the signal aborts (then it ends without error).
   * Throws `Compacted` when the next revision it needs is gone, `Unavailable` or `Closed` when it cannot go on. Falling behind is not an error.
   * The watch is registered before the promise that the first `next()` returns settles; use {@link WatchOptions.fromRevision} to leave no gap.
   */
  watch(range: KeyRange, options?: WatchOptions): Watch
  /** Throws `FutureRevision` above the newest revision; at or below the compact revision it does nothing. History below `revision` may go; reads and watches below it fail with `Compacted` at once, space is freed in slices afterwards. */
  compact(revision: number, options?: CallOptions): Promise<void>
  /** The newest revision, linearizable: no write that was answered before the call is newer. */
  currentRevision(options?: CallOptions): Promise<number>
  status(options?: CallOptions): Promise<DatastoreStatus>
  /** A lease whose keys are deleted when it ends. `ttlSeconds` may be a fraction; `id`, 1 to 2^63 - 1, is chosen when absent, `LeaseExists` when taken. */
  grantLease(lease: { readonly id?: bigint | undefined; readonly ttlSeconds: number }, options?: CallOptions): Promise<Lease>
  /** Deletes the lease's keys, as one write. Throws `LeaseNotFound`. */
  revokeLease(id: bigint, options?: CallOptions): Promise<{ readonly revision: number }>
  /** Starts the time to live anew. Throws `LeaseNotFound`. */
  keepLeaseAlive(id: bigint, options?: CallOptions): Promise<Lease>
  leaseStatus(id: bigint, options?: CallOptions): Promise<LeaseStatus>
  listLeases(options?: CallOptions): Promise<readonly bigint[]>
}
