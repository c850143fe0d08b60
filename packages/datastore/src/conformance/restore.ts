import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import type { Datastore } from '../contract.ts'
import { openDatastore } from '../open.ts'
import { snapshot } from '../snapshot/snapshot.ts'
import { bytes, eventually, everything, expectCode, record, show, showEvent } from './subject.ts'
import type { DatastoreUnderTest, SubjectOptions } from './subject.ts'

export function describeRestore({ restore, reopen, supports }: DatastoreUnderTest): void {
  const restoreFrom = async (source: Datastore, options: SubjectOptions = {}): Promise<Datastore> => {
    if (restore === undefined) throw new Error('A datastore that supports restore has restore()')
    const nowMs = options.clock === undefined ? Date.now : () => options.clock?.now() ?? 0
    return restore(snapshot(source, { nowMs }), options)
  }

  /** Keys in all states: new, changed, deleted, born again, of one txn. The newest write deletes a key. */
  const fillSource = async (): Promise<Datastore> => {
    const source = await openDatastore('memory:')
    await source.create(bytes('z'), bytes('1'))
    await source.create(bytes('b'), bytes('1'))
    await source.create(bytes('c'), new Uint8Array(0))
    for (const value of ['2', '3', '4']) await source.update(bytes('b'), bytes(value))
    await source.delete(bytes('c'))
    await source.create(bytes('c'), bytes('again'))
    const puts = ['k1', 'k2', 'a'].map((key) => ({ type: 'put' as const, key: bytes(key), value: bytes('txn') }))
    await source.txn({ compare: [], success: puts, failure: [] })
    await source.delete(bytes('z'))
    return source
  }

  const declareLeases = (): void => {
    it('leases end at the deadline that they had, with their keys', async () => {
      const startMs = Date.UTC(2026, 0, 1)
      const sourceClock = new FakeClock(startMs)
      await using source = await openDatastore('memory:', { clock: sourceClock })
      const { id } = await source.grantLease({ ttlSeconds: 100 })
      const idle = await source.grantLease({ id: 77n, ttlSeconds: 1000 })
      await source.create(bytes('a'), bytes('1'), { leaseId: id })
      await sourceClock.advance(60_000)
      const clock = new FakeClock(startMs + 60_000)
      await using store = await restoreFrom(source, { clock })
      expect(await store.leaseStatus(id)).toMatchObject({ ttlSeconds: 100, remainingSeconds: 40, keys: [bytes('a')] })
      expect((await store.leaseStatus(idle.id)).remainingSeconds).toBe(940)
      await eventually(() => expect(clock.sleeping).toBeGreaterThan(0))
      await clock.advance(39_000)
      expect((await store.get(bytes('a'))).item?.leaseId).toBe(id)
      await clock.advance(2_000)
      await eventually(async () => expect((await store.get(bytes('a'))).item).toBeUndefined())
      expect(await store.listLeases()).toEqual([idle.id])
    })
  }

  const declareRestart = (): void => {
    it('is the same after a restart', async () => {
      await using source = await fillSource()
      const { revision, items } = await source.list(everything)
      const before = await restoreFrom(source)
      await before[Symbol.asyncDispose]()
      if (reopen === undefined) throw new Error('A datastore that supports restart has reopen()')
      await using after = await reopen(before, {})
      expect((await after.list(everything)).items.map(show)).toEqual(items.map(show))
      expect(await after.status()).toMatchObject({ revision, compactRevision: revision })
      await using late = record(after, everything, { fromRevision: revision })
      await eventually(() => expect(late.failure()).toMatchObject({ code: 'Compacted' }))
      expect((await after.create(bytes('new'), bytes('1'))).revision).toBe(revision + 1)
    })
  }

  describe('restored from a snapshot', () => {
    it('holds every key with its revisions and version, and is at the revision of the original', async () => {
      await using source = await fillSource()
      const { revision, items } = await source.list(everything)
      await using store = await restoreFrom(source)
      const list = await store.list(everything)
      expect(list.revision).toBe(revision)
      expect(list.items.map(show)).toEqual(items.map(show))
      expect((await store.list(everything, { revision })).items.map(show)).toEqual(items.map(show))
      expect(await store.status()).toMatchObject({ revision, compactRevision: revision })
      await expectCode(store.list(everything, { revision: revision - 1 }), 'Compacted')
    })

    it('goes on as the original would have: the next write has the next revision, conditions on old ones hold', async () => {
      await using source = await fillSource()
      const { revision, items } = await source.list(everything)
      await using store = await restoreFrom(source)
      for (const { key, value, modRevision, version, createRevision } of items) {
        await expectCode(store.update(key, bytes('x'), { expectedRevision: modRevision + 1 }), 'RevisionConflict')
        const { previous } = await store.update(key, bytes('x'), { expectedRevision: modRevision })
        expect(previous).toMatchObject({ value, modRevision })
        expect((await store.get(key)).item).toMatchObject({ version: version + 1, createRevision })
      }
      expect(await store.currentRevision()).toBe(revision + items.length)
      expect((await store.list(everything, { revision })).items.map(show)).toEqual(items.map(show))
      expect((await store.delete(bytes('a'))).revision).toBe(revision + items.length + 1)
      expect((await store.create(bytes('z'), bytes('2'))).revision).toBe(revision + items.length + 2)
    })

    it('a watch that follows the original goes on without a gap, one that needs an older revision is told Compacted', async () => {
      await using source = await fillSource()
      const revision = await source.currentRevision()
      await using store = await restoreFrom(source)
      await using watch = record(store, everything, { fromRevision: revision + 1 })
      // The deletion at the restored revision is not in the snapshot: a watch from there would miss it.
      for (const from of [1, revision - 1, revision]) {
        await using late = record(store, everything, { fromRevision: from })
        await eventually(() => expect(late.failure()).toMatchObject({ code: 'Compacted' }))
      }
      await store.update(bytes('b'), bytes('5'))
      await store.delete(bytes('k1'))
      await watch.reaches(revision + 2)
      expect(watch.events().map(showEvent)).toEqual([`${revision + 1} put b=5`, `${revision + 2} delete k1`])
    })

    it('compaction goes on from there', async () => {
      await using source = await fillSource()
      const revision = await source.currentRevision()
      await using store = await restoreFrom(source)
      await store.compact(revision)
      for (let round = 0; round < 50; round++) await store.update(bytes('b'), bytes(`${round}`))
      await store.delete(bytes('a'))
      await store.compact(revision + 40)
      const items = (await store.list(everything)).items.map(show)
      await expectCode(store.list(everything, { revision: revision + 39 }), 'Compacted')
      expect((await store.get(bytes('b'), { revision: revision + 40 })).item?.value).toEqual(bytes('39'))
      expect((await store.get(bytes('a'), { revision: revision + 50 })).item?.value).toEqual(bytes('txn'))
      await store.compact(revision + 51)
      expect((await store.list(everything)).items.map(show)).toEqual(items)
    })

    for (const declare of [...(supports.clock ? [declareLeases] : []), ...(supports.restart ? [declareRestart] : [])]) declare()
  })
}
