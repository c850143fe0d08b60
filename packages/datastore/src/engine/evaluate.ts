/**
 * The decision of every write: given a store's state and a request, what changes and what is answered. Synchronous and shared by all backends.
 *
 * Everything that can refuse a request is checked before its first change, so a refusal needs no rollback and touches no other request of the batch.
 */
import { compareBytes, emptyBytes } from '../bytes.ts'
import type { Compare, KeyValue, Txn, TxnOperation, TxnOperationResult, TxnResult, WatchEvent } from '../contract.ts'
import { DatastoreError } from '../errors.ts'
import type { LoggedRevision, WriteOutcome, WriteRequest } from './backend.ts'
import type { Store } from './store.ts'

type Put = Pick<KeyValue, 'key' | 'value' | 'leaseId'>

/** Evaluates requests in order. The caller has begun a transaction and commits it, with `store.revision` as its newest revision. */
export function evaluateBatch<Item extends KeyValue>(
  store: Store<Item>,
  requests: readonly WriteRequest[],
): { readonly outcomes: readonly WriteOutcome[]; readonly log: readonly LoggedRevision[] } {
  const log: LoggedRevision[] = []
  const outcomes = requests.map((request): WriteOutcome => {
    const write = new Write(store)
    try {
      return evaluate(store, request, write)
    } catch (error) {
      if (error instanceof DatastoreError && write.events.length === 0) return { type: 'failed', error }
      throw error
    } finally {
      if (write.events.length > 0) log.push({ revision: write.revision, events: write.events })
    }
  })
  return { outcomes, log }
}

/** One request's changes: they share a revision, which is taken by the first of them. */
class Write<Item extends KeyValue> {
  readonly events: WatchEvent[] = []
  readonly #store: Store<Item>
  #revision: number | undefined

  constructor(store: Store<Item>) {
    this.#store = store
  }

  /** The revision of this write; the newest one when nothing was written. */
  get revision(): number {
    return this.#revision ?? this.#store.revision
  }

  put({ key, value, leaseId }: Put, previous: Item | undefined): void {
    const modRevision = this.#takeRevision()
    const createRevision = previous?.createRevision ?? modRevision
    const item: KeyValue = { key, value, createRevision, modRevision, version: (previous?.version ?? 0) + 1, leaseId }
    this.#store.put(item, previous)
    this.events.push({ type: 'put', item, previous })
  }

  delete(previous: Item): void {
    const modRevision = this.#takeRevision()
    this.#store.remove(modRevision, previous)
    this.events.push({ type: 'delete', item: tombstone(previous.key, modRevision), previous })
  }

  #takeRevision(): number {
    if (this.#revision === undefined) {
      this.#revision = this.#store.revision + 1
      this.#store.revision = this.#revision
    }
    return this.#revision
  }
}

/** What a delete event shows of its key. */
export function tombstone(key: Uint8Array, modRevision: number): KeyValue {
  return { key, value: emptyBytes, createRevision: 0, modRevision, version: 0, leaseId: 0n }
}

function evaluate<Item extends KeyValue>(store: Store<Item>, request: WriteRequest, write: Write<Item>): WriteOutcome {
  switch (request.type) {
    case 'create': {
      const current = store.find(request.key)
      if (current !== undefined) throw new DatastoreError('KeyExists', 'Key already exists', { current, revision: store.revision })
      checkLease(store, request.leaseId)
      write.put(request, undefined)
      return { type: 'written', revision: write.revision, previous: undefined }
    }
    case 'update': {
      const previous = store.find(request.key)
      checkExpected(store, previous, request.expectedRevision)
      checkLease(store, request.leaseId)
      write.put(request, previous)
      return { type: 'written', revision: write.revision, previous }
    }
    case 'delete': {
      const previous = store.find(request.key)
      checkExpected(store, previous, request.expectedRevision)
      if (previous !== undefined) write.delete(previous)
      return { type: 'written', revision: write.revision, previous }
    }
    case 'txn':
      return { type: 'txn', result: evaluateTxn(store, request.txn, write) }
    case 'compact':
      checkNotFuture(store, request.revision)
      store.compactRevision = Math.max(store.compactRevision, request.revision)
      return { type: 'written', revision: store.revision, previous: undefined }
    case 'grantLease': {
      if (store.findLease(request.id) !== undefined) throw new DatastoreError('LeaseExists', `Lease ${request.id} already exists`)
      return grant(store, request.id, request.ttlSeconds, request.nowMs)
    }
    case 'keepLease':
      return grant(store, request.id, leaseOf(store, request.id).ttlSeconds, request.nowMs)
    case 'revokeLease': {
      const { deadlineMs } = leaseOf(store, request.id)
      if (request.nowMs !== undefined && deadlineMs > request.nowMs)
        return { type: 'written', revision: store.revision, previous: undefined }
      for (const item of store.keysOfLease(request.id)) write.delete(item)
      store.removeLease(request.id)
      return { type: 'written', revision: write.revision, previous: undefined }
    }
    default:
      return unreachable(request)
  }
}

function grant(store: Store, id: bigint, ttlSeconds: number, nowMs: number): WriteOutcome {
  const deadlineMs = nowMs + ttlSeconds * 1000
  store.putLease({ id, ttlSeconds, deadlineMs })
  return { type: 'lease', lease: { id, ttlSeconds }, deadlineMs }
}

function leaseOf(store: Store, id: bigint): { readonly ttlSeconds: number; readonly deadlineMs: number } {
  const lease = store.findLease(id)
  if (lease === undefined) throw new DatastoreError('LeaseNotFound', `Lease ${id} does not exist`)
  return lease
}

function checkLease(store: Store, id: bigint): void {
  if (id !== 0n) leaseOf(store, id)
}

function checkExpected(store: Store, current: KeyValue | undefined, expected: number | undefined): void {
  if (expected === undefined || (current?.modRevision ?? 0) === expected) return
  throw new DatastoreError('RevisionConflict', `Key is at revision ${current?.modRevision ?? 0}, not at ${expected}`, {
    current,
    revision: store.revision,
  })
}

function checkNotFuture(store: Store, revision: number): void {
  if (revision > store.revision)
    throw new DatastoreError('FutureRevision', `Revision ${revision} is in the future, the newest is ${store.revision}`, {
      revision: store.revision,
    })
}

/** Throws when the state at `revision` cannot be read; undefined is the newest. */
export function checkReadable(store: Pick<Store, 'revision' | 'compactRevision'>, revision: number | undefined): void {
  if (revision === undefined) return
  if (revision > store.revision)
    throw new DatastoreError('FutureRevision', `Revision ${revision} is in the future, the newest is ${store.revision}`, {
      revision: store.revision,
    })
  if (revision < store.compactRevision) throw compacted(revision, store.compactRevision)
}

export function compacted(revision: number, compactRevision: number): DatastoreError {
  return new DatastoreError('Compacted', `Revision ${revision} is compacted, the oldest is ${compactRevision}`, {
    revision: compactRevision,
  })
}

/** A txn whose comparisons are settled, all of them against the state before it, as in etcd. */
interface Plan {
  readonly succeeded: boolean
  readonly steps: readonly Step[]
}
type Step = { readonly operation: Exclude<TxnOperation, { type: 'txn' }> } | { readonly nested: Plan }

function evaluateTxn<Item extends KeyValue>(store: Store<Item>, txn: Txn, write: Write<Item>): TxnResult {
  const plan = settle(store, txn)
  const finish = runPlan(store, plan, write)
  return finish(write.revision)
}

function settle<Item extends KeyValue>(store: Store<Item>, txn: Txn): Plan {
  const succeeded = txn.compare.every((compare) => holds(store, compare))
  const steps = (succeeded ? txn.success : txn.failure).map((operation): Step => {
    if (operation.type === 'txn') return { nested: settle(store, operation.txn) }
    if (operation.type === 'list') checkReadable(store, operation.options?.revision)
    if (operation.type === 'put') {
      if ((operation.keepValue === true || operation.keepLease === true) && store.find(operation.key) === undefined)
        throw new DatastoreError('InvalidArgument', 'Cannot keep the value or lease of a key that does not exist')
      if (operation.keepLease !== true) checkLease(store, operation.leaseId ?? 0n)
    }
    return { operation }
  })
  return { succeeded, steps }
}

/** Does the steps; the results are finished afterwards, because the revision that they carry is known only when all writes are done. */
function runPlan<Item extends KeyValue>(store: Store<Item>, plan: Plan, write: Write<Item>): (revision: number) => TxnResult {
  const results = plan.steps.map((step): ((revision: number) => TxnOperationResult) => {
    if ('nested' in step) {
      const finish = runPlan(store, step.nested, write)
      return (revision) => ({ type: 'txn', result: finish(revision) })
    }
    const { operation } = step
    switch (operation.type) {
      case 'put': {
        const previous = store.find(operation.key)
        const value = operation.keepValue === true && previous !== undefined ? previous.value : operation.value
        const leaseId = operation.keepLease === true && previous !== undefined ? previous.leaseId : (operation.leaseId ?? 0n)
        write.put({ key: operation.key, value, leaseId }, previous)
        const result: TxnOperationResult = { type: 'put', previous: operation.previous === true ? previous : undefined }
        return () => result
      }
      case 'delete': {
        const items = store.findAll(operation.range)
        for (const item of items) write.delete(item)
        const result: TxnOperationResult = { type: 'delete', deleted: items.length, previous: operation.previous === true ? items : [] }
        return () => result
      }
      case 'list': {
        const list = store.list(operation.range, operation.options ?? {})
        return (revision) => ({ type: 'list', result: { revision, ...list } })
      }
      default:
        return unreachable(operation)
    }
  })
  return (revision) => ({ succeeded: plan.succeeded, revision, results: results.map((finish) => finish(revision)) })
}

function holds<Item extends KeyValue>(store: Store<Item>, compare: Compare): boolean {
  const items = compare.range.end === undefined ? [store.find(compare.range.start)] : store.findAll(compare.range)
  // An absent key compares as zeros, and has no value to compare: as in etcd.
  return (items.length === 0 ? [undefined] : items).every((item) => {
    const order = compareTo(item, compare)
    if (order === undefined) return false
    switch (compare.result) {
      case 'equal':
        return order === 0
      case 'notEqual':
        return order !== 0
      case 'greater':
        return order > 0
      case 'less':
        return order < 0
      default:
        return unreachable(compare.result)
    }
  })
}

function compareTo(item: KeyValue | undefined, { target, operand }: Compare): number | undefined {
  if (target === 'value') return item === undefined || !(operand instanceof Uint8Array) ? undefined : compareBytes(item.value, operand)
  if (operand instanceof Uint8Array) return undefined
  const [have, want] = [target === 'lease' ? (item?.leaseId ?? 0n) : BigInt(item?.[target] ?? 0), BigInt(operand)]
  return have < want ? -1 : have > want ? 1 : 0
}

function unreachable(value: never): never {
  throw new Error(`Invariant broken: unknown ${JSON.stringify(value)}`)
}
