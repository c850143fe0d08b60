/** Ten faults that a datastore must not have, built into the real flow: under the engine, or between it and its clients. */
import type { Datastore, WatchBatch } from '@k3s/datastore'
import { MemoryBackend } from '../../src/drivers/memory.ts'
import type { Backend, StoredLease, WriteRequest } from '../../src/engine/backend.ts'
import { memoryDisk, sharedDisk, withPosition } from './disks.ts'
import type { Overlay } from './disks.ts'
import { randomOf, turns } from './random.ts'
import type { Disk } from './simulated-server.ts'
import type { WorkloadOptions } from './workload.ts'

/** What differs from the workload of a sound datastore. Made anew for each run. */
export type Plant = Partial<WorkloadOptions>

const all = { start: Uint8Array.of(0), end: new Uint8Array(0) }
const newest = { revision: undefined, limit: 0, keysOnly: false, countOnly: false }

/** An overlay that replaces some methods of the backend. */
function replacing(methods: (backend: Backend) => Partial<Backend>): Overlay {
  return (backend) => {
    const plain = withPosition(backend)
    return { ...plain, ...methods(plain) }
  }
}

/** (1) Answers a batch before it is durable: a crash undoes the two newest. With 0 it is sound. */
export function losesNewestInCrash(lost: number): Plant {
  let durable: { readonly id: string; readonly requests: readonly WriteRequest[] }[] = []
  const disk: Disk = {
    async open() {
      durable = durable.slice(0, Math.max(0, durable.length - lost))
      const stored = new MemoryBackend()
      for (const batch of durable) await stored.commit(batch)
      return {
        ...withPosition(stored),
        commit(batch) {
          durable.push(batch)
          return stored.commit(batch)
        },
      }
    },
    async [Symbol.asyncDispose]() {},
  }
  return { disk }
}

/** (2) Does not store the revision, but takes that of the newest key that is left when it starts: a deletion that was newest is forgotten. */
export function forgetsRevisionOfDeletions(): Plant {
  let stored = new MemoryBackend()
  const disk: Disk = {
    async open() {
      const { items, revision } = await stored.list({ range: all, ...newest })
      const left = Math.max(1, ...items.map(({ modRevision }) => modRevision))
      if (left < revision) {
        const leases = await leasesOf(stored)
        stored = new MemoryBackend()
        await stored.beginRestore()
        await stored.restoreItems(items)
        await stored.finishRestore({ revision: left, leases })
      }
      return withPosition(stored)
    },
    async [Symbol.asyncDispose]() {},
  }
  return { disk }
}

/** (3) A page that goes on where another ended misses its first event. */
export function losesFirstEventOfFurtherPages(): Plant {
  const ends = new Set<number>()
  const overlay = replacing((backend) => ({
    async readLog(request) {
      const page = await backend.readLog(request)
      const isFurther = ends.has(request.from - 1)
      ends.add(page.through)
      return isFurther && page.events.length > 1 ? { ...page, events: page.events.slice(1) } : page
    },
  }))
  return { disk: memoryDisk(overlay), pageBytes: 100 }
}

/** (4) Clients speak to the server through a connection that breaks, and watches resume over it by themselves: with the revision that they had already. */
export function resumesWatchesAt(offset: 0 | 1): Plant {
  const random = randomOf(5)
  async function* watch(
    store: Datastore,
    ...[range, options = {}]: Parameters<Datastore['watch']>
  ): AsyncGenerator<WatchBatch, void, void> {
    let next = options.fromRevision
    while (options.signal?.aborted !== true) {
      for await (const batch of store.watch(range, { ...options, fromRevision: next })) {
        yield batch
        next = batch.revision + offset
        if (random.chance(0.2)) break
      }
    }
  }
  return {
    wrap: (store) => covering(store, { watch: (...parameters) => watch(store, ...parameters) }),
  }
}

/** (5) Of two servers each delivers what it wrote itself at once, and what the other wrote when it has heard of it. */
export function delaysForeignEvents(): Plant {
  const wrap = (store: Datastore): Datastore => {
    const own = new Set<number>()
    const note = <T extends { readonly revision: number }>(result: T): T => {
      own.add(result.revision)
      return result
    }
    async function* watch(...parameters: Parameters<Datastore['watch']>): AsyncGenerator<WatchBatch, void, void> {
      let held: WatchBatch | undefined
      for await (const batch of store.watch(...parameters)) {
        if (own.has(batch.revision) || batch.events.length === 0) yield batch
        else if (held === undefined) {
          held = batch
          continue
        } else yield batch
        if (held !== undefined) yield held
        held = undefined
      }
    }
    return covering(store, {
      create: async (...parameters) => note(await store.create(...parameters)),
      update: async (...parameters) => note(await store.update(...parameters)),
      delete: async (...parameters) => note(await store.delete(...parameters)),
      txn: async (...parameters) => note(await store.txn(...parameters)),
      watch: (...parameters) => watch(...parameters),
    })
  }
  return { wrap, disk: sharedDisk(), servers: 2 }
}

/** (6) Tells watches of a write at once, and shows it to readers, and answers it, a little later. */
export function delaysVisibility(): Plant {
  const wrap = (store: Datastore): Datastore => {
    let visible = 0
    const show = async <T extends { readonly revision: number }>(writing: Promise<T>): Promise<T> => {
      const result = await writing
      await turns(4)
      visible = Math.max(visible, result.revision)
      return result
    }
    return covering(store, {
      create: (...parameters) => show(store.create(...parameters)),
      update: (...parameters) => show(store.update(...parameters)),
      delete: (...parameters) => show(store.delete(...parameters)),
      txn: (...parameters) => show(store.txn(...parameters)),
      currentRevision: async (options) => (visible === 0 ? store.currentRevision(options) : visible),
      async list(range, options = {}) {
        if (visible === 0) return store.list(range, options)
        const result = await store.list(range, { ...options, revision: options.revision ?? visible })
        return { ...result, revision: visible }
      },
    })
  }
  return { wrap, crashProbability: 0 }
}

/** (7) Deletions up to the compact revision are not in the log any more, that at the compact revision itself included. */
export function dropsDeletionsWhenCompacting(): Plant {
  const overlay = replacing((backend) => ({
    async readLog(request) {
      const page = await backend.readLog(request)
      const { compactRevision } = await backend.status()
      return { ...page, events: page.events.filter(({ type, item }) => type === 'put' || item.modRevision > compactRevision) }
    },
  }))
  return { disk: memoryDisk(overlay) }
}

/** (8) Reads are served by a replica, which gets a batch some time after its answer. */
export function readsFromReplica(): Plant {
  const overlay = replacing((backend) => {
    let replicated = backend.opened.revision
    return {
      async commit(batch) {
        const result = await backend.commit(batch)
        // The replica catches up by itself.
        void turns(15).then(() => (replicated = Math.max(replicated, result.revision)))
        return result
      },
      async list(request) {
        const result = await backend.list({ ...request, revision: request.revision ?? replicated })
        return request.revision === undefined ? { ...result, revision: replicated } : result
      },
    }
  })
  return { disk: memoryDisk(overlay) }
}

/** (9) Looks at all conditions of a batch first, and then writes without them. */
export function checksBeforeItWrites(): Plant {
  const overlay = replacing((backend) => ({
    async commit({ id, requests }) {
      const unconditional = await Promise.all(
        requests.map(async (request) => {
          if (request.type !== 'update' || request.expectedRevision === undefined) return request
          const { items } = await backend.list({ range: { start: request.key }, ...newest })
          return (items[0]?.modRevision ?? 0) === request.expectedRevision ? { ...request, expectedRevision: undefined } : request
        }),
      )
      return backend.commit({ id, requests: unconditional })
    },
  }))
  return { disk: memoryDisk(overlay), clients: 8, calls: 60 }
}

/** (10) Leases end at half of their time. */
export function endsLeasesEarly(): Plant {
  const overlay = replacing((backend) => ({
    commit: ({ id, requests }) =>
      backend.commit({
        id,
        requests: requests.map((request) => (request.type === 'revokeLease' ? { ...request, nowMs: undefined } : request)),
      }),
    dueLeases: (nowMs, limit) => backend.dueLeases(nowMs + 1500, limit),
  }))
  return { disk: memoryDisk(overlay) }
}

/** (10) Leases never end. */
export function endsNoLeases(): Plant {
  return { disk: memoryDisk(replacing(() => ({ dueLeases: async () => ({ ids: [], nextDeadlineMs: undefined }) }))) }
}

/** (10) A restart gives each lease a long life: deadlines are not stored. */
export function startsLeasesAnew(): Plant {
  const stored = new MemoryBackend()
  const disk: Disk = {
    async open() {
      const leases = await leasesOf(stored)
      const nowMs = Date.UTC(2026, 0, 1) + 60_000
      await stored.commit({ id: 'restart', requests: leases.map(({ id }) => ({ type: 'keepLease', id, nowMs })) })
      return withPosition(stored)
    },
    async [Symbol.asyncDispose]() {},
  }
  return { disk }
}

async function leasesOf(backend: Backend): Promise<readonly StoredLease[]> {
  const ids = await backend.listLeases()
  const leases = await Promise.all(ids.map((id) => backend.findLease(id)))
  return leases.flatMap((lease) => lease ?? [])
}

/** A datastore with some methods replaced. */
function covering(store: Datastore, methods: Partial<Datastore>): Datastore {
  return {
    get: (...parameters) => store.get(...parameters),
    list: (...parameters) => store.list(...parameters),
    create: (...parameters) => store.create(...parameters),
    update: (...parameters) => store.update(...parameters),
    delete: (...parameters) => store.delete(...parameters),
    txn: (...parameters) => store.txn(...parameters),
    watch: (...parameters) => store.watch(...parameters),
    compact: (...parameters) => store.compact(...parameters),
    currentRevision: (options) => store.currentRevision(options),
    status: (options) => store.status(options),
    grantLease: (...parameters) => store.grantLease(...parameters),
    revokeLease: (...parameters) => store.revokeLease(...parameters),
    keepLeaseAlive: (...parameters) => store.keepLeaseAlive(...parameters),
    leaseStatus: (...parameters) => store.leaseStatus(...parameters),
    listLeases: (options) => store.listLeases(options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    ...methods,
  }
}
