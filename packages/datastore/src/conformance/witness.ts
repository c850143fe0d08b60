import { isInRecordedRange } from './recorded.ts'
import type { RecordedEvent, RecordedHistory, RecordedItem, RecordedRange, RecordedWrite } from './recorded.ts'

/** What a key held from `revision` on; no item: nothing. */
interface Version {
  readonly revision: number
  readonly item: RecordedItem | undefined
}

/** Every revision's events and, folded, every revision's state. It is built revision after revision; what it answers about older ones never changes. */
export class Witness {
  readonly #events = new Map<number, readonly RecordedEvent[]>()
  readonly #versions = new Map<string, Version[]>()
  readonly #leaseKeys = new Map<string, Set<string>>()
  /** Entry i: the earliest order at which revision `#first + i` can have happened. */
  readonly #begins: number[] = []
  readonly #first: number

  constructor({ revision, items }: RecordedHistory['start']) {
    this.#first = revision + 1
    for (const item of items) this.#set(item.key, { revision: item.modRevision, item })
  }

  /** The newest revision taken so far. */
  get revision(): number {
    return this.#first + this.#begins.length - 1
  }

  /** Takes the next revision. It was not asked for before `called`; undefined: by whom is not known. */
  take(events: readonly RecordedEvent[], called: number | undefined): void {
    const revision = this.revision + 1
    this.#begins.push(Math.max(called ?? Number.NEGATIVE_INFINITY, this.#begins.at(-1) ?? Number.NEGATIVE_INFINITY))
    this.#events.set(revision, events)
    for (const { type, item } of events) this.#set(item.key, { revision, item: type === 'put' ? item : undefined })
  }

  eventsAt(revision: number): readonly RecordedEvent[] {
    return this.#events.get(revision) ?? []
  }

  /** What a key holds at a revision; absent: at the newest. */
  find(key: string, revision: number = this.revision): RecordedItem | undefined {
    return this.#versionAt(key, revision)?.item
  }

  /** Items of a range at a revision, in order of their keys. */
  list(range: RecordedRange, revision: number): readonly RecordedItem[] {
    const keys =
      range.end === undefined ? [range.start] : [...this.#versions.keys()].filter((key) => isInRecordedRange(range, key)).toSorted()
    return keys.flatMap((key) => this.find(key, revision) ?? [])
  }

  /** Keys attached to a lease now, in their order. */
  keysOfLease(id: string): readonly string[] {
    return [...(this.#leaseKeys.get(id) ?? [])].toSorted()
  }

  /** Whether the key held this version, 0 for nothing, at some time from revision `from` to revision `to`. */
  held(key: string, modRevision: number, from: number, to: number): boolean {
    const versions = this.#versions.get(key) ?? []
    if (modRevision === 0 && (versions[0]?.revision ?? Number.POSITIVE_INFINITY) > from) return true
    return versions.some(({ revision, item }, index) => {
      if ((item?.modRevision ?? 0) !== modRevision) return false
      return revision <= to && (versions[index + 1]?.revision ?? Number.POSITIVE_INFINITY) > from
    })
  }

  /** The newest revision that can have happened before a point of the order. */
  ceiling(order: number): number {
    let [low, high] = [0, this.#begins.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#begins[middle] ?? 0) < order) low = middle + 1
      else high = middle
    }
    return this.#first + low - 1
  }

  /** The events that a write makes as the next revision, were its conditions to hold. */
  effectOf({ changes }: RecordedWrite): readonly RecordedEvent[] {
    const modRevision = this.revision + 1
    return changes.flatMap((change): RecordedEvent[] => {
      const previous = this.find(change.key)
      if (change.type === 'delete')
        return previous === undefined
          ? []
          : [{ type: 'delete', item: { key: change.key, value: '', createRevision: 0, modRevision, version: 0 } }]
      const { key, value, leaseId } = change
      const item = {
        key,
        value,
        createRevision: previous?.createRevision ?? modRevision,
        modRevision,
        version: (previous?.version ?? 0) + 1,
      }
      return [{ type: 'put', item: leaseId === undefined ? item : { ...item, leaseId } }]
    })
  }

  /** The first condition of a write that does not hold now. */
  brokenCondition({ conditions }: RecordedWrite): RecordedWrite['conditions'][number] | undefined {
    return conditions.find(({ key, modRevision }) => (this.find(key)?.modRevision ?? 0) !== modRevision)
  }

  #versionAt(key: string, revision: number): Version | undefined {
    const versions = this.#versions.get(key) ?? []
    let [low, high] = [0, versions.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((versions[middle]?.revision ?? 0) <= revision) low = middle + 1
      else high = middle
    }
    return versions[low - 1]
  }

  #set(key: string, version: Version): void {
    const versions = this.#versions.get(key) ?? []
    this.#versions.set(key, versions)
    const before = versions.at(-1)?.item?.leaseId
    if (before !== undefined) this.#leaseKeys.get(before)?.delete(key)
    const leaseId = version.item?.leaseId
    if (leaseId !== undefined) {
      const keys = this.#leaseKeys.get(leaseId) ?? new Set()
      this.#leaseKeys.set(leaseId, keys.add(key))
    }
    versions.push(version)
  }
}
