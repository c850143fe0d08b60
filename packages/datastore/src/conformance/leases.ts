import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { bytes, eventually, everything, expectCode, record, showEvent, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

const startMs = Date.UTC(2026, 0, 1)
/** Two clocks, two roundings. */
const clockToleranceMs = 20

export function describeLeases(subject: DatastoreUnderTest): void {
  const { create, supports } = subject
  describe('leases', () => {
    it('revokeLease() deletes its keys in one revision', async () => {
      await using store = await create({})
      const { id } = await store.grantLease({ id: 7n, ttlSeconds: 10 })
      expect(id).toBe(7n)
      for (const key of ['b', 'a']) await store.create(bytes(key), bytes('1'), { leaseId: id })
      const before = await store.currentRevision()
      expect(await store.revokeLease(id)).toEqual({ revision: before + 1 })
      expect((await store.list(everything)).count).toBe(0)
      await expectCode(store.revokeLease(id), 'LeaseNotFound')
    })

    it('a lease id is taken once, and any 63-bit id is kept exactly', async () => {
      await using store = await create({})
      const id = 2n ** 63n - 1n
      await store.grantLease({ id, ttlSeconds: 10 })
      await expectCode(store.grantLease({ id, ttlSeconds: 10 }), 'LeaseExists')
      await store.create(bytes('a'), bytes('1'), { leaseId: id })
      expect((await store.get(bytes('a'))).item?.leaseId).toBe(id)
      expect(await store.listLeases()).toEqual([id])
      await expectCode(store.create(bytes('b'), bytes('1'), { leaseId: 8n }), 'LeaseNotFound')
      await expectCode(store.grantLease({ ttlSeconds: 0 }), 'InvalidArgument')
    })

    it('a put without the lease detaches its key, one with another lease attaches it there', async () => {
      await using store = await create({})
      const [one, other] = [await store.grantLease({ ttlSeconds: 1000 }), await store.grantLease({ ttlSeconds: 1000 })]
      for (const key of ['detached', 'kept', 'moved']) await store.create(bytes(key), bytes('1'), { leaseId: one.id })
      await store.update(bytes('detached'), bytes('2'))
      await store.update(bytes('moved'), bytes('2'), { leaseId: other.id })
      expect((await store.leaseStatus(one.id)).keys).toEqual([bytes('kept')])
      expect((await store.leaseStatus(other.id)).keys).toEqual([bytes('moved')])
      await store.delete(bytes('kept'))
      expect((await store.leaseStatus(one.id)).keys).toEqual([])
      await store.revokeLease(one.id)
      await store.revokeLease(other.id)
      expect((await store.list(everything)).items.map(({ key }) => text(key))).toEqual(['detached'])
    })

    it('a lease that is renewed lives on, then deletes its keys as one write, and not before its time', async () => {
      await using store = await create({})
      const grantedMs = performance.now()
      const { id, ttlSeconds } = await store.grantLease({ ttlSeconds: 2 })
      expect(ttlSeconds).toBeGreaterThanOrEqual(2)
      await store.create(bytes('a'), bytes('1'), { leaseId: id })
      await store.create(bytes('free'), bytes('1'))
      const { revision } = await store.create(bytes('b'), bytes('1'), { leaseId: id })
      await using watch = record(store, everything)
      let renewedMs = 0
      await eventually(async () => {
        renewedMs = performance.now()
        expect(await store.keepLeaseAlive(id)).toEqual({ id, ttlSeconds })
        expect(renewedMs - grantedMs).toBeGreaterThan(ttlSeconds * 1500)
      })
      expect((await store.list(everything)).count).toBe(3)
      await watch.reaches(revision + 1)
      expect(performance.now() - renewedMs).toBeGreaterThan(ttlSeconds * 1000 - clockToleranceMs)
      expect(watch.events().map(showEvent)).toEqual([`${revision + 1} delete a`, `${revision + 1} delete b`])
      await expectCode(store.leaseStatus(id), 'LeaseNotFound')
      await expectCode(store.keepLeaseAlive(id), 'LeaseNotFound')
      expect(await store.listLeases()).toEqual([])
    })

    for (const declare of supports.clock ? [describeLeaseTimes] : []) describe('by a test clock', () => declare(subject))
  })
}

/** Leases by a clock that the tests move. */
function describeLeaseTimes({ create }: DatastoreUnderTest): void {
  it('a lease deletes its keys when its time has passed, and not before, as one write', async () => {
    const clock = new FakeClock(startMs)
    await using store = await create({ clock })
    const { id } = await store.grantLease({ ttlSeconds: 10 })
    await store.create(bytes('a'), bytes('1'), { leaseId: id })
    await store.create(bytes('free'), bytes('1'))
    const { revision } = await store.create(bytes('b'), bytes('1'), { leaseId: id })
    await using watch = record(store, everything)
    await clock.advance(9_900)
    expect((await store.list(everything)).count).toBe(3)
    expect(await store.leaseStatus(id)).toMatchObject({ id, ttlSeconds: 10, keys: [bytes('a'), bytes('b')] })
    expect((await store.leaseStatus(id)).remainingSeconds).toBeCloseTo(0.1)
    await passes(clock, 200, async () => expect((await store.list(everything)).count).toBe(1))
    await watch.reaches(revision + 1)
    expect(watch.events().map(showEvent)).toEqual([`${revision + 1} delete a`, `${revision + 1} delete b`])
    await expectCode(store.leaseStatus(id), 'LeaseNotFound')
  })

  it('keepLeaseAlive() starts the time anew', async () => {
    const clock = new FakeClock(startMs)
    await using store = await create({ clock })
    const { id } = await store.grantLease({ ttlSeconds: 10 })
    await store.create(bytes('a'), bytes('1'), { leaseId: id })
    await clock.advance(9_000)
    expect(await store.keepLeaseAlive(id)).toEqual({ id, ttlSeconds: 10 })
    await clock.advance(9_000)
    expect((await store.get(bytes('a'))).item).toBeDefined()
    await passes(clock, 1_100, async () => expect((await store.get(bytes('a'))).item).toBeUndefined())
    await expectCode(store.keepLeaseAlive(id), 'LeaseNotFound')
  })

  it('a short lease granted after a long one expires at its own time', async () => {
    const clock = new FakeClock(startMs)
    await using store = await create({ clock })
    const long = await store.grantLease({ ttlSeconds: 1000 })
    await store.create(bytes('long'), bytes('1'), { leaseId: long.id })
    const short = await store.grantLease({ ttlSeconds: 1 })
    await store.create(bytes('short'), bytes('1'), { leaseId: short.id })
    await passes(clock, 1_100, async () => expect((await store.list(everything)).items.map(({ key }) => text(key))).toEqual(['long']))
    expect(await store.listLeases()).toEqual([long.id])
  })

  it('a write without the lease detaches its key', async () => {
    const clock = new FakeClock(startMs)
    await using store = await create({ clock })
    const { id } = await store.grantLease({ ttlSeconds: 10 })
    for (const key of ['kept', 'gone']) await store.create(bytes(key), bytes('1'), { leaseId: id })
    await store.update(bytes('kept'), bytes('2'))
    expect((await store.leaseStatus(id)).keys).toEqual([bytes('gone')])
    await passes(clock, 10_100, async () => expect((await store.list(everything)).items.map(({ key }) => text(key))).toEqual(['kept']))
  })
}

/** Moves the clock once, when the datastore sleeps, and waits for the effect. */
async function passes(clock: FakeClock, ms: number, check: () => Promise<void>): Promise<void> {
  await eventually(() => expect(clock.sleeping).toBeGreaterThan(0))
  await clock.advance(ms)
  await eventually(check)
}
