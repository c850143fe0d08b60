import { append } from '@k3s/lifecycle'
import { isInRange, toBinaryString } from '../bytes.ts'
import type { Bytes, Compare, DatastoreLimits, KeyRange, Txn, TxnOperation } from '../contract.ts'
import { DatastoreError } from '../errors.ts'
import type { WriteRequest } from './backend.ts'
import { sizeOfRequest } from './commit-queue.ts'

/** Limits of requests, those of a driver included. */
export interface RequestLimits extends Required<{ readonly [K in keyof DatastoreLimits]-?: number }> {
  /** Of a key that is written; absent: as the whole request. */
  readonly maxKeyBytes?: number | undefined
}

/** etcd's limits, which Kubernetes' own are made for. */
export const defaultLimits: RequestLimits = {
  maxRequestBytes: 1.5 * 2 ** 20,
  maxTxnOperations: 128,
}

/** Throws `InvalidArgument` or `TooLarge` for a request that no state could accept. */
export function checkRequest(request: WriteRequest, limits: RequestLimits): void {
  if ('key' in request) checkWrittenKey(request.key, limits)
  if ('expectedRevision' in request && request.expectedRevision !== undefined)
    checkWhole('The expected revision', request.expectedRevision, 0)
  if (request.type === 'txn') {
    checkTxn(request.txn, limits)
    const writes = writesOf(request.txn)
    checkBranch(writes)
  }
  if (request.type === 'grantLease') {
    if (!(request.ttlSeconds > 0 && request.ttlSeconds <= 9_000_000_000))
      throw invalid('The time to live of a lease must be between 0 and 9000000000 seconds')
    if (request.id <= 0n || request.id >= 2n ** 63n) throw invalid('The id of a lease must be positive and below 2^63')
  }
  const bytes = sizeOfRequest(request)
  if (bytes > limits.maxRequestBytes)
    throw new DatastoreError('TooLarge', `Request of ${bytes} bytes is larger than the limit of ${limits.maxRequestBytes} bytes`)
}

export function checkKey(key: Bytes): void {
  if (!(key instanceof Uint8Array)) throw invalid('A key must be a Uint8Array')
  if (key.length === 0) throw invalid('A key must not be empty')
}

function checkWrittenKey(key: Bytes, { maxKeyBytes = Number.POSITIVE_INFINITY }: RequestLimits): void {
  checkKey(key)
  if (key.length > maxKeyBytes)
    throw new DatastoreError('TooLarge', `Key of ${key.length} bytes is larger than the limit of ${maxKeyBytes} bytes`)
}

export function checkRange(range: KeyRange): void {
  if (range.end === undefined) checkKey(range.start)
}

export function checkRevision(revision: number | undefined): void {
  if (revision !== undefined) checkWhole('The revision', revision, 1)
}

export function checkWhole(what: string, value: number, minimum: number): void {
  if (!Number.isSafeInteger(value) || value < minimum) throw invalid(`${what} must be a whole number of at least ${minimum}`)
}

function invalid(message: string): DatastoreError {
  return new DatastoreError('InvalidArgument', message)
}

function checkTxn(txn: Txn, limits: RequestLimits): void {
  for (const list of [txn.compare, txn.success, txn.failure])
    if (list.length > limits.maxTxnOperations)
      throw new DatastoreError('TooLarge', `Transaction has ${list.length} operations, the limit is ${limits.maxTxnOperations}`)
  txn.compare.forEach(checkCompare)
  for (const operation of [...txn.success, ...txn.failure]) checkOperation(operation, limits)
}

function checkCompare({ range, target, operand }: Compare): void {
  checkRange(range)
  const isFitting = target === 'value' ? operand instanceof Uint8Array : typeof operand === 'bigint' || Number.isSafeInteger(operand)
  if (!isFitting) throw invalid(`A comparison of "${target}" needs ${target === 'value' ? 'bytes' : 'a whole number'}`)
}

function checkOperation(operation: TxnOperation, limits: RequestLimits): void {
  switch (operation.type) {
    case 'put':
      return checkWrittenKey(operation.key, limits)
    case 'delete':
      return checkRange(operation.range)
    case 'list':
      checkRange(operation.range)
      return checkRevision(operation.options?.revision)
    case 'txn':
      return checkTxn(operation.txn, limits)
  }
}

/** What one branch of a txn may write: of a nested txn, each of its branches may. */
interface Writes {
  readonly puts: ReadonlyMap<string, Bytes>
  readonly deletes: readonly KeyRange[]
}

function writesOf(txn: Txn): readonly Writes[] {
  return [txn.success, txn.failure].map(writesOfBranch)
}

function checkBranch(branches: readonly Writes[]): void {
  for (const { puts, deletes } of branches)
    for (const range of deletes) for (const key of puts.values()) if (isInRange(range, key)) throw duplicateKey()
}

function writesOfBranch(operations: readonly TxnOperation[]): Writes {
  const puts = new Map<string, Bytes>()
  const deletes: KeyRange[] = []
  for (const operation of operations) {
    if (operation.type === 'delete') deletes.push(operation.range)
    if (operation.type === 'put') {
      if (puts.has(toBinaryString(operation.key))) throw duplicateKey()
      puts.set(toBinaryString(operation.key), operation.key)
    }
    if (operation.type === 'txn') {
      const branches = writesOf(operation.txn)
      checkBranch(branches)
      const nested = new Map(branches.flatMap((branch) => [...branch.puts]))
      for (const [name, key] of nested) {
        if (puts.has(name)) throw duplicateKey()
        puts.set(name, key)
      }
      append(
        deletes,
        branches.flatMap((branch) => branch.deletes),
      )
    }
  }
  return { puts, deletes }
}

function duplicateKey(): DatastoreError {
  return invalid('A transaction may write a key once')
}
