import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatPath,
  hasPath,
  intersectSets,
  isEmptySet,
  isSameSet,
  keyElement,
  pathsOf,
  SetBuilder,
  sortSet,
  subtractSet,
  subtractTrees,
  unionSets,
  type FieldSet,
} from './field-set.ts'

const path = fc.array(fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'v:1'), { minLength: 1, maxLength: 4 })
const paths = fc.array(path, { maxLength: 8 })
const setOf = (list: readonly (readonly string[])[]): FieldSet => {
  const builder = new SetBuilder()
  for (const item of list) builder.add(item)
  return builder.set
}
const listOf = (set: FieldSet): string[] => [...pathsOf(set)].map((item) => item.join('/')).toSorted()
const flat = (list: readonly (readonly string[])[]): string[] => [...new Set(list.map((item) => item.join('/')))].toSorted()

describe('field sets', () => {
  it('take very many paths in time that grows with their number only', () => {
    // Minutes, more than a test may take, when each path looked at all before it.
    const all = setOf(Array.from({ length: 100_000 }, (_, index) => ['f:data', `f:k${index}`]))
    expect(Object.keys(all['f:data'] ?? {})).toHaveLength(100_000)
  })

  it('hold exactly the paths that were added', () => {
    fc.assert(
      fc.property(paths, (list) => {
        expect(listOf(setOf(list))).toEqual(flat(list))
      }),
    )
  })

  it('combine as sets of paths do', () => {
    fc.assert(
      fc.property(paths, paths, (left, right) => {
        const [a, b] = [setOf(left), setOf(right)]
        const before = JSON.stringify([a, b])
        const [l, r] = [flat(left), flat(right)]
        expect(listOf(unionSets(a, b))).toEqual([...new Set([...l, ...r])].toSorted())
        expect(listOf(subtractSet(a, b))).toEqual(l.filter((item) => !r.includes(item)))
        expect(listOf(intersectSets(a, b))).toEqual(l.filter((item) => r.includes(item)))
        expect(listOf(subtractTrees(a, b))).toEqual(l.filter((item) => !r.some((root) => item === root || item.startsWith(`${root}/`))))
        expect(isSameSet(a, b)).toBe(l.join() === r.join())
        expect(isEmptySet(subtractSet(a, a))).toBe(true)
        expect(JSON.stringify([a, b])).toBe(before)
      }),
    )
  })

  it('answer with the same set when nothing changes', () => {
    fc.assert(
      fc.property(paths, paths, (left, right) => {
        const [a, b] = [setOf(left), setOf(right)]
        expect(unionSets(a, intersectSets(a, b))).toBe(a)
        expect(subtractSet(a, subtractSet(b, a))).toBe(a)
      }),
    )
  })

  it('sort as upstream does and print as messages have it', () => {
    const set = setOf([['f:b'], ['f:a', keyElement({ protocol: 'TCP', containerPort: 80 }), 'f:x'], ['f:a'], ['f:a', 'v:"x"']])
    expect(JSON.stringify(sortSet(set))).toBe(
      '{"f:a":{".":{},"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{"f:x":{}},"v:\\"x\\"":{}},"f:b":{}}',
    )
    expect([...pathsOf(set)].map(formatPath)).toEqual(['.a', '.b', '.a[="x"]', '.a[containerPort=80,protocol="TCP"].x'])
    expect(hasPath(set, ['f:a'])).toBe(true)
    expect(hasPath(set, ['f:a', 'k:{"containerPort":80,"protocol":"TCP"}'])).toBe(false)
  })
})
