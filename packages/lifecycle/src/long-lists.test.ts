import { expect, it } from 'vitest'
import { append, greatestOf, leastOf } from './long-lists.ts'

const long = Array.from({ length: 500_000 }, (_, index) => index)

it('append() takes lists that are too long to be arguments of a call', () => {
  expect(() => [].push(...(long as never[]))).toThrow(RangeError)
  const target = [-1]
  append(target, long, new Set([7]))
  expect(target).toHaveLength(500_002)
  expect([target[0], target[1], target.at(-1)]).toEqual([-1, 0, 7])
})

it('leastOf() and greatestOf() know the ends of long lists, and of none', () => {
  expect([leastOf(long), greatestOf(long)]).toEqual([0, 499_999])
  expect([leastOf([]), greatestOf([])]).toEqual([Infinity, -Infinity])
})
