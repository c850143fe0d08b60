import { emptyBytes, toBinaryString } from '../bytes.ts'
import type { Bytes, KeyRange, KeyValue, WatchEvent } from '../contract.ts'
import type { LoggedRevision } from '../engine/backend.ts'
import type { LeaseRow, Store, StoreList, StoreListOptions } from '../engine/store.ts'
import { SortedKeys } from './sorted-keys.ts'

/** What one key held from `modRevision` on; no item: a tombstone. */
interface Version {
  readonly modRevision: number
  readonly item: KeyValue | undefined
}

/** A store in this process's memory, with the history that has not been compacted. Keys are held as binary strings, which sort in byte order. */
export class MemoryStore implements Store {
  revision = 1
  compactRevision = 0
  /** What a restore has filled it with begins history after this revision; 0: none. */
  restoredRevision = 0
  readonly #live = new Map<string, KeyValue>()
  readonly #liveKeys = new SortedKeys()
  readonly #history = new Map<string, Version[]>()
  readonly #historyKeys = new SortedKeys()
  readonly #leases = new Map<bigint, LeaseRow>()
  readonly #leaseKeys = new Map<bigint, Set<string>>()
  /** Entry i is revision `#logStart + i`: revisions have no gaps. */
  #log: WatchEvent[][] = []
  #logStart = 2
  #compactedThrough = 0
  #sizeBytes = 0

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  find(key: Bytes): KeyValue | undefined {
    return this.#live.get(toBinaryString(key))
  }

  findAll(range: KeyRange): readonly KeyValue[] {
    return this.list(range, {}).items
  }

  list(range: KeyRange, { revision, limit = 0, keysOnly = false, countOnly = false }: StoreListOptions): StoreList {
    const then =
      revision === undefined || revision === this.revision
        ? this.#liveKeys.range(range)
        : this.#historyKeys.range(range).filter((key) => this.#at(key, revision) !== undefined)
    const taken = countOnly ? [] : limit === 0 ? then : then.slice(0, limit)
    const items = taken.flatMap((key) => {
      const item = this.#at(key, revision ?? this.revision)
      return item === undefined ? [] : [keysOnly ? { ...item, value: emptyBytes } : item]
    })
    return { items, count: then.length, more: !countOnly && then.length > items.length }
  }

  put(item: KeyValue, previous: KeyValue | undefined): void {
    const key = toBinaryString(item.key)
    if (previous === undefined) this.#liveKeys.add(key)
    else this.#detach(key, previous.leaseId)
    this.#live.set(key, item)
    if (item.leaseId !== 0n) {
      const keys = this.#leaseKeys.get(item.leaseId) ?? new Set()
      this.#leaseKeys.set(item.leaseId, keys.add(key))
    }
    this.#record(key, { modRevision: item.modRevision, item })
  }

  remove(revision: number, previous: KeyValue): void {
    const key = toBinaryString(previous.key)
    this.#live.delete(key)
    this.#liveKeys.delete(key)
    this.#detach(key, previous.leaseId)
    this.#record(key, { modRevision: revision, item: undefined })
  }

  findLease(id: bigint): LeaseRow | undefined {
    return this.#leases.get(id)
  }

  putLease(lease: LeaseRow): void {
    this.#leases.set(lease.id, lease)
  }

  removeLease(id: bigint): void {
    this.#leases.delete(id)
    this.#leaseKeys.delete(id)
  }

  keysOfLease(id: bigint): readonly KeyValue[] {
    const keys = [...(this.#leaseKeys.get(id) ?? [])].toSorted()
    return keys.flatMap((key) => this.#live.get(key) ?? [])
  }

  leases(): IterableIterator<LeaseRow> {
    return this.#leases.values()
  }

  /** Adds the events of revisions to the log, in order. */
  appendLog(log: readonly LoggedRevision[]): void {
    for (const { events } of log) this.#log.push([...events])
  }

  /** Whether anything was ever done with it; what an unfinished restore put in does not count. */
  get isInUse(): boolean {
    return this.revision > 1 || this.#leases.size > 0
  }

  /** Begins history after `revision`, of which the items that were put are the state. */
  startAt(revision: number): void {
    this.revision = revision
    this.compactRevision = revision
    this.restoredRevision = revision
    this.#compactedThrough = revision
    this.#logStart = revision + 1
  }

  /** The events of one revision, which must not be below the compact revision; empty for one that has none (the first). */
  eventsAt(revision: number): readonly WatchEvent[] {
    return this.#log[revision - this.#logStart] ?? []
  }

  /** Drops history below the compact revision, of at most `maxRevisions`; true when more is left. */
  compactSlice(maxRevisions: number): boolean {
    const end = Math.min(this.compactRevision, Math.max(this.#compactedThrough + 1, this.#logStart) + maxRevisions)
    const dropped = Math.max(0, end - this.#logStart)
    for (const events of this.#log.slice(0, dropped))
      for (const { item } of events) this.#forget(toBinaryString(item.key), item.modRevision)
    this.#log = this.#log.slice(dropped)
    this.#logStart += dropped
    this.#compactedThrough = end
    return end < this.compactRevision
  }

  /** Drops what the write at `revision`, which is below the compact revision, replaced; and the write itself when it was a deletion. */
  #forget(key: string, revision: number): void {
    const versions = this.#history.get(key)
    const index = versions?.findIndex(({ modRevision }) => modRevision === revision) ?? -1
    if (versions === undefined || index === -1) return
    const isTombstone = versions[index]?.item === undefined
    for (const { item } of versions.splice(0, isTombstone ? index + 1 : index)) this.#sizeBytes -= sizeOf(key, item)
    if (versions.length > 0) return
    this.#history.delete(key)
    this.#historyKeys.delete(key)
  }

  #at(key: string, revision: number): KeyValue | undefined {
    if (revision === this.revision) return this.#live.get(key)
    return this.#history.get(key)?.findLast(({ modRevision }) => modRevision <= revision)?.item
  }

  #record(key: string, version: Version): void {
    this.#sizeBytes += sizeOf(key, version.item)
    const versions = this.#history.get(key)
    if (versions !== undefined) versions.push(version)
    else {
      this.#history.set(key, [version])
      this.#historyKeys.add(key)
    }
  }

  #detach(key: string, leaseId: bigint): void {
    if (leaseId !== 0n) this.#leaseKeys.get(leaseId)?.delete(key)
  }
}

function sizeOf(key: string, item: KeyValue | undefined): number {
  return key.length + (item?.value.length ?? 0)
}
