/** Migrations between all kinds of datastores. Needs PostgreSQL, MariaDB and etcd on the machine. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compare, compactDatastore, migrate, openDatastore, readStatus, restore, snapshot, verify, verifySnapshot } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEtcd } from './servers/etcd.ts'
import { startMariadb } from './servers/mariadb.ts'
import { startPostgres } from './servers/postgres.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const everything = { start: Uint8Array.of(0), end: new Uint8Array(0) }

const directory = mkdtempSync(join(tmpdir(), 'datastore-migrate-'))
const servers = new AsyncDisposableStack()
let [files, databases] = [0, 0]
const newDsns: Record<string, () => string> = { sqlite: () => `sqlite://${join(directory, `${++files}.db`)}` }
const sources: Record<string, { readonly dsn: string; readonly store: Datastore }> = {}

/** Keys in all states, more than one page of them, and leases. */
async function fill(store: Datastore): Promise<void> {
  const { id } = await store.grantLease({ ttlSeconds: 5000 })
  await store.grantLease({ id: 4711n, ttlSeconds: 3000 })
  await Promise.all(
    Array.from({ length: 700 }, (_, index) =>
      store.create(bytes(`/registry/${index}`), new Uint8Array(index * 3).fill(index), index % 5 === 0 ? { leaseId: id } : {}),
    ),
  )
  for (let index = 0; index < 100; index++) await store.update(bytes(`/registry/${index % 30}`), bytes(`changed ${index}`))
  const puts = ['a', 'b', 'c'].map((key) => ({ type: 'put' as const, key: bytes(key), value: bytes('txn') }))
  await store.txn({ compare: [], success: puts, failure: [] })
  for (let index = 100; index < 150; index++) await store.delete(bytes(`/registry/${index}`))
  await store.create(bytes('/registry/100'), bytes('born again'))
  await store.delete(bytes('b'))
}

beforeAll(async () => {
  const [postgres, mariadb, etcd] = await Promise.all([startPostgres(), startMariadb(), startEtcd()])
  for (const server of [postgres, mariadb, etcd]) servers.use(server)
  newDsns['postgres'] = () => postgres.dsn(`migrate${++databases}`)
  newDsns['mariadb'] = () => mariadb.dsn(`migrate${++databases}`)
  for (const driver of ['sqlite', 'postgres', 'mariadb', 'etcd']) {
    const dsn = driver === 'etcd' ? etcd.dsn : (newDsns[driver]?.() ?? '')
    const store = servers.use(await openDatastore(dsn))
    await fill(store)
    sources[driver] = { dsn, store }
  }
}, 120_000)
afterAll(async () => {
  await servers.disposeAsync()
  rmSync(directory, { recursive: true })
})

async function contentOf(store: Datastore, revision?: number): Promise<readonly string[]> {
  const { items } = await store.list(everything, { revision })
  return items.map(({ key, value, createRevision, modRevision, version, leaseId }) =>
    [Buffer.from(key).toString(), Buffer.from(value).toString('hex'), createRevision, modRevision, version, leaseId].join(' '),
  )
}

const newDsn = (driver: string): string => newDsns[driver]?.() ?? ''
const sourceOf = (driver: string): { readonly dsn: string; readonly store: Datastore } => {
  const source = sources[driver]
  if (source === undefined) throw new Error(`There is no source ${driver}`)
  return source
}

for (const from of ['sqlite', 'postgres', 'mariadb', 'etcd'])
  describe(`from ${from}`, () => {
    it('agrees with itself while it is in use', async () => {
      const { dsn, store } = sourceOf(from)
      const report = await verify({ dsn })
      expect(report).toMatchObject({ problems: [], items: 653, leases: 2, revision: await store.currentRevision() })
      expect(report.revisions).toBeGreaterThan(800)
    })

    for (const to of ['sqlite', 'postgres', 'mariadb'])
      it(`migrate to ${to} keeps keys, revisions and leases, and is refused a second time`, async () => {
        const { dsn, store } = sourceOf(from)
        const target = newDsn(to)
        const { revision } = await migrate(dsn, target)
        expect(revision).toBe(await store.currentRevision())
        expect(await compare({ dsn }, { dsn: target })).toMatchObject({ revision, items: 653, leases: 2, problems: [] })
        expect(await verify({ dsn: target })).toMatchObject({ revision, revisions: 0, problems: [] })
        await expect(migrate(dsn, target)).rejects.toMatchObject({ code: 'NotEmpty', hint: expect.any(String) })
        await using copy = await openDatastore(target)
        expect((await copy.leaseStatus(4711n)).ttlSeconds).toBe(3000)
        expect((await copy.create(bytes('next'), bytes('1'))).revision).toBe(revision + 1)
        expect(await contentOf(copy, revision)).toEqual(await contentOf(store))
      })

    it('migrate to etcd keeps keys, revisions and leases, and is refused a second time', async () => {
      const { dsn, store } = sourceOf(from)
      await using server = await startEtcd()
      const { revision } = await migrate(dsn, server.dsn)
      expect(revision).toBe(await store.currentRevision())
      expect(await compare({ dsn }, { dsn: server.dsn })).toMatchObject({ revision, items: 653, leases: 2, problems: [] })
      expect(await verify({ dsn: server.dsn })).toMatchObject({ revision, problems: [] })
      await expect(migrate(dsn, server.dsn)).rejects.toMatchObject({ code: 'NotEmpty', hint: expect.any(String) })
      await using copy = await openDatastore(server.dsn)
      expect((await copy.leaseStatus(4711n)).ttlSeconds).toBe(3000)
      expect(await contentOf(copy, revision)).toEqual(await contentOf(store))
      expect((await copy.create(bytes('next'), bytes('1'))).revision).toBe(revision + 1)
    })

    for (const to of ['sqlite', 'postgres', 'mariadb'])
      it(`a snapshot is restored into ${to}; one that is damaged leaves it refused until a whole one is`, async () => {
        const { dsn } = sourceOf(from)
        const chunks = await Array.fromAsync(snapshot(dsn))
        const { revision } = await verifySnapshot(chunksOf(chunks))
        const target = newDsn(to)
        await expect(restore(target, chunksOf(chunks.slice(0, -1)))).rejects.toMatchObject({ code: 'Damaged' })
        await expect(openDatastore(target)).rejects.toMatchObject({ code: 'Incomplete', hint: expect.any(String) })
        await expect(readStatus(target)).rejects.toMatchObject({ code: 'Incomplete' })
        expect(await restore(target, chunksOf(chunks))).toMatchObject({ revision, items: 653, leases: 2 })
        expect(await compare({ dsn: target }, { snapshot: chunksOf(chunks) })).toMatchObject({ problems: [], items: 653 })
      })
  })

describe('of two restores that are run at once', () => {
  for (const to of ['postgres', 'mariadb'])
    it(`into ${to}, the one begun first is refused, and nothing of it remains`, async () => {
      const target = newDsn(to)
      const [one, other] = [sourceOf('sqlite'), sourceOf('etcd')]
      const begun = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const chunks = await Array.fromAsync(snapshot(one.dsn))
      const interrupted = async function* (): AsyncGenerator<Uint8Array> {
        // The header and the first items; the rest waits.
        yield* chunks.slice(0, 2)
        begun.resolve()
        await goOn.promise
        yield* chunks.slice(2)
      }
      const first = restore(target, interrupted())
      const refused = expect(first).rejects.toMatchObject({ code: 'Incomplete', message: expect.stringContaining('Another restore') })
      await begun.promise
      const { revision } = await migrate(other.dsn, target)
      goOn.resolve()
      await refused
      expect(await compare({ dsn: other.dsn }, { dsn: target })).toMatchObject({ revision, items: 653, problems: [] })
      expect(await verify({ dsn: target })).toMatchObject({ problems: [] })
    })
})

describe('a copy', () => {
  for (const to of ['sqlite', 'postgres', 'mariadb'])
    it(`in ${to} is compacted, and then still agrees with itself`, async () => {
      const target = newDsn(to)
      const { revision } = await migrate(sourceOf('sqlite').dsn, target)
      {
        await using store = await openDatastore(target)
        for (let index = 0; index < 50; index++) await store.update(bytes('again'), bytes(`${index}`))
        await store.delete(bytes('a'))
      }
      expect(await verify({ dsn: target })).toMatchObject({ revisions: 51, problems: [] })
      expect(await compactDatastore(target, { revision: revision + 30 })).toMatchObject({
        revision: revision + 51,
        compactRevision: revision + 30,
      })
      expect(await verify({ dsn: target })).toMatchObject({ revision: revision + 51, revisions: 21, problems: [] })
    })
})

async function* chunksOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
