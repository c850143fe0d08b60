/** Requests and answers in etcd's form and in ours. */
import { emptyBytes } from '../../bytes.ts'
import type {
  Bytes,
  Compare,
  KeyRange,
  ListOptions,
  ListResult,
  Txn,
  TxnOperation,
  TxnOperationResult,
  TxnResult,
  WatchEvent,
} from '../../contract.ts'
import type { Message, MessageInput } from '../../etcd/messages.ts'
import { enums } from '../../etcd/messages.ts'
import { DatastoreError } from '../../errors.ts'

/** The least key, and where etcd's API has it as a range's end: no end. */
export const zeroByte: Bytes = Uint8Array.of(0)

export function toRange({ start, end }: KeyRange): { readonly key: Bytes; readonly rangeEnd?: Bytes } {
  if (end === undefined) return { key: start }
  return { key: start.length === 0 ? zeroByte : start, rangeEnd: end.length === 0 ? zeroByte : end }
}

export function toRangeRequest(range: KeyRange, options: Omit<ListOptions, 'signal'>): MessageInput<'RangeRequest'> {
  const { revision, limit, keysOnly, countOnly } = options
  return { ...toRange(range), revision, limit, keysOnly, countOnly }
}

/** A txn that writes if `key`'s revision is `expectedRevision`, and otherwise reads it. 0: if it does not exist. */
export function ifAt(key: Bytes, expectedRevision: number, write: MessageInput<'RequestOp'>): MessageInput<'TxnRequest'> {
  return {
    compare: [{ key, target: enums.CompareTarget.mod, result: enums.CompareResult.equal, modRevision: expectedRevision }],
    success: [write],
    failure: [{ requestRange: { key } }],
  }
}

export function toTxnRequest({ compare, success, failure }: Txn): MessageInput<'TxnRequest'> {
  return { compare: compare.map(toCompare), success: success.map(toOperation), failure: failure.map(toOperation) }
}

function toCompare({ range, target, result, operand }: Compare): MessageInput<'Compare'> {
  const base = { ...toRange(range), result: enums.CompareResult[result] }
  const { CompareTarget } = enums
  if (operand instanceof Uint8Array) return { ...base, target: CompareTarget.value, value: operand }
  switch (target) {
    case 'version':
      return { ...base, target: CompareTarget.version, version: toNumber(operand) }
    case 'createRevision':
      return { ...base, target: CompareTarget.create, createRevision: toNumber(operand) }
    case 'modRevision':
      return { ...base, target: CompareTarget.mod, modRevision: toNumber(operand) }
    case 'lease':
      return { ...base, target: CompareTarget.lease, lease: BigInt(operand) }
    case 'value':
      throw new DatastoreError('InvalidArgument', 'A comparison of "value" needs bytes')
  }
}

/** Nothing that etcd counts is beyond 2^53: to compare with more is to compare with the largest. */
function toNumber(operand: number | bigint): number {
  if (typeof operand === 'number') return operand
  if (operand > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER
  return operand < BigInt(Number.MIN_SAFE_INTEGER) ? Number.MIN_SAFE_INTEGER : Number(operand)
}

function toOperation(operation: TxnOperation): MessageInput<'RequestOp'> {
  switch (operation.type) {
    case 'put': {
      const { key, value, leaseId, keepValue, keepLease, previous } = operation
      return {
        requestPut: {
          key,
          value: keepValue === true ? emptyBytes : value,
          lease: keepLease === true ? 0n : leaseId,
          ignoreValue: keepValue,
          ignoreLease: keepLease,
          prevKv: previous,
        },
      }
    }
    case 'delete':
      return { requestDeleteRange: { ...toRange(operation.range), prevKv: operation.previous } }
    case 'list':
      return { requestRange: toRangeRequest(operation.range, operation.options ?? {}) }
    case 'txn':
      return { requestTxn: toTxnRequest(operation.txn) }
  }
}

/** Whether a branch of the txn may write. */
export function writes({ success, failure }: Txn): boolean {
  return [...success, ...failure].some(
    (operation) => operation.type === 'put' || operation.type === 'delete' || (operation.type === 'txn' && writes(operation.txn)),
  )
}

/** The answer to `txn`, whose revision is that of the whole. */
export function fromTxnResponse(txn: Txn, response: Message<'TxnResponse'>, revision: number): TxnResult {
  const operations = response.succeeded ? txn.success : txn.failure
  const results = operations.map((operation, index): TxnOperationResult => {
    const answer = response.responses[index]
    switch (operation.type) {
      case 'put':
        return { type: 'put', previous: present(answer?.responsePut).prevKv }
      case 'delete': {
        const { deleted, prevKvs } = present(answer?.responseDeleteRange)
        return { type: 'delete', deleted, previous: prevKvs }
      }
      case 'list':
        return { type: 'list', result: { ...fromRangeResponse(present(answer?.responseRange)), revision } }
      case 'txn':
        return { type: 'txn', result: fromTxnResponse(operation.txn, present(answer?.responseTxn), revision) }
    }
  })
  return { succeeded: response.succeeded, revision, results }
}

/** A part of an answer that etcd always gives. */
export function present<T>(part: T | undefined): T {
  if (part === undefined) throw new DatastoreError('Unavailable', 'etcd has left something out of its answer: it is not an etcd')
  return part
}

export function fromRangeResponse({ kvs, count, more }: Message<'RangeResponse'>): Omit<ListResult, 'revision'> {
  return { items: kvs, count, more }
}

export function fromEvent({ type, kv, prevKv }: Message<'Event'>): WatchEvent {
  const item = present(kv)
  return { type: type === enums.EventType.delete ? 'delete' : 'put', item, ...(prevKv === undefined ? {} : { previous: prevKv }) }
}
