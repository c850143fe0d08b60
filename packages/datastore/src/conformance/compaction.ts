import { describe, expect, it } from 'vitest'
import { bytes, eventually, everything, expectCode, record, showEvent, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

export function describeCompaction({ create, supports }: DatastoreUnderTest): void {
  const { watchesAtCompaction = true, previousAtCompaction = true, shrinking = true } = supports
  describe('compaction', () => {
    it('reads and watches below the compact revision fail with Compacted at once', async () => {
      await using store = await create({})
      for (let round = 0; round < 10; round++) await store.update(bytes('a'), bytes(`${round}`))
      const revision = await store.currentRevision()
      await store.compact(revision - 2)
      await expect(store.get(bytes('a'), { revision: revision - 3 })).rejects.toMatchObject({ code: 'Compacted', revision: revision - 2 })
      await expectCode(store.list(everything, { revision: revision - 3 }), 'Compacted')
      const watch = store.watch(everything, { fromRevision: revision - 3 })[Symbol.asyncIterator]()
      await expectCode(watch.next(), 'Compacted')
      expect(text((await store.get(bytes('a'), { revision: revision - 2 })).item?.value ?? bytes(''))).toBe('7')
      expect((await store.status()).compactRevision).toBe(revision - 2)
    })

    it('compact() keeps the newest version of each live key', async () => {
      await using store = await create({})
      await store.create(bytes('untouched'), bytes('old'))
      for (let round = 0; round < 20; round++) await store.update(bytes('a'), bytes(`${round}`))
      await store.create(bytes('deleted'), bytes('1'))
      await store.delete(bytes('deleted'))
      const { revision } = await store.update(bytes('a'), bytes('last'))
      await store.compact(revision)
      await eventually(async () => {
        const { items } = await store.list(everything)
        expect(items.map(({ key, value }) => `${text(key)}=${text(value)}`)).toEqual(['a=last', 'untouched=old'])
        expect((await store.list(everything, { revision })).count).toBe(2)
      })
      await store.update(bytes('untouched'), bytes('new'))
      expect((await store.list(everything, { revision })).items.map(({ value }) => text(value))).toEqual(['last', 'old'])
    })

    it('a watch from the compact revision misses nothing, a deletion and what it deleted included', async () => {
      await using store = await create({})
      await store.create(bytes('a'), bytes('1'))
      await store.create(bytes('b'), bytes('1'))
      await store.delete(bytes('a'))
      const deleted = await store.delete(bytes('b'))
      await store.compact(deleted.revision)
      // More than a store keeps of recent events: what is watched comes from the log, after slices of compaction have run.
      let revision = 0
      for (let round = 0; round < 70; round++) ({ revision } = await store.update(bytes('big'), new Uint8Array(100_000)))
      if (!watchesAtCompaction) {
        const refused = store.watch(everything, { fromRevision: deleted.revision })[Symbol.asyncIterator]()
        await expect(refused.next()).rejects.toMatchObject({ code: 'Compacted', revision: deleted.revision })
        return
      }
      await using watch = record(store, everything, { fromRevision: deleted.revision, previous: previousAtCompaction })
      await watch.reaches(revision)
      expect(watch.events().slice(0, 1).map(showEvent)).toEqual([`${deleted.revision} delete b`])
      if (previousAtCompaction) expect(watch.events()[0]?.previous).toMatchObject({ value: bytes('1') })
      expect(watch.events()).toHaveLength(71)
    })

    it('compaction frees the space of history', async () => {
      await using store = await create({})
      const value = new Uint8Array(10_000)
      const fill = async (): Promise<void> => {
        for (let round = 0; round < 40; round++)
          await Promise.all(Array.from({ length: 50 }, (_, index) => store.update(bytes(`${index}`), value)))
      }
      await fill()
      const full = (await store.status()).sizeBytes
      await store.compact(await store.currentRevision())
      // Live: 0.5 MB of 20 MB. Some room is kept for coming writes.
      if (shrinking)
        await eventually(async () => {
          await store.update(bytes('0'), value)
          expect((await store.status()).sizeBytes).toBeLessThan(full / 2)
        })
      else {
        await fill()
        expect((await store.status()).sizeBytes).toBeLessThan(full * 1.5)
      }
      expect((await store.list(everything)).count).toBe(50)
    })

    it('compaction beside writers, readers and watchers disturbs none of them', async () => {
      await using store = await create({})
      await using watch = record(store, everything)
      const done = new AbortController()
      const compacting = (async () => {
        while (!done.signal.aborted) {
          await store.compact(await store.currentRevision())
          const { revision, items } = await store.list(everything)
          expect(items.every(({ modRevision }) => modRevision <= revision)).toBe(true)
        }
      })()
      const first = (await store.currentRevision()) + 1
      await Promise.all(
        Array.from({ length: 8 }, async (_, client) => {
          for (let round = 0; round < 40; round++) {
            await store.update(bytes(`${client}`), bytes(`${round}`))
            if (round % 5 === 4) await store.delete(bytes(`${client}`))
          }
        }),
      )
      done.abort()
      await compacting
      const last = await store.currentRevision()
      await watch.reaches(last)
      expect(watch.failure()).toBeUndefined()
      expect(watch.events().map(({ item }) => item.modRevision)).toEqual(
        Array.from({ length: last - first + 1 }, (_, index) => first + index),
      )
    })

    it('compact() above the newest revision is refused, again at the same revision it does nothing', async () => {
      await using store = await create({})
      const { revision } = await store.create(bytes('a'), bytes('1'))
      await expectCode(store.compact(revision + 1), 'FutureRevision')
      await store.compact(revision)
      await store.compact(revision)
      await store.compact(revision - 1)
      expect(await store.status()).toMatchObject({ revision, compactRevision: revision })
    })
  })
}
