import { compareBytes, emptyBytes, isInRange, toBinaryString } from '../../bytes.ts'
import type { Bytes, KeyRange, KeyValue } from '../../contract.ts'
import type { LeaseRow, Store, StoreList, StoreListOptions } from '../../engine/store.ts'
import { pastName, rangeName } from './prefetch.ts'
import type { Fetched } from './prefetch.ts'
import type { SqlItem } from './rows.ts'
import { leaseTable, liveTable, logTable } from './tables.ts'
import type { SqlTable } from './tables.ts'

/** The one row of `state`. */
export interface StateRow {
  readonly revision: number
  readonly compactRevision: number
  readonly lastId: number
}

/** What a row costs beside its key and value, about. */
export const rowOverheadBytes = 100

interface Rows {
  readonly table: SqlTable
  readonly rows: readonly (readonly unknown[])[]
}

/** The state that a batch is evaluated against: what was fetched, with what the batch has changed over it. */
export class OverlayStore implements Store<SqlItem> {
  revision: number
  compactRevision: number
  readonly #fetched: Fetched
  readonly #before: StateRow
  #lastId: number
  /** By key as a binary string; undefined: deleted. */
  readonly #items = new Map<string, SqlItem | undefined>()
  readonly #leases = new Map<bigint, LeaseRow | undefined>()
  readonly #logRows: (readonly unknown[])[] = []
  /** Every change in order: for states of this batch's own revisions. */
  readonly #changes: { readonly revision: number; readonly name: string; readonly item: SqlItem | undefined }[] = []
  #writtenBytes = 0

  constructor(before: StateRow, fetched: Fetched) {
    this.#before = before
    this.#fetched = fetched
    this.revision = before.revision
    this.compactRevision = before.compactRevision
    this.#lastId = before.lastId
  }

  get isChanged(): boolean {
    return this.#logRows.length > 0 || this.#leases.size > 0 || this.compactRevision !== this.#before.compactRevision
  }

  get lastId(): number {
    return this.#lastId
  }

  /** Bytes that the batch adds to the log. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  /** The rows to insert, and those to put in the place of what is there. */
  get inserts(): Rows {
    return { table: logTable, rows: this.#logRows }
  }
  get upserts(): readonly Rows[] {
    const live = [...this.#items.values()].flatMap((item) =>
      item === undefined ? [] : [[item.key, item.rowId, item.modRevision, item.createRevision, item.version, item.leaseId]],
    )
    const leases = [...this.#leases.values()].flatMap((lease) =>
      lease === undefined ? [] : [[lease.id, lease.ttlSeconds, Math.ceil(lease.deadlineMs)]],
    )
    return [
      { table: liveTable, rows: live },
      { table: leaseTable, rows: leases },
    ]
  }

  /** Keys and leases that were there before the batch and are not any more. */
  get deletedKeys(): readonly Bytes[] {
    return [...this.#items].flatMap(([name, item]) => (item === undefined ? (this.#fetched.items.get(name)?.key ?? []) : []))
  }
  get deletedLeases(): readonly bigint[] {
    return [...this.#leases].flatMap(([id, lease]) => (lease === undefined && this.#fetched.leases.has(id) ? id : []))
  }

  find(key: Bytes): SqlItem | undefined {
    const name = toBinaryString(key)
    if (this.#items.has(name)) return this.#items.get(name)
    return this.#fetched.items.get(name)
  }

  findAll(range: KeyRange): readonly SqlItem[] {
    if (range.end === undefined) {
      const item = this.find(range.start)
      return item === undefined ? [] : [item]
    }
    const fetched = this.#fetched.ranges.get(rangeName(range))
    if (fetched === undefined) throw new Error('Invariant broken: a range was fetched before it is looked at')
    return this.#over(fetched, range, [...this.#items])
  }

  list(range: KeyRange, { revision, limit = 0, keysOnly = false, countOnly = false }: StoreListOptions): StoreList {
    const all = revision === undefined ? this.findAll(range) : this.#findAllAt(range, revision)
    const taken = countOnly ? [] : limit === 0 ? all : all.slice(0, limit)
    const items = keysOnly ? taken.map((item) => ({ ...item, value: emptyBytes })) : taken
    return { items, count: all.length, more: !countOnly && all.length > taken.length }
  }

  put(item: KeyValue, previous: SqlItem | undefined): void {
    const stored: SqlItem = { ...item, rowId: ++this.#lastId }
    const { key, value, createRevision, modRevision, version, leaseId } = item
    this.#logRows.push([stored.rowId, modRevision, previous?.rowId ?? 0, createRevision, version, leaseId, key, value])
    this.#change(modRevision, key, stored)
  }

  remove(revision: number, { key, rowId }: SqlItem): void {
    this.#logRows.push([++this.#lastId, revision, rowId, 0, 0, 0n, key, emptyBytes])
    this.#change(revision, key, undefined)
  }

  findLease(id: bigint): LeaseRow | undefined {
    return this.#leases.has(id) ? this.#leases.get(id) : this.#fetched.leases.get(id)
  }

  putLease(lease: LeaseRow): void {
    this.#leases.set(lease.id, lease)
  }

  removeLease(id: bigint): void {
    this.#leases.set(id, undefined)
  }

  keysOfLease(id: bigint): readonly SqlItem[] {
    const unchanged = (this.#fetched.leaseItems.get(id) ?? []).filter(({ key }) => !this.#items.has(toBinaryString(key)))
    const changed = [...this.#items.values()].filter((item) => item?.leaseId === id)
    return [...unchanged, ...changed].flatMap((item) => item ?? []).toSorted((a, b) => compareBytes(a.key, b.key))
  }

  #change(revision: number, key: Bytes, item: SqlItem | undefined): void {
    const name = toBinaryString(key)
    this.#items.set(name, item)
    this.#changes.push({ revision, name, item })
    this.#writtenBytes += rowOverheadBytes + key.length + (item?.value.length ?? 0)
  }

  /** A state before the batch, or one in its midst: what was fetched then is the state before it. */
  #findAllAt(range: KeyRange, revision: number): readonly SqlItem[] {
    const fetched = this.#fetched.pasts.get(pastName(range, revision))
    if (fetched === undefined) throw new Error('Invariant broken: a past state was fetched before it is looked at')
    const changes = this.#changes.filter((change) => change.revision <= revision).map(({ name, item }) => [name, item] as const)
    return this.#over(fetched, range, [...new Map(changes)])
  }

  #over(
    items: readonly SqlItem[],
    range: KeyRange,
    changes: readonly (readonly [name: string, item: SqlItem | undefined])[],
  ): readonly SqlItem[] {
    if (changes.length === 0) return items
    const changed = new Set(changes.map(([name]) => name))
    const added = changes.flatMap(([, item]) => (item !== undefined && isInRange(range, item.key) ? item : []))
    const kept = items.filter(({ key }) => !changed.has(toBinaryString(key)))
    return added.length === 0 ? kept : [...kept, ...added].toSorted((a, b) => compareBytes(a.key, b.key))
  }
}
