import { randomBytes } from 'node:crypto'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type {
  Bytes,
  CallOptions,
  DatastoreLimits,
  DatastoreStatus,
  GetResult,
  KeyRange,
  Lease,
  LeaseStatus,
  ListOptions,
  ListResult,
  ReadOptions,
  Txn,
  TxnResult,
  UpdateOptions,
  Watch,
  WatchOptions,
  WriteResult,
} from '../contract.ts'
import { DatastoreError } from '../errors.ts'
import { abortable } from './abortable.ts'
import type { Backend, ListRequest, WriteOutcome, WriteRequest } from './backend.ts'
import { CommitQueue } from './commit-queue.ts'
import { Compactor } from './compactor.ts'
import { LeaseExpiry, steadyNow } from './lease-expiry.ts'
import { NewestPosition } from './newest-position.ts'
import type { ListsPacked, PackedLister } from './packed-list.ts'
import { checkKey, checkRange, checkRequest, checkRevision, checkWhole, defaultLimits } from './validate.ts'
import type { RequestLimits } from './validate.ts'
import { WatchHub } from './watch-hub.ts'

export interface LogDatastoreOptions {
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly clock: Clock
  readonly limits?: DatastoreLimits | undefined
}

/** A datastore on a backend that stores the log: one commit queue, one tail for all watches, lease expiry and compaction. */
export class LogDatastore implements ListsPacked {
  readonly #backend: Backend
  readonly #limits: RequestLimits
  readonly #hub: WatchHub
  readonly #queue: CommitQueue
  readonly #expiry: LeaseExpiry
  readonly #compactor: Compactor
  readonly #now: () => number
  readonly #closing = new AbortController()
  readonly #services: Promise<unknown>
  /** Of a log that is shared. */
  readonly #newest: NewestPosition | undefined
  /** Watches whose first revision is being asked for, with the first revision that this process has written since. */
  readonly #starts = new Set<{ firstOwn: number }>()
  #closed: Promise<void> | undefined
  /** A read may see a batch before its answer has come: nobody is told of an older revision afterwards. */
  #newestRead = 0

  /** Owns the backend from here on. */
  constructor(backend: Backend, { logger, metrics, clock, limits = {} }: LogDatastoreOptions) {
    this.#backend = backend
    this.#limits = {
      maxRequestBytes: Math.min(
        limits.maxRequestBytes ?? defaultLimits.maxRequestBytes,
        backend.maxRequestBytes ?? Number.POSITIVE_INFINITY,
      ),
      maxTxnOperations: limits.maxTxnOperations ?? defaultLimits.maxTxnOperations,
      maxKeyBytes: backend.maxKeyBytes,
    }
    this.#now = steadyNow(clock)
    this.#hub = new WatchHub(backend, clock, metrics, logger)
    const { shared } = backend
    this.#newest = shared && new NewestPosition(shared, (position) => this.#hub.note(position))
    this.#queue = new CommitQueue(backend, metrics, ({ log, compactRevision }) => {
      const [first] = log
      if (first !== undefined) for (const start of this.#starts) start.firstOwn = Math.min(start.firstOwn, first.revision)
      this.#hub.append(log, compactRevision)
    })
    this.#compactor = new Compactor(backend, this.#queue, clock, logger)
    this.#expiry = new LeaseExpiry(backend, clock, this.#now, logger, async (id, nowMs) => {
      const outcome = await this.#queue.submit({ type: 'revokeLease', id, nowMs }, undefined)
      if (outcome.type === 'failed' && outcome.error.code !== 'LeaseNotFound') throw outcome.error
    })
    const { signal } = this.#closing
    this.#services = Promise.all([
      this.#expiry.run(signal),
      this.#compactor.run(signal),
      shared?.follow((position) => this.#hub.note(position), signal),
      shared && this.#hub.tail(signal),
    ])
  }

  async get(key: Bytes, { revision, signal }: ReadOptions = {}): Promise<GetResult> {
    checkKey(key)
    const list = await this.list({ start: key }, { revision, signal })
    return { revision: list.revision, item: list.items[0] }
  }

  async list(range: KeyRange, options: ListOptions = {}): Promise<ListResult> {
    return this.#list(range, options, (request) => this.#backend.list(request))
  }

  /** Passes what the backend has packed on. */
  get listPacked(): PackedLister | undefined {
    const backend = this.#backend
    const { listPacked } = backend
    if (listPacked === undefined) return undefined
    return (range, options = {}) => this.#list(range, options, (request) => listPacked.call(backend, request))
  }

  async #list<T extends { readonly revision: number }>(
    range: KeyRange,
    { revision, limit = 0, keysOnly = false, countOnly = false, signal }: ListOptions,
    list: (request: ListRequest) => Promise<T>,
  ): Promise<T> {
    checkRange(range)
    checkRevision(revision)
    checkWhole('The limit', limit, 0)
    const result = await this.#read(signal, () => list({ range, revision, limit, keysOnly, countOnly }))
    this.#newestRead = Math.max(this.#newestRead, result.revision)
    return result
  }

  async create(
    key: Bytes,
    value: Bytes,
    { leaseId = 0n, signal }: CallOptions & { readonly leaseId?: bigint | undefined } = {},
  ): Promise<WriteResult> {
    return this.#write({ type: 'create', key, value, leaseId }, signal)
  }

  async update(
    key: Bytes,
    value: Bytes,
    { leaseId = 0n, expectedRevision, signal }: UpdateOptions & { readonly leaseId?: bigint | undefined } = {},
  ): Promise<WriteResult> {
    return this.#write({ type: 'update', key, value, leaseId, expectedRevision }, signal)
  }

  async delete(key: Bytes, { expectedRevision, signal }: UpdateOptions = {}): Promise<WriteResult> {
    return this.#write({ type: 'delete', key, expectedRevision }, signal)
  }

  async txn(txn: Txn, { signal }: CallOptions = {}): Promise<TxnResult> {
    const outcome = await this.#submit({ type: 'txn', txn }, signal)
    return expectOutcome(outcome, 'txn').result
  }

  watch(range: KeyRange, options: WatchOptions = {}): Watch {
    const { fromRevision, previous = false, progressIntervalMs = 0, signal } = options
    this.#checkOpen()
    checkRange(range)
    checkRevision(fromRevision)
    checkWhole('The progress interval', progressIntervalMs, 0)
    return this.#hub.watch({ range, from: fromRevision ?? this.#afterNewest(), previous, progressIntervalMs, signal })
  }

  async compact(revision: number, { signal }: CallOptions = {}): Promise<void> {
    checkRevision(revision)
    await this.#write({ type: 'compact', revision }, signal)
    this.#compactor.wake()
  }

  async currentRevision({ signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted()
    this.#checkOpen()
    if (this.#newest === undefined) return Math.max(this.#hub.newest, this.#newestRead)
    const { revision } = await abortable(this.#newest.read(), signal)
    return revision
  }

  async status({ signal }: CallOptions = {}): Promise<DatastoreStatus> {
    const status = await this.#read(signal, () => this.#backend.status())
    this.#newestRead = Math.max(this.#newestRead, status.revision)
    return { ...status, driver: this.#backend.driver }
  }

  async grantLease(lease: { readonly id?: bigint | undefined; readonly ttlSeconds: number }, { signal }: CallOptions = {}): Promise<Lease> {
    const id = lease.id ?? randomLeaseId()
    return this.#writeLease({ type: 'grantLease', id, ttlSeconds: lease.ttlSeconds, nowMs: this.#now() }, signal)
  }

  async revokeLease(id: bigint, { signal }: CallOptions = {}): Promise<{ readonly revision: number }> {
    const { revision } = await this.#write({ type: 'revokeLease', id, nowMs: undefined }, signal)
    return { revision }
  }

  async keepLeaseAlive(id: bigint, { signal }: CallOptions = {}): Promise<Lease> {
    return this.#writeLease({ type: 'keepLease', id, nowMs: this.#now() }, signal)
  }

  async leaseStatus(id: bigint, { signal }: CallOptions = {}): Promise<LeaseStatus> {
    const lease = await this.#read(signal, () => this.#backend.findLease(id))
    if (lease === undefined) throw new DatastoreError('LeaseNotFound', `Lease ${id} does not exist`)
    const { ttlSeconds, deadlineMs, keys, nowMs = this.#now() } = lease
    return { id, ttlSeconds, remainingSeconds: Math.max(0, (deadlineMs - nowMs) / 1000), keys }
  }

  async listLeases({ signal }: CallOptions = {}): Promise<readonly bigint[]> {
    return this.#read(signal, () => this.#backend.listLeases())
  }

  /**
   * 1. New calls, waiting writes and watches fail with `Closed`. 2. The batch in flight is answered. 3. Expiry and compaction end.
   * 4. The backend closes.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const error = closedError()
    this.#closing.abort(error)
    this.#hub.close(error)
    await this.#queue.close(error)
    await this.#services
    await this.#backend[Symbol.asyncDispose]()
  }

  /** The revision after the newest at the time of the call. */
  #afterNewest(): number | Promise<number> {
    if (this.#newest === undefined) return this.#hub.revision + 1
    const after = this.#askAfterNewest(this.#newest)
    after.catch(() => {}) // the watch ends with it when it is read
    return after
  }

  /** A write of this process that is called for after the watch may be in the position already: the watch begins before it. */
  async #askAfterNewest(newest: NewestPosition): Promise<number> {
    const start = { firstOwn: Number.POSITIVE_INFINITY }
    this.#starts.add(start)
    try {
      const { revision } = await newest.read()
      await this.#queue.settled
      return Math.min(revision + 1, start.firstOwn)
    } finally {
      this.#starts.delete(start)
    }
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError()
  }

  async #read<T>(signal: AbortSignal | undefined, read: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    this.#checkOpen()
    return abortable(read(), signal)
  }

  async #submit(request: WriteRequest, signal: AbortSignal | undefined): Promise<Exclude<WriteOutcome, { type: 'failed' }>> {
    checkRequest(request, this.#limits)
    const outcome = await this.#queue.submit(request, signal)
    if (outcome.type === 'failed') throw outcome.error
    return outcome
  }

  async #write(request: WriteRequest, signal: AbortSignal | undefined): Promise<WriteResult> {
    const { revision, previous } = expectOutcome(await this.#submit(request, signal), 'written')
    return previous === undefined ? { revision } : { revision, previous }
  }

  async #writeLease(request: WriteRequest, signal: AbortSignal | undefined): Promise<Lease> {
    const { lease } = expectOutcome(await this.#submit(request, signal), 'lease')
    this.#expiry.arm(lease.ttlSeconds * 1000)
    return lease
  }
}

function expectOutcome<T extends WriteOutcome['type']>(outcome: WriteOutcome, type: T): Extract<WriteOutcome, { type: T }> {
  if (outcome.type !== type) throw new Error(`Invariant broken: the outcome is "${type}", not "${outcome.type}"`)
  return outcome as Extract<WriteOutcome, { type: T }> // compared above
}

function closedError(): DatastoreError {
  return new DatastoreError('Closed', 'The datastore is closed')
}

/** Positive, below 2^63. */
function randomLeaseId(): bigint {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n
}
