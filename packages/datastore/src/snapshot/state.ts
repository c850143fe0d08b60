import type { Bytes, Datastore, DatastoreStatus, KeyRange, KeyValue, ListResult, WatchBatch } from '../contract.ts'
import type { Backend, RestoredLease } from '../engine/backend.ts'
import { DatastoreError, isDatastoreError } from '../errors.ts'

/** All that a datastore holds at one revision. It is read once: the pages first, then the leases. */
export interface State {
  /** For messages, such as `snapshot` or `the source`. */
  readonly name: string
  readonly driver: string
  readonly revision: number
  /** How many items the pages hold together. */
  readonly totalItems: number
  /** Items in byte order of their keys, some MiB at once. */
  pages(): AsyncIterable<readonly KeyValue[]>
  /** All leases, among them every one that an item has. */
  leases(): Promise<readonly RestoredLease[]>
}

/** A datastore as it is read whole. Nothing in it is changed. */
export interface StateSource extends AsyncDisposable {
  list(range: KeyRange, options: { readonly revision: number | undefined; readonly limit: number }): Promise<ListResult>
  status(): Promise<DatastoreStatus>
  /** Those of this moment: leases have no history. */
  leases(): Promise<readonly RestoredLease[]>
  /** All events from `from` through `through`, which exist. Throws `Compacted`. */
  history(from: number, through: number): AsyncIterable<WatchBatch>
  /** What the store finds wrong with its own file, one sentence each; absent when it has no such check. */
  checkIntegrity?(): Promise<readonly string[]>
}

/** Every key: none is empty. */
export const everything: KeyRange = { start: Uint8Array.of(0), end: new Uint8Array(0) }

/** Bytes of keys and values that a page should have: enough that the work around it does not count, little enough for a small machine. */
const pageBytes = 2 * 2 ** 20
const firstPageItems = 500
const maxPageItems = 5000
/** Leases looked up at the same time. */
const leasesAtOnce = 32

/** Copies out of reach of compaction need it to wait: until then, they must be faster. */
const overtakenHint = 'Try again when nothing compacts the datastore to its newest revision'

/**
 * The state of a source at its newest revision, or at an older one. The first page is read at once, the others as they are asked for.
 * They throw `Compacted` when a compaction has overtaken the revision meanwhile; Kubernetes leaves five minutes at least.
 */
export async function readState(source: StateSource, name: string, revision?: number, signal?: AbortSignal): Promise<State> {
  signal?.throwIfAborted()
  const { driver } = await source.status()
  const first = await source.list(everything, { revision, limit: firstPageItems })
  const at = revision ?? first.revision
  const referenced = new Set<bigint>()
  return {
    name,
    driver,
    revision: at,
    totalItems: first.count,
    async *pages() {
      let page = first
      let limit = firstPageItems
      for (;;) {
        for (const { leaseId } of page.items) if (leaseId !== 0n) referenced.add(leaseId)
        const last = page.items.at(-1)
        if (last === undefined) return
        yield page.items
        if (!page.more) return
        limit = nextLimit(page.items)
        signal?.throwIfAborted()
        page = await source.list({ start: next(last.key), end: everything.end }, { revision: at, limit }).catch((error: unknown) => {
          throw overtaken(error, name, at)
        })
      }
    },
    async leases() {
      signal?.throwIfAborted()
      const leases = await source.leases()
      for (const { id } of leases) referenced.delete(id)
      // Leases that have ended since: their keys end with the next breath of the copy, as they did here.
      const ended = [...referenced].map((id): RestoredLease => ({ id, ttlSeconds: 1, deadlineMs: 0 }))
      return [...leases, ...ended]
    },
  }
}

function nextLimit(items: readonly KeyValue[]): number {
  const bytes = items.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
  return Math.max(1, Math.min(maxPageItems, Math.floor((items.length * pageBytes) / Math.max(1, bytes))))
}

/** The least key behind `key`. */
function next(key: Bytes): Bytes {
  const after = new Uint8Array(key.length + 1)
  after.set(key)
  return after
}

function overtaken(error: unknown, name: string, at: number): unknown {
  if (!isDatastoreError(error) || error.code !== 'Compacted') return error
  return new DatastoreError('Compacted', `Cannot read ${name} to its end: revision ${at} was compacted meanwhile`, {
    revision: error.revision,
    hint: overtakenHint,
    cause: error,
  })
}

/** A source that is an open datastore, which stays the caller's. */
export function datastoreSource(datastore: Datastore, nowMs: () => number): StateSource {
  return {
    list: (range, options) => datastore.list(range, options),
    status: () => datastore.status(),
    async leases() {
      return found(await datastore.listLeases(), async (id) => {
        try {
          const { ttlSeconds, remainingSeconds } = await datastore.leaseStatus(id)
          return { id, ttlSeconds, deadlineMs: nowMs() + remainingSeconds * 1000 }
        } catch (error) {
          if (isDatastoreError(error) && error.code === 'LeaseNotFound') return undefined
          throw error
        }
      })
    },
    async *history(from, through) {
      if (from > through) return
      // A progress mark ends it where the newest revisions have no event, which they should have.
      for await (const batch of datastore.watch(everything, { fromRevision: from, progressIntervalMs: 1000 })) {
        yield batch
        if (batch.revision >= through) return
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Bytes of one page of history. */
const historyPageBytes = 2 ** 20

/** A source that is a backend of its own, with no queue, expiry or compaction on it. Owns the backend. */
export function backendSource(backend: Backend): StateSource {
  return {
    list: (range, { revision, limit }) => backend.list({ range, revision, limit, keysOnly: false, countOnly: false }),
    status: async () => ({ ...(await backend.status()), driver: backend.driver }),
    leases: async () => found(await backend.listLeases(), (id) => backend.findLease(id)),
    async *history(from, through) {
      for (let next = from; next <= through;) {
        const page = await backend.readLog({ range: everything, from: next, maxBytes: historyPageBytes, previous: false })
        if (page.through < next) throw new Error(`Invariant broken: revision ${next} is in the log`)
        next = page.through + 1
        yield { revision: page.through, events: page.events }
      }
    },
    ...(backend.checkIntegrity === undefined ? {} : { checkIntegrity: async () => (await backend.checkIntegrity?.()) ?? [] }),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  }
}

async function found(ids: readonly bigint[], find: (id: bigint) => Promise<RestoredLease | undefined>): Promise<readonly RestoredLease[]> {
  const leases: RestoredLease[] = []
  for (let start = 0; start < ids.length; start += leasesAtOnce) {
    const some = await Promise.all(ids.slice(start, start + leasesAtOnce).map(find))
    for (const lease of some)
      if (lease !== undefined) leases.push({ id: lease.id, ttlSeconds: lease.ttlSeconds, deadlineMs: lease.deadlineMs })
  }
  return leases
}
