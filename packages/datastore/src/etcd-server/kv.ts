import type { Bytes } from '../contract.ts'
import { isDatastoreError } from '../errors.ts'
import { enums } from '../etcd/messages.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { listsPacked } from '../engine/packed-list.ts'
import { encode } from '../etcd/codec.ts'
import { encodePackedRange } from '../etcd/packed-range.ts'
import { etcdErrors } from './grpc-error.ts'
import type { Member } from './member.ts'
import { checkRangeRequest, finishRange, isPlain, toListOptions, toRange } from './ranges.ts'
import { checkPut, checkTxn, keepsSomething, toPut, toTxn, toTxnResponse } from './txns.ts'

/** etcd's KV service. */
export class KvService {
  readonly #member: Member
  readonly #maxTxnOperations: number

  constructor(member: Member, maxTxnOperations: number) {
    this.#member = member
    this.#maxTxnOperations = maxTxnOperations
  }

  /** Answers with an encoded `RangeResponse` after `headroom` bytes: lists are most of what a server sends. */
  async range(request: Message<'RangeRequest'>, headroom: number): Promise<Buffer> {
    checkRangeRequest(request)
    const { datastore } = this.#member
    const [range, options] = [toRange(request.key, request.rangeEnd), toListOptions(request)]
    const listPacked = isPlain(request) && listsPacked(datastore) ? datastore.listPacked : undefined
    if (listPacked !== undefined) {
      const list = await listPacked(range, options)
      return encodePackedRange(this.#member.header(list.revision), list, headroom)
    }
    const list = await datastore.list(range, options)
    return encode('RangeResponse', { header: this.#member.header(list.revision), ...finishRange(request, list) }, headroom)
  }

  async put(request: Message<'PutRequest'>): Promise<MessageInput<'PutResponse'>> {
    checkPut(request)
    const { key, value, lease, prevKv } = request
    if (request.ignoreValue || request.ignoreLease) return this.#putKeeping(request)
    const { revision, previous } = await this.#write(() => this.#member.datastore.update(key, value, { leaseId: lease }))
    return { header: this.#member.header(revision), prevKv: prevKv ? previous : undefined }
  }

  async #putKeeping(request: Message<'PutRequest'>): Promise<MessageInput<'PutResponse'>> {
    const txn = { compare: [], success: [toPut(request)], failure: [] }
    const { revision, results } = await this.#write(() => keyMustExist(this.#member.datastore.txn(txn)))
    const result = results[0]
    return { header: this.#member.header(revision), prevKv: result?.type === 'put' ? result.previous : undefined }
  }

  async deleteRange({ key, rangeEnd, prevKv }: Message<'DeleteRangeRequest'>): Promise<MessageInput<'DeleteRangeResponse'>> {
    if (key.length === 0) throw etcdErrors.emptyKey()
    const { datastore } = this.#member
    if (rangeEnd.length === 0) {
      const { revision, previous } = await this.#write(() => datastore.delete(key))
      const previousItems = previous === undefined ? [] : [previous]
      return { header: this.#member.header(revision), deleted: previousItems.length, prevKvs: prevKv ? previousItems : [] }
    }
    const operation = { type: 'delete', range: toRange(key, rangeEnd), previous: prevKv } as const
    const { revision, results } = await this.#write(() => datastore.txn({ compare: [], success: [operation], failure: [] }))
    const result = results[0]
    if (result?.type !== 'delete') throw new Error('Invariant broken: a delete answers a delete')
    return { header: this.#member.header(revision), deleted: result.deleted, prevKvs: result.previous }
  }

  async txn(request: Message<'TxnRequest'>): Promise<MessageInput<'TxnResponse'>> {
    checkTxn(request, this.#maxTxnOperations)
    const swap = asSwap(request)
    if (swap !== undefined) return this.#swap(request, swap)
    const { datastore } = this.#member
    const txn = toTxn(request)
    const result = await this.#write(() => (keepsSomething(request) ? keyMustExist(datastore.txn(txn)) : datastore.txn(txn)))
    return { ...toTxnResponse(request, result), header: this.#member.header(result.revision) }
  }

  /** The datastore's own conditional write: cheaper than a txn, and as atomic. */
  async #swap(request: Message<'TxnRequest'>, { key, expectedRevision, put }: Swap): Promise<MessageInput<'TxnResponse'>> {
    const { datastore } = this.#member
    try {
      const { revision } = await this.#write(() =>
        put === undefined
          ? datastore.delete(key, { expectedRevision })
          : datastore.update(key, put.value, { expectedRevision, leaseId: put.lease }),
      )
      const header = { revision }
      const response =
        put === undefined ? { responseDeleteRange: { header, deleted: expectedRevision === 0 ? 0 : 1 } } : { responsePut: { header } }
      return { header: this.#member.header(revision), succeeded: true, responses: [response] }
    } catch (error) {
      if (!isDatastoreError(error) || error.code !== 'RevisionConflict' || error.revision === undefined) throw error
      const { revision, current } = error
      const kvs = current === undefined ? [] : [current]
      return {
        header: this.#member.header(revision),
        responses: request.failure.map(() => ({ responseRange: { header: { revision }, kvs, count: kvs.length } })),
      }
    }
  }

  async compact({ revision }: Message<'CompactionRequest'>): Promise<MessageInput<'CompactionResponse'>> {
    const { datastore } = this.#member
    const status = await datastore.status()
    // Unlike ours, etcd's compaction is refused when there is nothing to do.
    if (revision <= status.compactRevision && status.compactRevision > 0) throw etcdErrors.compacted()
    if (revision > 0) await datastore.compact(revision)
    return { header: this.#member.header(await this.#member.currentRevision()) }
  }

  /** Notes whether the datastore is out of space, which clients see as an alarm. */
  async #write<T>(write: () => Promise<T>): Promise<T> {
    try {
      const result = await write()
      this.#member.isOutOfSpace = false
      return result
    } catch (error) {
      if (isDatastoreError(error) && error.code === 'NoSpace') this.#member.isOutOfSpace = true
      throw error
    }
  }
}

/** A write of one key on the condition of its modRevision, with nothing else but, at most, the key read when the condition fails: Kubernetes' every write. */
interface Swap {
  readonly key: Bytes
  readonly expectedRevision: number
  /** Absent: a deletion. */
  readonly put: Message<'PutRequest'> | undefined
}

function asSwap({ compare, success, failure }: Message<'TxnRequest'>): Swap | undefined {
  const [condition, operation, otherwise] = [compare[0], success[0], failure[0]]
  if (compare.length !== 1 || success.length !== 1 || failure.length > 1 || condition === undefined || operation === undefined)
    return undefined
  const { key, modRevision: expectedRevision = 0 } = condition
  const isOfOneRevision =
    condition.target === enums.CompareTarget.mod && condition.result === enums.CompareResult.equal && condition.rangeEnd.length === 0
  if (!isOfOneRevision || expectedRevision < 0) return undefined
  if (otherwise !== undefined && !isPlainGet(otherwise.requestRange, key)) return undefined
  const { requestPut: put, requestDeleteRange: deletion } = operation
  if (put !== undefined)
    return Buffer.compare(put.key, key) === 0 && !put.prevKv && !put.ignoreValue && !put.ignoreLease
      ? { key, expectedRevision, put }
      : undefined
  const isPlainDelete =
    deletion !== undefined && Buffer.compare(deletion.key, key) === 0 && deletion.rangeEnd.length === 0 && !deletion.prevKv
  return isPlainDelete ? { key, expectedRevision, put: undefined } : undefined
}

function isPlainGet(request: Message<'RangeRequest'> | undefined, key: Bytes): boolean {
  if (request === undefined || Buffer.compare(request.key, key) !== 0) return false
  const { rangeEnd, revision, keysOnly, countOnly, minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  const bounds = minModRevision + maxModRevision + minCreateRevision + maxCreateRevision
  return rangeEnd.length === 0 && revision === 0 && bounds === 0 && !keysOnly && !countOnly
}

/** A write that keeps a key's value or lease is checked by then, and refused as invalid only when the key does not exist. */
function keyMustExist<T>(write: Promise<T>): Promise<T> {
  return write.catch((error: unknown) => {
    throw isDatastoreError(error) && error.code === 'InvalidArgument' ? etcdErrors.keyNotFound() : error
  })
}
