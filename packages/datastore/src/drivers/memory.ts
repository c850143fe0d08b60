import type { KeyValue, ListResult, WatchEvent } from '../contract.ts'
import type {
  Backend,
  BackendStatus,
  BatchResult,
  DueLeases,
  ListRequest,
  LogPage,
  LogRequest,
  RestoredLease,
  StoredLease,
  WriteRequest,
} from '../engine/backend.ts'
import { checkReadable, compacted, evaluateBatch } from '../engine/evaluate.ts'
import { DatastoreError } from '../errors.ts'
import { isInRange } from '../bytes.ts'
import { MemoryStore } from './memory-store.ts'

/** Revisions that one compaction slice drops: some milliseconds. */
const sliceRevisions = 1000

/** A backend whose log lives in this process and goes with it: for tests and throw-away clusters. */
export class MemoryBackend implements Backend {
  readonly driver = 'memory'
  #store = new MemoryStore()

  get opened(): Backend['opened'] {
    return { revision: this.#store.revision, compactRevision: this.#store.compactRevision }
  }

  // Evaluation and log change together with no await between: a reader sees whole batches only.
  async commit({ requests }: { readonly id: string; readonly requests: readonly WriteRequest[] }): Promise<BatchResult> {
    const { outcomes, log } = evaluateBatch(this.#store, requests)
    this.#store.appendLog(log)
    return { outcomes, log, revision: this.#store.revision, compactRevision: this.#store.compactRevision }
  }

  async list({ range, ...options }: ListRequest): Promise<ListResult> {
    checkReadable(this.#store, options.revision)
    return { revision: this.#store.revision, ...this.#store.list(range, options) }
  }

  async readLog({ range, from, maxBytes }: LogRequest): Promise<LogPage> {
    if (from < this.#store.compactRevision) throw compacted(from, this.#store.compactRevision)
    if (from <= this.#store.restoredRevision) throw compacted(from, this.#store.restoredRevision + 1)
    const events: WatchEvent[] = []
    let bytes = 0
    let through = from - 1
    while (through < this.#store.revision && bytes < maxBytes) {
      through++
      for (const event of this.#store.eventsAt(through)) {
        if (!isInRange(range, event.item.key)) continue
        events.push(event)
        bytes += event.item.key.length + event.item.value.length
      }
    }
    return { through, events }
  }

  async compactSlice(): Promise<boolean> {
    return this.#store.compactSlice(sliceRevisions)
  }

  async status(): Promise<BackendStatus> {
    const { revision, compactRevision, sizeBytes } = this.#store
    return { revision, compactRevision, sizeBytes }
  }

  async findLease(id: bigint): Promise<StoredLease | undefined> {
    const lease = this.#store.findLease(id)
    if (lease === undefined) return undefined
    return { ...lease, keys: this.#store.keysOfLease(id).map(({ key }) => key) }
  }

  async listLeases(): Promise<readonly bigint[]> {
    return [...this.#store.leases()].map(({ id }) => id)
  }

  async dueLeases(nowMs: number, limit: number): Promise<DueLeases> {
    const byDeadline = [...this.#store.leases()].toSorted((a, b) => a.deadlineMs - b.deadlineMs)
    const due = byDeadline.filter(({ deadlineMs }) => deadlineMs <= nowMs)
    return { ids: due.slice(0, limit).map(({ id }) => id), nextDeadlineMs: byDeadline[due.length]?.deadlineMs }
  }

  async beginRestore(): Promise<void> {
    if (this.#store.isInUse)
      throw new DatastoreError('NotEmpty', 'Cannot restore into this datastore in memory: it holds data already', {
        hint: 'Open a new one',
      })
    this.#store = new MemoryStore()
  }

  async restoreItems(items: readonly KeyValue[]): Promise<void> {
    for (const item of items) this.#store.put(item, undefined)
  }

  async finishRestore({ revision, leases }: { readonly revision: number; readonly leases: readonly RestoredLease[] }): Promise<void> {
    for (const lease of leases) this.#store.putLease(lease)
    this.#store.startAt(revision)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
