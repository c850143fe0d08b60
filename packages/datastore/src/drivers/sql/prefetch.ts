import { toBinaryString } from '../../bytes.ts'
import type { Bytes, KeyRange, Txn, TxnOperation } from '../../contract.ts'
import type { WriteRequest } from '../../engine/backend.ts'
import type { SqlDialect, SqlRow, SqlStatement } from './dialect.ts'
import { rangeCondition, readItems, toBigInt, toNumber } from './rows.ts'
import type { SqlItem } from './rows.ts'
import type { LeaseRow } from '../../engine/store.ts'
import { selectAt, selectLive } from './selects.ts'

/** A state that a txn's list asks for by its revision. */
interface PastRange {
  readonly range: KeyRange
  readonly revision: number
}

/** Everything that the requests of a batch can touch, whichever branches they take: known before anything is read. */
export interface Prefetch {
  readonly keys: readonly Bytes[]
  readonly ranges: readonly KeyRange[]
  readonly pasts: readonly PastRange[]
  readonly leaseIds: readonly bigint[]
  /** Leases whose keys are needed. */
  readonly revokedIds: readonly bigint[]
}

/** The state before a batch, as far as the batch can touch it. */
export interface Fetched {
  readonly keys: ReadonlySet<string>
  /** By their key as a binary string: what exists of `keys` and of all ranges. */
  readonly items: ReadonlyMap<string, SqlItem>
  /** The items of each range, by {@link rangeName}, in order. */
  readonly ranges: ReadonlyMap<string, readonly SqlItem[]>
  /** The items of each past range, by {@link pastName}. */
  readonly pasts: ReadonlyMap<string, readonly SqlItem[]>
  readonly leases: ReadonlyMap<bigint, LeaseRow>
  readonly leaseItems: ReadonlyMap<bigint, readonly SqlItem[]>
}

export function rangeName({ start, end }: KeyRange): string {
  return `${toBinaryString(start)}|${end === undefined ? 'only' : `${start.length}|${toBinaryString(end)}`}`
}

export function pastName(range: KeyRange, revision: number): string {
  return `${revision}|${rangeName(range)}`
}

class Planner implements Prefetch {
  readonly #keys = new Map<string, Bytes>()
  readonly #ranges = new Map<string, KeyRange>()
  readonly #pasts = new Map<string, PastRange>()
  readonly #leaseIds = new Set<bigint>()
  readonly #revokedIds = new Set<bigint>()

  get keys(): readonly Bytes[] {
    return [...this.#keys.values()]
  }
  get ranges(): readonly KeyRange[] {
    return [...this.#ranges.values()]
  }
  get pasts(): readonly PastRange[] {
    return [...this.#pasts.values()]
  }
  get leaseIds(): readonly bigint[] {
    return [...this.#leaseIds]
  }
  get revokedIds(): readonly bigint[] {
    return [...this.#revokedIds]
  }

  addRequest(request: WriteRequest): void {
    switch (request.type) {
      case 'create':
      case 'update':
        this.#addLease(request.leaseId)
        return this.#addRange({ start: request.key })
      case 'delete':
        return this.#addRange({ start: request.key })
      case 'txn':
        return this.#addTxn(request.txn)
      case 'grantLease':
      case 'keepLease':
        return this.#addLease(request.id)
      case 'revokeLease':
        this.#revokedIds.add(request.id)
        return this.#addLease(request.id)
      case 'compact':
    }
  }

  #addTxn({ compare, success, failure }: Txn): void {
    for (const { range } of compare) this.#addRange(range)
    for (const operation of [...success, ...failure]) this.#addOperation(operation)
  }

  #addOperation(operation: TxnOperation): void {
    switch (operation.type) {
      case 'put':
        this.#addLease(operation.leaseId ?? 0n)
        return this.#addRange({ start: operation.key })
      case 'delete':
        return this.#addRange(operation.range)
      case 'list': {
        const revision = operation.options?.revision
        if (revision === undefined) this.#addRange(operation.range)
        else this.#pasts.set(pastName(operation.range, revision), { range: operation.range, revision })
        return
      }
      case 'txn':
        return this.#addTxn(operation.txn)
    }
  }

  #addRange(range: KeyRange): void {
    if (range.end === undefined) this.#keys.set(toBinaryString(range.start), range.start)
    else this.#ranges.set(rangeName(range), range)
  }

  #addLease(id: bigint): void {
    if (id !== 0n) this.#leaseIds.add(id)
  }
}

/** What a batch needs to have read before it is evaluated. */
export function planPrefetch(requests: readonly WriteRequest[]): Prefetch {
  const planner = new Planner()
  for (const request of requests) planner.addRequest(request)
  return planner
}

/** The statements that read it, and what makes their answers, in the same order, the state. */
export function prefetchStatements(
  dialect: SqlDialect,
  { keys, ranges, pasts, leaseIds, revokedIds }: Prefetch,
): { readonly statements: readonly SqlStatement[]; readonly read: (answers: readonly (readonly SqlRow[])[]) => Fetched } {
  const statements: SqlStatement[] = []
  const readers: ((rows: readonly SqlRow[]) => void)[] = []
  const add = (statement: SqlStatement, reader: (rows: readonly SqlRow[]) => void): void => {
    statements.push(statement)
    readers.push(reader)
  }
  const fetched = {
    keys: new Set(keys.map(toBinaryString)),
    items: new Map<string, SqlItem>(),
    ranges: new Map<string, readonly SqlItem[]>(),
    pasts: new Map<string, readonly SqlItem[]>(),
    leases: new Map<bigint, LeaseRow>(),
    leaseItems: new Map<bigint, readonly SqlItem[]>(),
  }
  const addItems = (items: readonly SqlItem[]): readonly SqlItem[] => {
    for (const item of items) fetched.items.set(toBinaryString(item.key), item)
    return items
  }
  if (keys.length > 0) add(selectLive(dialect.oneOf('live.name', 'key', keys)), (rows) => addItems(readItems(rows)))
  for (const range of ranges)
    add(selectLive(rangeCondition(range, 'live.name')), (rows) => fetched.ranges.set(rangeName(range), addItems(readItems(rows))))
  for (const { range, revision } of pasts)
    add(selectAt(range, revision), (rows) => fetched.pasts.set(pastName(range, revision), readItems(rows)))
  if (leaseIds.length > 0) {
    const { sql, values } = dialect.oneOf('id', 'integer', leaseIds)
    add({ sql: `select id, ttl, deadline from lease where ${sql}`, values }, (rows) => {
      for (const [id, ttl, deadline] of rows)
        fetched.leases.set(toBigInt(id), { id: toBigInt(id), ttlSeconds: Number(ttl), deadlineMs: toNumber(deadline) })
    })
  }
  for (const id of revokedIds)
    add(selectLive({ sql: 'live.lease = ? and live.lease <> 0', values: [id] }), (rows) =>
      fetched.leaseItems.set(id, addItems(readItems(rows))),
    )
  return {
    statements,
    read: (answers) => {
      for (const [index, reader] of readers.entries()) reader(answers[index] ?? [])
      return fetched
    },
  }
}
