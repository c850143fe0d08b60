import { configmaps } from '@k3s/api/types/core/v1'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CachedObject } from './cached-object.ts'
import { SortedObjects } from './sorted-objects.ts'
import { storedResource } from './stored-resource.ts'

const resource = storedResource(configmaps)
const objectOf = (key: string, revision: number): CachedObject => new CachedObject(resource, key, revision, Buffer.from('{}'))

describe('SortedObjects', () => {
  it('lists, counts and finds as a plain sorted list does, whatever came and went', () => {
    const key = fc.tuple(fc.constantFrom('a', 'b', 'b-c', 'c'), fc.nat(3000)).map(([namespace, name]) => `${namespace}/${name}`)
    const changes = fc.array(fc.tuple(key, fc.boolean()), { minLength: 1, maxLength: 4000, size: 'max' })
    fc.assert(
      fc.property(changes, key, fc.nat(1500), (many, start, limit) => {
        const objects = new SortedObjects()
        const model = new Map<string, CachedObject>()
        for (const [revision, [name, isDeletion]] of many.entries()) {
          const object = objectOf(name, revision)
          const previous = isDeletion ? objects.delete(name) : objects.set(object)
          expect(previous).toBe(model.get(name))
          if (isDeletion) model.delete(name)
          else model.set(name, object)
        }
        for (const prefix of ['', 'a/', 'b/', 'c/', 'd/']) {
          const expected = [...model.keys()].filter((name) => name.startsWith(prefix) && name >= start).toSorted(byCode)
          expect(objects.slice(prefix, start).map((object) => object.key)).toEqual(expected)
          expect(objects.slice(prefix, start, limit).map((object) => object.key)).toEqual(expected.slice(0, limit))
          expect(objects.count(prefix, start)).toBe(expected.length)
        }
        expect(objects.size).toBe(model.size)
        for (const [name, object] of model) expect(objects.get(name)).toBe(object)
      }),
      { numRuns: 20 },
    )
  })

  it('holds many objects that came in order and in reverse', () => {
    const names = Array.from({ length: 5000 }, (_, at) => `a/${String(at).padStart(5, '0')}`)
    for (const order of [names, names.toReversed()]) {
      const objects = new SortedObjects()
      for (const name of order) objects.set(objectOf(name, 1))
      expect(objects.slice('').map(({ key }) => key)).toEqual(names)
      for (const name of order) objects.delete(name)
      expect(objects.slice('')).toEqual([])
      expect(objects.size).toBe(0)
    }
  })
})

function byCode(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
