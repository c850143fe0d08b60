import { append } from '@k3s/lifecycle'
import { emptyBytes, isInRange, toBinaryString } from '../bytes.ts'
import type { Bytes, Compare, KeyRange, Txn, TxnOperation, TxnOperationResult, TxnResult } from '../contract.ts'
import { enums } from '../etcd/messages.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { etcdErrors } from './grpc-error.ts'
import { checkRangeRequest, finishRange, toListOptions, toRange } from './ranges.ts'

/** Throws etcd's error for a put that no state could accept. */
export function checkPut({ key, value, lease, ignoreValue, ignoreLease }: Message<'PutRequest'>): void {
  if (key.length === 0) throw etcdErrors.emptyKey()
  if (ignoreValue && value.length > 0) throw etcdErrors.valueProvided()
  if (ignoreLease && lease !== 0n) throw etcdErrors.leaseProvided()
}

/** Throws etcd's error for a transaction that no state could accept. `maxOperations` bounds each list, nested ones by what their parents leave. */
export function checkTxn(request: Message<'TxnRequest'>, maxOperations: number): void {
  checkOperations(request, maxOperations)
  checkWrites(request.success)
  checkWrites(request.failure)
}

function checkOperations({ compare, success, failure }: Message<'TxnRequest'>, maxOperations: number): void {
  const operations = Math.max(compare.length, success.length, failure.length)
  if (operations > maxOperations) throw etcdErrors.tooManyOperations()
  for (const { key } of compare) if (key.length === 0) throw etcdErrors.emptyKey()
  for (const list of [success, failure])
    for (const { requestRange, requestPut, requestDeleteRange, requestTxn } of list) {
      if (requestRange !== undefined) checkRangeRequest(requestRange)
      else if (requestPut !== undefined) checkPut(requestPut)
      else if (requestTxn !== undefined) checkOperations(requestTxn, maxOperations - operations)
      else if (requestDeleteRange === undefined) throw etcdErrors.keyNotFound()
      else if (requestDeleteRange.key.length === 0) throw etcdErrors.emptyKey()
    }
}

interface Writes {
  readonly puts: Map<string, Bytes>
  readonly deletes: KeyRange[]
}

const noWrites = (): Writes => ({ puts: new Map(), deletes: [] })

/** Follows etcd's checkIntervals: no key is put twice, or put and deleted, but in branches of which one only is taken. */
function checkWrites(operations: readonly Message<'RequestOp'>[]): Writes {
  const only = operations.length === 1 ? operations[0] : undefined
  if (only !== undefined && only.requestTxn === undefined && only.requestDeleteRange === undefined && only.requestPut === undefined)
    return noWrites()
  const { puts, deletes } = noWrites()
  for (const { requestDeleteRange } of operations)
    if (requestDeleteRange !== undefined) deletes.push(toRange(requestDeleteRange.key, requestDeleteRange.rangeEnd))
  const addPut = (name: string, key: Bytes): void => {
    if (puts.has(name) || deletes.some((range) => isInRange(range, key))) throw etcdErrors.duplicateKey()
    puts.set(name, key)
  }
  for (const { requestTxn } of operations) {
    if (requestTxn === undefined) continue
    const [success, failure] = [checkWrites(requestTxn.success), checkWrites(requestTxn.failure)]
    // One branch only is taken: what both put counts once.
    for (const [name, key] of new Map([...success.puts, ...failure.puts])) addPut(name, key)
    append(deletes, success.deletes, failure.deletes)
  }
  for (const { requestPut } of operations) if (requestPut !== undefined) addPut(toBinaryString(requestPut.key), requestPut.key)
  return { puts, deletes }
}

/** A checked transaction as the datastore takes it. */
export function toTxn({ compare, success, failure }: Message<'TxnRequest'>): Txn {
  return { compare: compare.map(toCompare), success: success.map(toOperation), failure: failure.map(toOperation) }
}

const results = ['equal', 'greater', 'less', 'notEqual'] as const // in the order of etcd's numbers

function toCompare(compare: Message<'Compare'>): Compare {
  const result = results[compare.result] ?? 'equal'
  const range = toRange(compare.key, compare.rangeEnd)
  switch (compare.target) {
    case enums.CompareTarget.version:
      return { range, result, target: 'version', operand: compare.version ?? 0 }
    case enums.CompareTarget.create:
      return { range, result, target: 'createRevision', operand: compare.createRevision ?? 0 }
    case enums.CompareTarget.mod:
      return { range, result, target: 'modRevision', operand: compare.modRevision ?? 0 }
    case enums.CompareTarget.value:
      return { range, result, target: 'value', operand: compare.value ?? emptyBytes }
    case enums.CompareTarget.lease:
      return { range, result, target: 'lease', operand: compare.lease ?? 0n }
    default:
      // etcd compares 0 with 0 for a target that it does not know.
      return { range: { start: compare.key }, result, target: 'version', operand: 0 }
  }
}

function toOperation({ requestRange, requestPut, requestDeleteRange, requestTxn }: Message<'RequestOp'>): TxnOperation {
  if (requestPut !== undefined) return toPut(requestPut)
  if (requestRange !== undefined)
    return { type: 'list', range: toRange(requestRange.key, requestRange.rangeEnd), options: toListOptions(requestRange) }
  if (requestDeleteRange !== undefined) {
    const { key, rangeEnd, prevKv } = requestDeleteRange
    return { type: 'delete', range: toRange(key, rangeEnd), previous: prevKv }
  }
  if (requestTxn !== undefined) return { type: 'txn', txn: toTxn(requestTxn) }
  throw etcdErrors.keyNotFound()
}

/** A checked put as an operation. */
export function toPut({ key, value, lease, prevKv, ignoreValue, ignoreLease }: Message<'PutRequest'>): TxnOperation {
  return { type: 'put', key, value, leaseId: lease, keepValue: ignoreValue, keepLease: ignoreLease, previous: prevKv }
}

/** What is answered to a transaction, without the header. */
export function toTxnResponse(
  request: Message<'TxnRequest'>,
  { succeeded, results: done, revision }: TxnResult,
): MessageInput<'TxnResponse'> {
  const operations = succeeded ? request.success : request.failure
  return { succeeded, responses: done.map((result, index) => toResponse(operations[index], result, revision)) }
}

function toResponse(request: Message<'RequestOp'> | undefined, result: TxnOperationResult, revision: number): MessageInput<'ResponseOp'> {
  const header = { revision }
  switch (result.type) {
    case 'put':
      return { responsePut: { header, prevKv: result.previous } }
    case 'delete':
      return { responseDeleteRange: { header, deleted: result.deleted, prevKvs: result.previous } }
    case 'list': {
      if (request?.requestRange === undefined) throw new Error('Invariant broken: a list answers a range')
      return { responseRange: { header, ...finishRange(request.requestRange, result.result) } }
    }
    case 'txn': {
      if (request?.requestTxn === undefined) throw new Error('Invariant broken: a txn answers a txn')
      return { responseTxn: { header, ...toTxnResponse(request.requestTxn, result.result) } }
    }
  }
}

/** Whether a transaction keeps a value or a lease that a key may turn out not to have. */
export function keepsSomething({ success, failure }: Message<'TxnRequest'>): boolean {
  return [...success, ...failure].some(
    ({ requestPut, requestTxn }) =>
      requestPut?.ignoreValue === true || requestPut?.ignoreLease === true || (requestTxn !== undefined && keepsSomething(requestTxn)),
  )
}
