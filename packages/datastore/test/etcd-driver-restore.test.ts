import { openDatastore, restore, snapshot } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { afterEach, describe, expect, it } from 'vitest'
import { parseDsn } from '../src/dsn.ts'
import { startEtcd } from './servers/etcd.ts'
import type { EtcdServer } from './servers/etcd.ts'
import { openEtcdTarget } from '../src/open.ts'
import { datastoreSource, readState } from '../src/snapshot/state.ts'
import { fill } from '../src/snapshot/target.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const everything = { start: bytes('\0'), end: new Uint8Array(0) }

const servers: EtcdServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server[Symbol.asyncDispose]()))
})
async function start(): Promise<EtcdServer> {
  const server = await startEtcd({ program: process.env['ETCD_PROGRAM'] })
  servers.push(server)
  return server
}

/** A store of some thousand revisions: most of them are of keys that are gone, some keys have many versions, one has a lease. */
async function fillSource(): Promise<Datastore> {
  const source = await openDatastore('memory:')
  const { id } = await source.grantLease({ ttlSeconds: 1000 })
  await source.create(bytes('leased'), bytes('1'), { leaseId: id })
  for (let round = 0; round < 60; round++) {
    await Promise.all(Array.from({ length: 40 }, (_, index) => source.update(bytes(`gone/${index}`), bytes(`${round}`))))
    await Promise.all(Array.from({ length: 5 }, (_, index) => source.update(bytes(`hot/${index}`), bytes(`${round}`.repeat(1000)))))
    await source.create(bytes(`kept/${round}`), bytes(`${round}`))
  }
  await source.txn({ compare: [], success: [{ type: 'delete', range: { start: bytes('gone/'), end: bytes('gone0') } }], failure: [] })
  return source
}

async function fillEtcd(etcd: EtcdServer, source: Datastore, signal?: AbortSignal): Promise<void> {
  const dsn = parseDsn(etcd.dsn)
  if (dsn.driver !== 'etcd') throw new Error('An etcd has an etcd’s DSN')
  await using target = await openEtcdTarget(dsn, {})
  await fill(target, await readState(datastoreSource(source, Date.now), 'the source'), { signal })
}

async function expectSame(etcd: EtcdServer, source: Datastore): Promise<void> {
  await using store = await openDatastore(etcd.dsn)
  expect(await store.list(everything)).toEqual(await source.list(everything))
  const [lease = 0n] = await source.listLeases()
  expect(await store.listLeases()).toEqual([lease])
  expect(await store.leaseStatus(lease)).toMatchObject({ ttlSeconds: 1000, keys: [bytes('leased')] })
  const revision = await source.currentRevision()
  expect(await store.status()).toMatchObject({ revision, compactRevision: revision })
  expect((await store.update(bytes('hot/0'), bytes('next'))).revision).toBe(revision + 1)
}

/** Waits until the replay has come to about a revision. */
async function reaches(etcd: EtcdServer, revision: number): Promise<void> {
  const { Connection } = await import('../src/drivers/etcd/connection.ts')
  const { noLogger, systemClock } = await import('@k3s/lifecycle')
  await using connection = await Connection.open({ endpoints: [etcd.endpoint], tls: undefined, clock: systemClock, logger: noLogger })
  for (;;) {
    const { answer } = await connection.call('range', { key: bytes('\0'), countOnly: true }, { repeatable: 'always', signal: undefined })
    if ((answer.header?.revision ?? 0) >= revision) return
  }
}

describe('a restore into etcd', () => {
  it('keeps revisions, versions and leases, over thousands of revisions of which nothing is left', async () => {
    await using source = await fillSource()
    const etcd = await start()
    await fillEtcd(etcd, source)
    await expectSame(etcd, source)
  })

  it('that was interrupted is refused by open(), and goes on where it stopped', async () => {
    await using source = await fillSource()
    const etcd = await start()
    const stop = new AbortController()
    const filling = fillEtcd(etcd, source, stop.signal)
    await reaches(etcd, 1000)
    stop.abort(new Error('interrupted'))
    await expect(filling).rejects.toThrow('interrupted')
    await expect(openDatastore(etcd.dsn)).rejects.toMatchObject({ code: 'Incomplete' })
    await fillEtcd(etcd, source)
    await expectSame(etcd, source)
  })

  it('that was interrupted is not gone on with by another state', async () => {
    await using source = await fillSource()
    const etcd = await start()
    const stop = new AbortController()
    const filling = fillEtcd(etcd, source, stop.signal)
    await reaches(etcd, 100)
    stop.abort(new Error('interrupted'))
    await expect(filling).rejects.toThrow('interrupted')
    await source.update(bytes('more'), bytes('1'))
    await expect(fillEtcd(etcd, source)).rejects.toMatchObject({
      code: 'Incomplete',
      hint: expect.stringContaining('empty data directory'),
    })
  })

  it('goes on when etcd crashes under it and comes back', async () => {
    await using source = await fillSource()
    const etcd = await start()
    const filling = fillEtcd(etcd, source)
    filling.catch(() => {}) // looked at below
    await reaches(etcd, 1000)
    await etcd.kill()
    await etcd.start()
    await filling
    await expectSame(etcd, source)
  })

  it('is refused with NotEmpty when etcd was used, though it is empty now', async () => {
    const etcd = await start()
    {
      await using store = await openDatastore(etcd.dsn)
      await store.create(bytes('a'), bytes('1'))
      await store.delete(bytes('a'))
    }
    await using source = await fillSource()
    await expect(restore(etcd.dsn, snapshot(source))).rejects.toMatchObject({
      code: 'NotEmpty',
      hint: expect.stringContaining('empty data directory'),
    })
    await using store = await openDatastore(etcd.dsn)
    expect(await store.listLeases()).toEqual([])
  })

  it('of an empty store leaves etcd empty', async () => {
    await using source = await openDatastore('memory:')
    const etcd = await start()
    await fillEtcd(etcd, source)
    await using store = await openDatastore(etcd.dsn)
    expect(await store.list(everything)).toMatchObject({ revision: 1, count: 0 })
  })
})
