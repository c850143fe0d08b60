import { FakeClock } from '@k3s/lifecycle'
import { expect, it } from 'vitest'
import type { Datastore } from '../contract.ts'
import { bytes, eventually, everything, expectCode, record, show, showEvent } from './subject.ts'
import type { DatastoreUnderTest, SubjectOptions } from './subject.ts'

export function describeRestart({ create, reopen, supports }: DatastoreUnderTest): void {
  const restart = async (store: Datastore, options: SubjectOptions = {}): Promise<Datastore> => {
    if (reopen === undefined) throw new Error('A datastore that supports restart has reopen()')
    await store[Symbol.asyncDispose]()
    return reopen(store, options)
  }

  it('revisions go on, and keys and history are as before', async () => {
    const before = await create({})
    await before.create(bytes('a'), bytes('1'))
    await before.update(bytes('a'), bytes('2'))
    await before.create(bytes('b'), bytes('1'))
    const { revision } = await before.delete(bytes('b'))
    const items = (await before.list(everything)).items.map(show)
    await using after = await restart(before)
    expect(await after.currentRevision()).toBe(revision)
    expect((await after.list(everything)).items.map(show)).toEqual(items)
    expect((await after.list(everything, { revision: revision - 1 })).count).toBe(2)
    await using watch = record(after, everything, { fromRevision: revision - 1 })
    const next = await after.create(bytes('c'), bytes('1'))
    expect(next.revision).toBe(revision + 1)
    await watch.reaches(next.revision)
    expect(watch.events().map(showEvent)).toEqual([`${revision - 1} put b=1`, `${revision} delete b`, `${revision + 1} put c=1`])
  })

  it('what was compacted stays compacted, and the revision stands when the newest write was a deletion', async () => {
    const before = await create({})
    await before.create(bytes('a'), bytes('1'))
    const { revision } = await before.delete(bytes('a'))
    await before.compact(revision)
    await using after = await restart(before)
    expect(await after.status()).toMatchObject({ revision, compactRevision: revision })
    await expectCode(after.list(everything, { revision: revision - 1 }), 'Compacted')
    expect((await after.create(bytes('b'), bytes('1'))).revision).toBe(revision + 1)
  })

  if (!supports.clock) return

  it('a lease ends at its deadline, not a whole time to live after the restart', async () => {
    const startMs = Date.UTC(2026, 0, 1)
    const before = await create({ clock: new FakeClock(startMs) })
    const { id } = await before.grantLease({ ttlSeconds: 100 })
    await before.create(bytes('a'), bytes('1'), { leaseId: id })
    const clock = new FakeClock(startMs + 60_000)
    await using after = await restart(before, { clock })
    expect((await after.leaseStatus(id)).remainingSeconds).toBe(40)
    await eventually(() => expect(clock.sleeping).toBeGreaterThan(0))
    await clock.advance(39_000)
    expect((await after.get(bytes('a'))).item).toBeDefined()
    await clock.advance(2_000)
    await eventually(async () => expect((await after.get(bytes('a'))).item).toBeUndefined())
  })

  it('a lease that ended while nothing ran ends at the start', async () => {
    const startMs = Date.UTC(2026, 0, 1)
    const before = await create({ clock: new FakeClock(startMs) })
    const { id } = await before.grantLease({ ttlSeconds: 100 })
    await before.create(bytes('a'), bytes('1'), { leaseId: id })
    await using after = await restart(before, { clock: new FakeClock(startMs + 200_000) })
    await eventually(async () => expect((await after.get(bytes('a'))).item).toBeUndefined())
  })
}
