/** How requests and answers cross between threads: packed into one buffer, because cloning thousands of small arrays costs more than the database. */
import type {
  Compare,
  KeyRange,
  KeyValue,
  ListOptions,
  Txn,
  TxnOperation,
  TxnOperationResult,
  TxnResult,
  WatchEvent,
} from '../../contract.ts'
import type { BatchResult, WriteOutcome, WriteRequest } from '../../engine/backend.ts'
import { DatastoreError } from '../../errors.ts'
import type { DatastoreErrorCode } from '../../errors.ts'
import type { ByteReader, ByteWriter } from '../byte-stream.ts'

const requestTypes = ['create', 'update', 'delete', 'txn', 'compact', 'grantLease', 'keepLease', 'revokeLease'] as const
const outcomeTypes = ['failed', 'written', 'txn', 'lease'] as const
const operationTypes = ['put', 'delete', 'list', 'txn'] as const
const compareTargets = ['version', 'createRevision', 'modRevision', 'value', 'lease'] as const
const compareResults = ['equal', 'notEqual', 'greater', 'less'] as const

function writeType<T extends string>(to: ByteWriter, types: readonly T[], type: T): void {
  to.u8(types.indexOf(type))
}

function readType<T extends string>(from: ByteReader, types: readonly T[]): T {
  const index = from.u8()
  const type = types[index]
  if (type === undefined) throw new Error(`Invariant broken: a message has type ${index} where ${types.join(', ')} may be`)
  return type
}

export function writeRequest(to: ByteWriter, request: WriteRequest): void {
  writeType(to, requestTypes, request.type)
  switch (request.type) {
    case 'create':
    case 'update':
      to.bytes(request.key)
      to.bytes(request.value)
      to.bigint(request.leaseId)
      if (request.type === 'update') to.optional(request.expectedRevision, (revision) => to.number(revision))
      return
    case 'delete':
      to.bytes(request.key)
      to.optional(request.expectedRevision, (revision) => to.number(revision))
      return
    case 'txn':
      return writeTxn(to, request.txn)
    case 'compact':
      return to.number(request.revision)
    case 'grantLease':
      to.bigint(request.id)
      to.number(request.ttlSeconds)
      return to.number(request.nowMs)
    case 'keepLease':
      to.bigint(request.id)
      return to.number(request.nowMs)
    case 'revokeLease':
      to.bigint(request.id)
      return to.optional(request.nowMs, (nowMs) => to.number(nowMs))
  }
}

export function readRequest(from: ByteReader): WriteRequest {
  const type = readType(from, requestTypes)
  switch (type) {
    case 'create':
      return { type, key: from.bytes(), value: from.bytes(), leaseId: from.bigint() }
    case 'update':
      return { type, key: from.bytes(), value: from.bytes(), leaseId: from.bigint(), expectedRevision: from.optional(() => from.number()) }
    case 'delete':
      return { type, key: from.bytes(), expectedRevision: from.optional(() => from.number()) }
    case 'txn':
      return { type, txn: readTxn(from) }
    case 'compact':
      return { type, revision: from.number() }
    case 'grantLease':
      return { type, id: from.bigint(), ttlSeconds: from.number(), nowMs: from.number() }
    case 'keepLease':
      return { type, id: from.bigint(), nowMs: from.number() }
    default:
      return { type, id: from.bigint(), nowMs: from.optional(() => from.number()) }
  }
}

export function writeBatchResult(to: ByteWriter, { outcomes, log, revision, compactRevision }: BatchResult): void {
  to.number(revision)
  to.number(compactRevision)
  to.list(log, (logged) => {
    to.number(logged.revision)
    to.list(logged.events, (event) => writeEvent(to, event))
  })
  const replaced = previousByRevision(log)
  to.list(outcomes, (outcome) => {
    // What a single write replaced is in its event already.
    const isInEvent = outcome.type === 'written' && outcome.previous !== undefined && replaced.get(outcome.revision) === outcome.previous
    to.boolean(isInEvent)
    writeOutcome(to, isInEvent ? { ...outcome, previous: undefined } : outcome)
  })
}

/** What the first event of each revision replaced. */
function previousByRevision(log: BatchResult['log']): ReadonlyMap<number, KeyValue | undefined> {
  return new Map(log.map(({ revision, events }) => [revision, events[0]?.previous]))
}

export function readBatchResult(from: ByteReader): BatchResult {
  const [revision, compactRevision] = [from.number(), from.number()]
  const log = from.list(() => ({ revision: from.number(), events: from.list(() => readEvent(from)) }))
  const replaced = previousByRevision(log)
  const outcomes = from.list(() => {
    const isInEvent = from.boolean()
    const outcome = readOutcome(from)
    return isInEvent && outcome.type === 'written' ? { ...outcome, previous: replaced.get(outcome.revision) } : outcome
  })
  return { revision, compactRevision, log, outcomes }
}

function writeOutcome(to: ByteWriter, outcome: WriteOutcome): void {
  writeType(to, outcomeTypes, outcome.type)
  switch (outcome.type) {
    case 'failed':
      return writeError(to, outcome.error)
    case 'written':
      to.number(outcome.revision)
      return to.optional(outcome.previous, (previous) => writeItem(to, previous))
    case 'txn':
      return writeTxnResult(to, outcome.result)
    case 'lease':
      to.bigint(outcome.lease.id)
      to.number(outcome.lease.ttlSeconds)
      return to.number(outcome.deadlineMs)
  }
}

function readOutcome(from: ByteReader): WriteOutcome {
  const type = readType(from, outcomeTypes)
  switch (type) {
    case 'failed':
      return { type, error: readError(from) }
    case 'written':
      return { type, revision: from.number(), previous: from.optional(() => readItem(from)) }
    case 'txn':
      return { type, result: readTxnResult(from) }
    default:
      return { type, lease: { id: from.bigint(), ttlSeconds: from.number() }, deadlineMs: from.number() }
  }
}

export function writeError(to: ByteWriter, { code, message, hint, revision, current }: DatastoreError): void {
  to.text(code)
  to.text(message)
  to.optional(hint, (hint) => to.text(hint))
  to.optional(revision, (revision) => to.number(revision))
  to.optional(current, (current) => writeItem(to, current))
}

export function readError(from: ByteReader): DatastoreError {
  const code = from.text() as DatastoreErrorCode // written from one
  const message = from.text()
  const hint = from.optional(() => from.text())
  const revision = from.optional(() => from.number())
  return new DatastoreError(code, message, { hint, revision, current: from.optional(() => readItem(from)) })
}

export function writeItem(to: ByteWriter, { key, value, createRevision, modRevision, version, leaseId }: KeyValue): void {
  to.bytes(key)
  to.bytes(value)
  to.number(createRevision)
  to.number(modRevision)
  to.number(version)
  to.bigint(leaseId)
}

export function readItem(from: ByteReader): KeyValue {
  return {
    key: from.bytes(),
    value: from.bytes(),
    createRevision: from.number(),
    modRevision: from.number(),
    version: from.number(),
    leaseId: from.bigint(),
  }
}

export function writeEvent(to: ByteWriter, { type, item, previous }: WatchEvent): void {
  to.boolean(type === 'put')
  writeItem(to, item)
  to.optional(previous, (previous) => writeItem(to, previous))
}

export function readEvent(from: ByteReader): WatchEvent {
  return { type: from.boolean() ? 'put' : 'delete', item: readItem(from), previous: from.optional(() => readItem(from)) }
}

function writeRange(to: ByteWriter, { start, end }: KeyRange): void {
  to.bytes(start)
  to.optional(end, (end) => to.bytes(end))
}

function readRange(from: ByteReader): KeyRange {
  return { start: from.bytes(), end: from.optional(() => from.bytes()) }
}

function writeTxn(to: ByteWriter, { compare, success, failure }: Txn): void {
  to.list(compare, (compare) => writeCompare(to, compare))
  to.list(success, (operation) => writeOperation(to, operation))
  to.list(failure, (operation) => writeOperation(to, operation))
}

function readTxn(from: ByteReader): Txn {
  return {
    compare: from.list(() => readCompare(from)),
    success: from.list(() => readOperation(from)),
    failure: from.list(() => readOperation(from)),
  }
}

function writeCompare(to: ByteWriter, { range, target, result, operand }: Compare): void {
  writeRange(to, range)
  writeType(to, compareTargets, target)
  writeType(to, compareResults, result)
  if (operand instanceof Uint8Array) to.bytes(operand)
  else to.bigint(BigInt(operand))
}

function readCompare(from: ByteReader): Compare {
  const range = readRange(from)
  const target = readType(from, compareTargets)
  const result = readType(from, compareResults)
  return { range, target, result, operand: target === 'value' ? from.bytes() : from.bigint() }
}

function writeOperation(to: ByteWriter, operation: TxnOperation): void {
  writeType(to, operationTypes, operation.type)
  switch (operation.type) {
    case 'put':
      to.bytes(operation.key)
      to.bytes(operation.value)
      to.bigint(operation.leaseId ?? 0n)
      to.boolean(operation.keepValue ?? false)
      to.boolean(operation.keepLease ?? false)
      return to.boolean(operation.previous ?? false)
    case 'delete':
      writeRange(to, operation.range)
      return to.boolean(operation.previous ?? false)
    case 'list':
      writeRange(to, operation.range)
      return writeListOptions(to, operation.options ?? {})
    case 'txn':
      return writeTxn(to, operation.txn)
  }
}

function readOperation(from: ByteReader): TxnOperation {
  const type = readType(from, operationTypes)
  switch (type) {
    case 'put':
      return {
        type,
        key: from.bytes(),
        value: from.bytes(),
        leaseId: from.bigint(),
        keepValue: from.boolean(),
        keepLease: from.boolean(),
        previous: from.boolean(),
      }
    case 'delete':
      return { type, range: readRange(from), previous: from.boolean() }
    case 'list':
      return { type, range: readRange(from), options: readListOptions(from) }
    default:
      return { type, txn: readTxn(from) }
  }
}

function writeListOptions(to: ByteWriter, { revision, limit, keysOnly, countOnly }: Omit<ListOptions, 'signal'>): void {
  to.optional(revision, (revision) => to.number(revision))
  to.number(limit ?? 0)
  to.boolean(keysOnly ?? false)
  to.boolean(countOnly ?? false)
}

function readListOptions(from: ByteReader): Omit<ListOptions, 'signal'> {
  return { revision: from.optional(() => from.number()), limit: from.number(), keysOnly: from.boolean(), countOnly: from.boolean() }
}

function writeTxnResult(to: ByteWriter, { succeeded, revision, results }: TxnResult): void {
  to.boolean(succeeded)
  to.number(revision)
  to.list(results, (result) => writeOperationResult(to, result))
}

function readTxnResult(from: ByteReader): TxnResult {
  return { succeeded: from.boolean(), revision: from.number(), results: from.list(() => readOperationResult(from)) }
}

function writeOperationResult(to: ByteWriter, operation: TxnOperationResult): void {
  writeType(to, operationTypes, operation.type)
  switch (operation.type) {
    case 'put':
      return to.optional(operation.previous, (previous) => writeItem(to, previous))
    case 'delete':
      to.number(operation.deleted)
      return to.list(operation.previous, (item) => writeItem(to, item))
    case 'list':
      to.number(operation.result.revision)
      to.number(operation.result.count)
      to.boolean(operation.result.more)
      return to.list(operation.result.items, (item) => writeItem(to, item))
    case 'txn':
      return writeTxnResult(to, operation.result)
  }
}

function readOperationResult(from: ByteReader): TxnOperationResult {
  const type = readType(from, operationTypes)
  switch (type) {
    case 'put':
      return { type, previous: from.optional(() => readItem(from)) }
    case 'delete':
      return { type, deleted: from.number(), previous: from.list(() => readItem(from)) }
    case 'list':
      return {
        type,
        result: { revision: from.number(), count: from.number(), more: from.boolean(), items: from.list(() => readItem(from)) },
      }
    default:
      return { type, result: readTxnResult(from) }
  }
}
