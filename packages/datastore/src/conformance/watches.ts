import { describe, expect, it } from 'vitest'
import type { TxnOperation } from '../contract.ts'
import { bytes, eventually, everything, prefix, record, showEvent, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

export function describeWatches({ create }: DatastoreUnderTest): void {
  describe('watches', () => {
    it('watch() from a revision delivers every event of its range, in order', async () => {
      await using store = await create({})
      const { revision } = await store.create(bytes('k/a'), bytes('1'))
      await store.create(bytes('other'), bytes('1'))
      await store.update(bytes('k/a'), bytes('2'))
      await using watch = record(store, prefix('k/'), { fromRevision: revision })
      await store.delete(bytes('k/a'))
      const last = await store.create(bytes('k/b'), bytes('3'))
      await watch.reaches(last.revision)
      expect(watch.events().map(showEvent)).toEqual([
        `${revision} put k/a=1`,
        `${revision + 2} put k/a=2`,
        `${revision + 3} delete k/a`,
        `${revision + 4} put k/b=3`,
      ])
    })

    it('watch() without a revision begins after the newest at the time of the call', async () => {
      await using store = await create({})
      await store.create(bytes('a'), bytes('1'))
      const watch = store.watch(everything)
      const { revision } = await store.create(bytes('b'), bytes('1'))
      for await (const batch of watch) {
        expect(batch.events.map(showEvent)).toEqual([`${revision} put b=1`])
        break
      }
    })

    it('watch() from a future revision waits for it', async () => {
      await using store = await create({})
      const { revision } = await store.create(bytes('a'), bytes('1'))
      await using watch = record(store, everything, { fromRevision: revision + 3 })
      for (let round = 0; round < 4; round++) await store.update(bytes('a'), bytes('1'))
      await watch.reaches(revision + 4)
      expect(watch.events().map(({ item }) => item.modRevision)).toEqual([revision + 3, revision + 4])
    })

    it('watch() tells what a key held before when asked to', async () => {
      await using store = await create({})
      await using asking = record(store, everything, { previous: true })
      await using notAsking = record(store, everything)
      await store.create(bytes('a'), bytes('1'))
      await store.update(bytes('a'), bytes('2'))
      const { revision } = await store.delete(bytes('a'))
      await using late = record(store, everything, { fromRevision: revision - 2, previous: true })
      for (const watch of [asking, notAsking, late]) await watch.reaches(revision)
      for (const watch of [asking, late])
        expect(watch.events().map(({ previous }) => previous && text(previous.value))).toEqual([undefined, '1', '2'])
      expect(notAsking.events().map(({ previous }) => previous)).toEqual([undefined, undefined, undefined])
    })

    it('events of one revision travel together, also when a watcher re-reads the log', async () => {
      await using store = await create({})
      const value = new Uint8Array(5000)
      const first = (await store.currentRevision()) + 1
      const slow = store.watch(everything, { fromRevision: first })[Symbol.asyncIterator]()
      for (let round = 0; round < 30; round++) {
        const success = Array.from({ length: 100 }, (_, index): TxnOperation => ({ type: 'put', key: bytes(`${round}/${index}`), value }))
        await store.txn({ compare: [], success, failure: [] })
      }
      const last = await store.currentRevision()
      const seen: number[] = []
      for (let through = 0; through < last;) {
        const { value: batch } = await slow.next()
        through = batch?.revision ?? last
        const revisions = (batch?.events ?? []).map(({ item }: { readonly item: { readonly modRevision: number } }) => item.modRevision)
        for (const revision of new Set(revisions)) expect(revisions.filter((other: number) => other === revision)).toHaveLength(100)
        seen.push(...revisions)
      }
      await slow.return?.()
      expect(seen).toEqual(Array.from({ length: 3000 }, (_, index) => first + Math.floor(index / 100)))
    })

    it('a watcher that falls far behind gets everything, once, in order', async () => {
      await using store = await create({})
      const value = new Uint8Array(20_000)
      const first = (await store.currentRevision()) + 1
      const iterator = store.watch(prefix('k/'), { fromRevision: first })[Symbol.asyncIterator]()
      const writes = 600
      const written = new Map<number, string>()
      for (let index = 0; index < writes; index += 50)
        await Promise.all(
          Array.from({ length: 50 }, async (_, offset) => {
            const key = `${offset % 2 === 0 ? 'k' : 'l'}/${index + offset}`
            written.set((await store.update(bytes(key), value)).revision, key)
          }),
        )
      const keys: string[] = []
      while (keys.length < writes / 2) {
        const { value: batch } = await iterator.next()
        for (const { item } of batch?.events ?? []) keys.push(text(item.key))
      }
      await iterator.return?.()
      const inOrder = [...written].toSorted(([a], [b]) => a - b).map(([, key]) => key)
      expect(keys).toEqual(inOrder.filter((key) => key.startsWith('k/')))
    })

    it('an event comes after its write can be read', async () => {
      await using store = await create({})
      const stop = new AbortController()
      const watching = (async () => {
        let last = 0
        for await (const { events, revision } of store.watch(everything, { signal: stop.signal })) {
          for (const { item } of events) {
            const read = await store.get(item.key)
            expect(read.revision).toBeGreaterThanOrEqual(item.modRevision)
            expect(read.item?.modRevision ?? 0).toBeGreaterThanOrEqual(item.modRevision)
          }
          last = revision
        }
        return last
      })()
      let revision = 0
      for (let round = 0; round < 50; round++) ({ revision } = await store.update(bytes('a'), bytes(`${round}`)))
      await eventually(async () => expect(await store.currentRevision()).toBe(revision))
      stop.abort()
      await watching
    })

    it('a progress mark tells how far an idle watch is', async () => {
      await using store = await create({})
      await using watch = record(store, prefix('k/'), { progressIntervalMs: 10 })
      const { revision } = await store.create(bytes('other'), bytes('1'))
      await watch.reaches(revision)
      expect(watch.events()).toEqual([])
      const created = await store.create(bytes('k/a'), bytes('1'))
      await watch.reaches(created.revision)
      expect(watch.events().map(showEvent)).toEqual([`${created.revision} put k/a=1`])
    })

    it('an idle watch says that it has delivered everything, as soon as it is asked to', async () => {
      await using store = await create({})
      const start = await store.currentRevision()
      const canAsk = store.watch(prefix('k/')).requestProgress !== undefined
      const watch = store.watch(prefix('k/'), { fromRevision: start + 1, progressIntervalMs: canAsk ? 0 : 20 })
      const batches = watch[Symbol.asyncIterator]()
      const reads = async (revision: number): Promise<readonly string[]> => {
        const events: string[] = []
        for (;;) {
          const { value } = await batches.next()
          events.push(...(value?.events.map(showEvent) ?? []))
          if ((value?.revision ?? 0) >= revision) return events
        }
      }
      const first = reads(start + 1)
      await store.create(bytes('other'), bytes('1'))
      watch.requestProgress?.(start + 1)
      expect(await first).toEqual([])
      // Asked before there is anything to tell: the answer waits, and events on the way to it are no answer.
      const second = reads(start + 3)
      watch.requestProgress?.(start + 3)
      await store.create(bytes('k/a'), bytes('1'))
      await store.create(bytes('other/b'), bytes('1'))
      expect(await second).toEqual([`${start + 2} put k/a=1`])
      await batches.return?.()
    })

    it('a watch ends without error when its signal aborts or its consumer leaves', async () => {
      await using store = await create({})
      const stop = new AbortController()
      const aborted = store.watch(everything, { signal: stop.signal })[Symbol.asyncIterator]()
      const left = store.watch(everything)[Symbol.asyncIterator]()
      const [first, second] = [aborted.next(), left.next()]
      stop.abort()
      await left.return?.()
      expect([await first, await second]).toEqual([
        { done: true, value: undefined },
        { done: true, value: undefined },
      ])
    })

    it('many watchers see the same events', async () => {
      await using store = await create({})
      const watches = Array.from({ length: 50 }, () => record(store, prefix('k/')))
      await Promise.all(Array.from({ length: 100 }, (_, index) => store.create(bytes(`k/${index}`), bytes('1'))))
      const expected = (await store.list(prefix('k/'))).items.map(({ modRevision }) => modRevision).toSorted((a, b) => a - b)
      for (const watch of watches) {
        await watch.reaches(expected.at(-1) ?? 0)
        expect(watch.events().map(({ item }) => item.modRevision)).toEqual(expected)
        await watch[Symbol.asyncDispose]()
      }
    })
  })
}
