import { openDatastore } from '@k3s/datastore'
import type { Datastore, KeyRange, WatchBatch } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

/** A database server, as its tests need it. */
export interface SqlServer extends AsyncDisposable {
  readonly port: number
  /** For a database of it, which need not exist yet. */
  readonly dsn: (database: string) => string
  readonly stop: () => Promise<void>
  readonly kill: () => Promise<void>
  readonly start: () => Promise<void>
  readonly pause: () => void
  readonly resume: () => void
}

/** All keys. */
export const everything: KeyRange = { start: Buffer.from('\0'), end: new Uint8Array(0) }
/** Repeats a check until it holds, for 30 seconds at most. */
export const eventually = async (check: () => void | Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 5 })

/** Declares the tests of several servers on one database, which every SQL database passes. */
export function describeSeveralServers(name: string, start: () => Promise<SqlServer>): void {
  let server: SqlServer
  beforeAll(async () => {
    server = await start()
  }, 60_000)
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  let databases = 0

  /** Several servers of one database. */
  async function openServers(count: number): Promise<{ readonly stores: readonly Datastore[] } & AsyncDisposable> {
    const dsn = server.dsn(`servers${++databases}`)
    // At once: each may find the database, and the schema, not made yet.
    const stores = await Promise.all(Array.from({ length: count }, () => openDatastore(dsn)))
    return {
      stores,
      async [Symbol.asyncDispose]() {
        await Promise.all(stores.map((store) => store[Symbol.asyncDispose]()))
      },
    }
  }

  /** What a watch delivers, kept. */
  function record(
    store: Datastore,
    fromRevision?: number,
  ): { readonly batches: WatchBatch[]; readonly shown: () => string[]; readonly failure: () => unknown } {
    const batches: WatchBatch[] = []
    let failure: unknown
    void (async () => {
      for await (const batch of store.watch(everything, { fromRevision })) batches.push(batch)
    })().catch((error: unknown) => {
      failure = error // Closed, at the end of the test
    })
    const shown = (): string[] =>
      batches.flatMap(({ events }) =>
        events.map(
          ({ type, item }) => `${item.modRevision} ${type} ${Buffer.from(item.key).toString()}=${Buffer.from(item.value).toString()}`,
        ),
      )
    return { batches, shown, failure: () => failure }
  }

  describe(`several servers on one ${name}`, () => {
    it('each sees the writes of all, in the order of revisions, exactly once', async () => {
      await using servers = await openServers(3)
      const { stores } = servers
      const start = await stores[0]?.currentRevision()
      const watches = stores.map((store) => record(store, (start ?? 0) + 1))
      const written = new Map<number, string>()
      await Promise.all(
        stores.flatMap((store, member) =>
          Array.from({ length: 8 }, async (_, client) => {
            for (let round = 0; round < 40; round++) {
              const [key, value] = [`key-${client}`, `${member}.${client}.${round}`]
              const { revision } = await store.update(Buffer.from(key), Buffer.from(value))
              expect(written.has(revision)).toBe(false)
              written.set(revision, `${revision} put ${key}=${value}`)
            }
          }),
        ),
      )
      const expected = [...written].toSorted(([a], [b]) => a - b).map(([, shown]) => shown)
      expect(expected).toHaveLength(3 * 8 * 40)
      for (const watch of watches) {
        await eventually(() => expect(watch.shown().length).toBeGreaterThanOrEqual(expected.length))
        expect(watch.shown()).toEqual(expected)
        const revisions = watch.batches.map(({ revision }) => revision)
        expect(revisions).toEqual(revisions.toSorted((a, b) => a - b))
      }
    })

    it('a read, a current revision and a new watch on one server know what another has answered', async () => {
      await using servers = await openServers(2)
      const [a, b] = servers.stores
      if (a === undefined || b === undefined) throw new Error('Two servers were opened')
      for (let round = 0; round < 50; round++) {
        const { revision } = await a.update(Buffer.from('k'), Buffer.from(`${round}`))
        expect(await b.currentRevision()).toBe(revision)
        expect(Buffer.from((await b.get(Buffer.from('k'))).item?.value ?? []).toString()).toBe(`${round}`)
        const fresh = b.watch(everything)[Symbol.asyncIterator]()
        const next = fresh.next()
        // The watch began: what follows is its first event.
        await b.currentRevision()
        const after = await a.update(Buffer.from('k'), Buffer.from('after'))
        expect((await next).value).toMatchObject({ revision: after.revision, events: [{ item: { modRevision: after.revision } }] })
        await fresh.return?.()
      }
    })

    it('an event comes to another server within the time of a poll many times over', async () => {
      await using servers = await openServers(2)
      const [a, b] = servers.stores
      if (a === undefined || b === undefined) throw new Error('Two servers were opened')
      const watch = b.watch(everything, { fromRevision: (await b.currentRevision()) + 1 })[Symbol.asyncIterator]()
      const lags: number[] = []
      for (let round = 0; round < 100; round++) {
        await a.update(Buffer.from('k'), Buffer.from(`${round}`))
        const begin = performance.now()
        await watch.next()
        lags.push(performance.now() - begin)
      }
      await watch.return?.()
      // Polled, it would take seconds.
      expect(lags.toSorted((x, y) => x - y)[95]).toBeLessThan(1000)
    })

    it('a conditional write of two servers is accepted once', async () => {
      await using servers = await openServers(2)
      let revision = 0
      for (let round = 0; round < 30; round++) {
        const results = await Promise.allSettled(
          servers.stores.map((store) => store.update(Buffer.from('k'), Buffer.from(`${round}`), { expectedRevision: revision })),
        )
        const accepted = results.flatMap((result) => (result.status === 'fulfilled' ? result.value.revision : []))
        expect(accepted).toHaveLength(1)
        for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'RevisionConflict' })
        revision = accepted[0] ?? 0
      }
    })

    it('what one server has compacted is compacted for all, and a watch that needs it is told', async () => {
      await using servers = await openServers(2)
      const [a, b] = servers.stores
      if (a === undefined || b === undefined) throw new Error('Two servers were opened')
      const value = new Uint8Array(100_000)
      let revision = 0
      // More than a server keeps of recent events.
      for (let round = 0; round < 60; round++) ({ revision } = await a.update(Buffer.from('k'), value))
      await a.compact(revision)
      await expect(b.list(everything, { revision: revision - 1 })).rejects.toMatchObject({ code: 'Compacted', revision })
      const early = b.watch(everything, { fromRevision: 2 })[Symbol.asyncIterator]()
      await expect(early.next()).rejects.toMatchObject({ code: 'Compacted' })
      const watch = b.watch(everything, { fromRevision: revision })[Symbol.asyncIterator]()
      expect((await watch.next()).value).toMatchObject({ revision })
      await watch.return?.()
      await eventually(async () => expect((await b.status()).sizeBytes).toBeLessThan(2_000_000))
    })

    it('a lease of a server that is gone ends by the others, by the clock of the database', async () => {
      const dsn = server.dsn(`servers${++databases}`)
      await using survivor = await openDatastore(dsn)
      const granter = await openDatastore(dsn)
      const { id } = await granter.grantLease({ ttlSeconds: 2 })
      await granter.create(Buffer.from('a'), Buffer.from('1'), { leaseId: id })
      await granter[Symbol.asyncDispose]()
      expect((await survivor.leaseStatus(id)).remainingSeconds).toBeGreaterThan(0)
      await eventually(async () => expect((await survivor.get(Buffer.from('a'))).item).toBeUndefined())
      expect(await survivor.listLeases()).toEqual([])
    })
  })
}
