import { describe, expect, it } from 'vitest'
import { bytes, expectCode, show, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

export function describeKeys({ create }: DatastoreUnderTest): void {
  describe('keys', () => {
    it('create() gives the next revision and refuses a key that exists', async () => {
      await using store = await create({})
      const before = await store.currentRevision()
      const { revision } = await store.create(bytes('a'), bytes('1'))
      expect(revision).toBe(before + 1)
      await expect(store.create(bytes('a'), bytes('2'))).rejects.toMatchObject({
        code: 'KeyExists',
        current: { value: bytes('1'), modRevision: revision },
      })
      expect((await store.create(bytes('b'), bytes('2'))).revision).toBe(revision + 1)
    })

    it('update() keeps the create revision, counts versions and tells what was before', async () => {
      await using store = await create({})
      const created = await store.create(bytes('a'), bytes('1'))
      const updated = await store.update(bytes('a'), bytes('2'))
      expect(updated.previous && show(updated.previous)).toBe(`a=1 created ${created.revision} modified ${created.revision} version 1`)
      const { item, revision } = await store.get(bytes('a'))
      expect(item && show(item)).toBe(`a=2 created ${created.revision} modified ${updated.revision} version 2`)
      expect(revision).toBe(updated.revision)
    })

    it('update() and delete() with an expected revision refuse another one and show the present version', async () => {
      await using store = await create({})
      const { revision } = await store.create(bytes('a'), bytes('1'))
      const conflict = { code: 'RevisionConflict', current: { value: bytes('1'), modRevision: revision } }
      await expect(store.update(bytes('a'), bytes('2'), { expectedRevision: revision - 1 })).rejects.toMatchObject(conflict)
      await expect(store.delete(bytes('a'), { expectedRevision: revision + 1 })).rejects.toMatchObject(conflict)
      await expectCode(store.update(bytes('b'), bytes('2'), { expectedRevision: revision }), 'RevisionConflict')
      expect((await store.update(bytes('a'), bytes('2'), { expectedRevision: revision })).revision).toBe(revision + 1)
      expect((await store.delete(bytes('a'), { expectedRevision: revision + 1 })).revision).toBe(revision + 2)
    })

    it('update() with expected revision 0 only creates', async () => {
      await using store = await create({})
      await store.update(bytes('a'), bytes('1'), { expectedRevision: 0 })
      await expectCode(store.update(bytes('a'), bytes('2'), { expectedRevision: 0 }), 'RevisionConflict')
    })

    it('delete() of a missing key writes nothing', async () => {
      await using store = await create({})
      const before = await store.currentRevision()
      const result = await store.delete(bytes('a'))
      expect(result).toEqual({ revision: before })
      expect(await store.currentRevision()).toBe(before)
    })

    it('delete() ends a life: the next create starts at version 1', async () => {
      await using store = await create({})
      await store.create(bytes('a'), bytes('1'))
      await store.update(bytes('a'), bytes('2'))
      const deleted = await store.delete(bytes('a'))
      expect(deleted.previous && text(deleted.previous.value)).toBe('2')
      expect((await store.get(bytes('a'))).item).toBeUndefined()
      const { revision } = await store.create(bytes('a'), bytes('3'))
      expect((await store.get(bytes('a'))).item).toMatchObject({ createRevision: revision, modRevision: revision, version: 1 })
    })

    it('a refused write takes no revision and touches no write beside it', async () => {
      await using store = await create({})
      const before = (await store.create(bytes('taken'), bytes('0'))).revision
      const results = await Promise.allSettled(
        Array.from({ length: 30 }, (_, index) => store.create(bytes(index % 3 === 0 ? 'taken' : `key-${index}`), bytes('1'))),
      )
      expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(10)
      const revisions = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.revision] : []))
      expect(revisions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => before + 1 + index))
    })

    it('of concurrent writes that expect the same revision exactly one is accepted', async () => {
      await using store = await create({})
      let { revision } = await store.create(bytes('a'), bytes('0'))
      for (let round = 0; round < 5; round++) {
        const results = await Promise.allSettled(
          Array.from({ length: 20 }, (_, index) => store.update(bytes('a'), bytes(`${index}`), { expectedRevision: revision })),
        )
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        revision++
      }
      expect((await store.get(bytes('a'))).item).toMatchObject({ modRevision: revision, version: 6 })
    })

    it('a read after an answered write sees it', async () => {
      await using store = await create({})
      await Promise.all(
        Array.from({ length: 8 }, async (_, client) => {
          const key = bytes(`key-${client}`)
          for (let round = 0; round < 20; round++) {
            const { revision } = await store.update(key, bytes(`${round}`))
            const read = await store.get(key)
            expect(read.item && text(read.item.value)).toBe(`${round}`)
            expect(read.revision).toBeGreaterThanOrEqual(revision)
            expect(await store.currentRevision()).toBeGreaterThanOrEqual(revision)
          }
        }),
      )
    })

    it('keys and values are any bytes, and an empty value is a value', async () => {
      await using store = await create({})
      const key = Uint8Array.of(0, 255, 10, 0, 128)
      const value = Uint8Array.from({ length: 256 }, (_, index) => index)
      await store.create(key, value)
      expect(Array.from((await store.get(key)).item?.value ?? [])).toEqual(Array.from(value))
      await store.update(key, new Uint8Array(0))
      expect((await store.get(key)).item).toMatchObject({ version: 2, value: { length: 0 } })
    })

    it('a request over the limit is refused with TooLarge, an empty key with InvalidArgument', async () => {
      await using store = await create({ limits: { maxRequestBytes: 1000 } })
      await store.create(bytes('a'), new Uint8Array(999))
      await expectCode(store.create(bytes('b'), new Uint8Array(1000)), 'TooLarge')
      await expectCode(store.create(bytes(''), bytes('1')), 'InvalidArgument')
      await expectCode(store.get(bytes('')), 'InvalidArgument')
      await expectCode(store.get(bytes('a'), { revision: 0.5 }), 'InvalidArgument')
    })
  })
}
