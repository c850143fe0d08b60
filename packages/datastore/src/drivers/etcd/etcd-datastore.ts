import { randomBytes } from 'node:crypto'
import { compareBytes } from '../../bytes.ts'
import type {
  Bytes,
  CallOptions,
  Datastore,
  DatastoreStatus,
  GetResult,
  KeyRange,
  KeyValue,
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
} from '../../contract.ts'
import { abortable } from '../../engine/abortable.ts'
import type { WriteRequest } from '../../engine/backend.ts'
import { compacted } from '../../engine/evaluate.ts'
import { checkKey, checkRange, checkRequest, checkRevision, checkWhole } from '../../engine/validate.ts'
import type { defaultLimits } from '../../engine/validate.ts'
import { DatastoreError, isDatastoreError } from '../../errors.ts'
import type { Message, MessageInput } from '../../etcd/messages.ts'
import { enums } from '../../etcd/messages.ts'
import type { MethodName, RequestOf } from '../../etcd/services.ts'
import { findCompactRevision } from './compact-revision.ts'
import type { CallResult, Connection, Repeatable } from './connection.ts'
import { keepLeaseAlive } from './keep-alive.ts'
import { readPages } from './list-pages.ts'
import type { LogTail } from './log-tail.ts'
import { fromTxnResponse, ifAt, present, toTxnRequest, writes, zeroByte } from './requests.ts'
import { withPrevious } from './with-previous.ts'

type Limits = typeof defaultLimits

/** A datastore that is an etcd: what etcd does by itself is left to it. */
export class EtcdDatastore implements Datastore {
  readonly #connection: Connection
  readonly #limits: Limits
  readonly #tail: LogTail
  /** At least what etcd has compacted. */
  #compactRevision = 0
  /** The newest revision that an answer has told. */
  #seen: number
  #revisionRead: { readonly running: Promise<number>; next: Promise<number> | undefined } | undefined

  /** Owns the connection and what runs on it from here on. */
  constructor(connection: Connection, tail: LogTail, limits: Limits) {
    this.#connection = connection
    this.#tail = tail
    this.#limits = limits
    this.#seen = tail.hub.revision
  }

  async get(key: Bytes, { revision, signal }: ReadOptions = {}): Promise<GetResult> {
    checkKey(key)
    checkRevision(revision)
    const { kvs, header } = await this.#range({ key, revision }, signal)
    return { revision: this.#note(header), item: kvs[0] }
  }

  async list(range: KeyRange, { signal, ...options }: ListOptions = {}): Promise<ListResult> {
    checkRange(range)
    checkRevision(options.revision)
    checkWhole('The limit', options.limit ?? 0, 0)
    return readPages(range, options, async (page) => {
      const response = await this.#range(page, signal)
      return { ...response, revision: this.#note(response.header) }
    })
  }

  async create(
    key: Bytes,
    value: Bytes,
    { leaseId = 0n, signal }: CallOptions & { readonly leaseId?: bigint | undefined } = {},
  ): Promise<WriteResult> {
    this.#check({ type: 'create', key, value, leaseId })
    const condition = { key, target: enums.CompareTarget.create, result: enums.CompareResult.equal, createRevision: 0 }
    const txn = { compare: [condition], success: [{ requestPut: { key, value, lease: leaseId } }], failure: [{ requestRange: { key } }] }
    const { answer } = await this.#call('txn', txn, 'never', signal)
    const revision = this.#note(answer.header)
    if (answer.succeeded) return { revision }
    throw new DatastoreError('KeyExists', 'Key already exists', { current: currentOf(answer), revision })
  }

  async update(
    key: Bytes,
    value: Bytes,
    { leaseId = 0n, expectedRevision, signal }: UpdateOptions & { readonly leaseId?: bigint | undefined } = {},
  ): Promise<WriteResult> {
    this.#check({ type: 'update', key, value, leaseId, expectedRevision })
    const put = { key, value, lease: leaseId, prevKv: true }
    if (expectedRevision !== undefined) {
      const answer = await this.#writeIfAt(key, expectedRevision, { requestPut: put }, signal)
      return this.#written(answer.header, present(answer.responses[0]?.responsePut).prevKv)
    }
    const { answer } = await this.#call('put', put, 'never', signal)
    return this.#written(answer.header, answer.prevKv)
  }

  async delete(key: Bytes, { expectedRevision, signal }: UpdateOptions = {}): Promise<WriteResult> {
    this.#check({ type: 'delete', key, expectedRevision })
    const deletion = { key, prevKv: true }
    if (expectedRevision !== undefined) {
      const answer = await this.#writeIfAt(key, expectedRevision, { requestDeleteRange: deletion }, signal)
      return this.#written(answer.header, present(answer.responses[0]?.responseDeleteRange).prevKvs[0])
    }
    const { answer } = await this.#call('deleteRange', deletion, 'never', signal)
    return this.#written(answer.header, answer.prevKvs[0])
  }

  async txn(txn: Txn, { signal }: CallOptions = {}): Promise<TxnResult> {
    this.#check({ type: 'txn', txn })
    const { answer } = await this.#call('txn', toTxnRequest(txn), writes(txn) ? 'never' : 'always', signal)
    return fromTxnResponse(txn, answer, this.#note(answer.header))
  }

  watch(range: KeyRange, options: WatchOptions = {}): Watch {
    const { fromRevision, previous = false, progressIntervalMs = 0, signal } = options
    this.#checkOpen()
    checkRange(range)
    checkRevision(fromRevision)
    checkWhole('The progress interval', progressIntervalMs, 0)
    const { hub } = this.#tail
    // What this process was told of is in the past, though its event may still be on the way.
    const from = fromRevision ?? Math.max(hub.revision, this.#seen) + 1
    const watch = hub.watch({ range, from, previous, progressIntervalMs, signal })
    return previous ? withPrevious(watch, () => this.#findCompactRevision()) : watch
  }

  async compact(revision: number, { signal }: CallOptions = {}): Promise<void> {
    checkRevision(revision)
    try {
      await this.#call('compact', { revision }, 'always', signal)
    } catch (error) {
      if (!isDatastoreError(error) || error.code !== 'Compacted') throw await this.#withRevision(error, revision)
    }
    this.#noteCompaction(revision)
  }

  /** Calls that come while etcd is asked share the next answer: it is asked once at a time. */
  async currentRevision({ signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted()
    this.#checkOpen()
    return abortable(this.#readRevision(), signal)
  }

  async status({ signal }: CallOptions = {}): Promise<DatastoreStatus> {
    const [{ answer }, revision, compactRevision] = await Promise.all([
      this.#call('status', {}, 'always', signal),
      this.currentRevision({ signal }),
      this.#findCompactRevision(signal),
    ])
    return { revision, compactRevision, sizeBytes: answer.dbSize, driver: 'etcd' }
  }

  async grantLease(lease: { readonly id?: bigint | undefined; readonly ttlSeconds: number }, { signal }: CallOptions = {}): Promise<Lease> {
    const id = lease.id ?? randomLeaseId()
    this.#check({ type: 'grantLease', id, ttlSeconds: lease.ttlSeconds, nowMs: 0 })
    const { answer } = await this.#call('leaseGrant', { id, ttl: Math.ceil(lease.ttlSeconds) }, 'never', signal)
    return { id: answer.id, ttlSeconds: answer.ttl }
  }

  async revokeLease(id: bigint, { signal }: CallOptions = {}): Promise<{ readonly revision: number }> {
    const { answer } = await this.#call('leaseRevoke', { id }, 'guarded', signal)
    return { revision: this.#note(answer.header) }
  }

  async keepLeaseAlive(id: bigint, { signal }: CallOptions = {}): Promise<Lease> {
    signal?.throwIfAborted()
    this.#checkOpen()
    return keepLeaseAlive(this.#connection, id, signal)
  }

  async leaseStatus(id: bigint, { signal }: CallOptions = {}): Promise<LeaseStatus> {
    const { answer } = await this.#call('leaseTimeToLive', { id, keys: true }, 'always', signal)
    if (answer.ttl < 0) throw new DatastoreError('LeaseNotFound', `Lease ${id} does not exist`)
    return { id, ttlSeconds: answer.grantedTtl, remainingSeconds: answer.ttl, keys: answer.keys.toSorted(compareBytes) }
  }

  async listLeases({ signal }: CallOptions = {}): Promise<readonly bigint[]> {
    const { answer } = await this.#call('leaseLeases', {}, 'always', signal)
    return answer.leases.map(({ id }) => id)
  }

  /** 1. New calls, reads, and writes that wait for a connection fail with `Closed`. 2. Writes that were sent are answered. 3. Watches and connections end. */
  async [Symbol.asyncDispose](): Promise<void> {
    const error = new DatastoreError('Closed', 'The datastore is closed')
    this.#tail.hub.close(error)
    await this.#connection.close(error)
    await this.#tail.ended
  }

  #checkOpen(): void {
    if (this.#connection.closing.aborted) throw this.#connection.closing.reason
  }

  #check(request: WriteRequest): void {
    checkRequest(request, this.#limits)
  }

  async #call<Name extends MethodName>(
    name: Name,
    request: MessageInput<RequestOf<Name>>,
    repeatable: Repeatable,
    signal: AbortSignal | undefined,
  ): Promise<CallResult<Name>> {
    return this.#connection.call(name, request, { repeatable, signal })
  }

  async #range(request: MessageInput<'RangeRequest'>, signal: AbortSignal | undefined): Promise<Message<'RangeResponse'>> {
    try {
      return (await this.#call('range', request, 'always', signal)).answer
    } catch (error) {
      throw await this.#withRevision(error, request.revision ?? 0)
    }
  }

  async #writeIfAt(
    key: Bytes,
    expectedRevision: number,
    write: MessageInput<'RequestOp'>,
    signal: AbortSignal | undefined,
  ): Promise<Message<'TxnResponse'>> {
    // A write to version 5 that was done cannot be done again. One that expects no key can: others may have deleted it meanwhile.
    const repeatable = expectedRevision === 0 ? 'never' : 'guarded'
    const { answer, isRepeated } = await this.#call('txn', ifAt(key, expectedRevision, write), repeatable, signal)
    if (answer.succeeded) return answer
    if (isRepeated)
      throw new DatastoreError('Unavailable', 'The write may have happened: the answer to it was lost, and the key has changed')
    const current = currentOf(answer)
    const revision = this.#note(answer.header)
    throw new DatastoreError('RevisionConflict', `Key is at revision ${current?.modRevision ?? 0}, not at ${expectedRevision}`, {
      current,
      revision,
    })
  }

  #written(header: Message<'ResponseHeader'> | undefined, previous: KeyValue | undefined): WriteResult {
    const revision = this.#note(header)
    return previous === undefined ? { revision } : { revision, previous }
  }

  /** etcd's answer says that a revision is compacted or in the future, not what can be had instead. */
  async #withRevision(error: unknown, asked: number): Promise<unknown> {
    if (!isDatastoreError(error)) return error
    if (error.code === 'Compacted') return compacted(asked, await this.#findCompactRevision())
    if (error.code !== 'FutureRevision') return error
    const revision = await this.currentRevision()
    return new DatastoreError('FutureRevision', `Revision ${asked} is in the future, the newest is ${revision}`, { revision, cause: error })
  }

  async #findCompactRevision(signal?: AbortSignal): Promise<number> {
    this.#noteCompaction(await findCompactRevision(this.#connection, this.#compactRevision, signal))
    return this.#compactRevision
  }

  #noteCompaction(revision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, revision)
    this.#tail.hub.append([], this.#compactRevision)
  }

  #note(header: Message<'ResponseHeader'> | undefined): number {
    const { revision } = present(header)
    this.#seen = Math.max(this.#seen, revision)
    return revision
  }

  async #readRevision(): Promise<number> {
    const running = this.#revisionRead
    // One that began before the call may miss a write that was answered before it.
    if (running !== undefined) return (running.next ??= running.running.catch(() => 0).then(() => this.#startRevisionRead()))
    return this.#startRevisionRead()
  }

  #startRevisionRead(): Promise<number> {
    const read = { running: this.#askRevision(), next: undefined }
    this.#revisionRead = read
    const clear = (): void => {
      if (this.#revisionRead === read) this.#revisionRead = undefined
    }
    read.running.then(clear, clear)
    return read.running
  }

  async #askRevision(): Promise<number> {
    const { answer } = await this.#call('range', { key: zeroByte, countOnly: true }, 'always', undefined)
    return this.#note(answer.header)
  }
}

/** What the failure branch of `ifAt` has read. */
function currentOf(answer: Message<'TxnResponse'>): KeyValue | undefined {
  return present(answer.responses[0]?.responseRange).kvs[0]
}

/** Positive, below 2^63. */
function randomLeaseId(): bigint {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n
}
