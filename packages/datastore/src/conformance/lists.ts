import { describe, expect, it } from 'vitest'
import type { Datastore } from '../contract.ts'
import { bytes, everything, expectCode, prefix, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

async function fill(store: Datastore, keys: readonly string[]): Promise<number> {
  let revision = 0
  for (const key of keys) ({ revision } = await store.create(bytes(key), bytes(`value of ${key}`)))
  return revision
}

export function describeLists({ create }: DatastoreUnderTest): void {
  describe('lists', () => {
    it('list() gives the range in byte order of the keys, its end excluded', async () => {
      await using store = await create({})
      await fill(store, ['b/2', 'a', 'b', 'b/10', 'b0', 'c', 'b/\u00e9'])
      const keys = async (range: Parameters<Datastore['list']>[0]): Promise<string[]> =>
        (await store.list(range)).items.map(({ key }) => text(key))
      expect(await keys(prefix('b/'))).toEqual(['b/10', 'b/2', 'b/\u00e9'])
      expect(await keys({ start: bytes('b'), end: bytes('c') })).toEqual(['b', 'b/10', 'b/2', 'b/\u00e9', 'b0'])
      expect(await keys({ start: bytes('b0'), end: new Uint8Array(0) })).toEqual(['b0', 'c'])
      expect(await keys({ start: bytes('b') })).toEqual(['b'])
      expect(await keys({ start: bytes('x') })).toEqual([])
      expect(await keys({ start: bytes('c'), end: bytes('a') })).toEqual([])
    })

    it('list() with a limit tells the count of all and that more are left', async () => {
      await using store = await create({})
      await fill(store, ['a', 'b', 'c', 'd'])
      expect(await store.list(everything, { limit: 3 })).toMatchObject({ items: { length: 3 }, count: 4, more: true })
      expect(await store.list(everything, { limit: 4 })).toMatchObject({ items: { length: 4 }, count: 4, more: false })
      expect(await store.list(everything, { countOnly: true })).toMatchObject({ items: { length: 0 }, count: 4, more: false })
      const { items } = await store.list(everything, { keysOnly: true })
      expect(items.map(({ key, value }) => [text(key), value.length])).toEqual([
        ['a', 0],
        ['b', 0],
        ['c', 0],
        ['d', 0],
      ])
    })

    it('list() at a revision gives exactly the state of that revision', async () => {
      await using store = await create({})
      const first = await fill(store, ['a', 'b', 'c'])
      await store.update(bytes('b'), bytes('new'))
      await store.delete(bytes('a'))
      await store.create(bytes('d'), bytes('late'))
      await store.update(bytes('b'), bytes('newer'))
      const second = (await store.create(bytes('a'), bytes('again'))).revision
      const then = await store.list(everything, { revision: first })
      expect(then.items.map(({ key, value }) => `${text(key)}: ${text(value)}`)).toEqual([
        'a: value of a',
        'b: value of b',
        'c: value of c',
      ])
      expect(then).toMatchObject({ revision: second, count: 3, more: false })
      expect(await store.list(everything, { revision: first, limit: 2 })).toMatchObject({ items: { length: 2 }, count: 3, more: true })
      expect(await store.list(everything, { revision: first, countOnly: true })).toMatchObject({ count: 3 })
      expect((await store.get(bytes('d'), { revision: first })).item).toBeUndefined()
      expect(text((await store.get(bytes('b'), { revision: first + 1 })).item?.value ?? bytes(''))).toBe('new')
      expect((await store.get(bytes('a'), { revision: first + 2 })).item).toBeUndefined()
      expect((await store.list(everything, { revision: second })).count).toBe(4)
    })

    it('reading above the newest revision fails with FutureRevision', async () => {
      await using store = await create({})
      const revision = await fill(store, ['a'])
      await expect(store.list(everything, { revision: revision + 1 })).rejects.toMatchObject({ code: 'FutureRevision', revision })
      await expectCode(store.get(bytes('a'), { revision: revision + 1 }), 'FutureRevision')
    })

    it('a large list is complete and of one state while writers go on', async () => {
      await using store = await create({})
      const value = new Uint8Array(2000)
      const count = 1000
      await Promise.all(Array.from({ length: count }, (_, index) => store.create(bytes(`key-${index}`), value)))
      const writing = Promise.all(Array.from({ length: 200 }, (_, index) => store.update(bytes(`key-${index}`), value)))
      const list = await store.list(everything)
      await writing
      expect(list).toMatchObject({ count, more: false, items: { length: count } })
      expect(Math.max(...list.items.map(({ modRevision }) => modRevision))).toBeLessThanOrEqual(list.revision)
      const again = await store.list(everything, { revision: list.revision })
      expect(again.items.map(({ modRevision }) => modRevision)).toEqual(list.items.map(({ modRevision }) => modRevision))
    })
  })
}
