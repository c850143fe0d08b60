import { describe, expect, it } from 'vitest'
import { firstFree, formatIndexes, mergeIndexes, parseIndexes } from './indexes.ts'

describe('indexes', () => {
  it.each([
    ['', 5, []],
    ['0', 5, [0]],
    ['1,3-5,7', 10, [1, 3, 4, 5, 7]],
    ['1,3-5,7', 5, [1, 3, 4]],
    ['x,2', 5, [2]],
  ])('parseIndexes(%j) of %i completions', (text, completions, indexes) => {
    expect(parseIndexes(text, completions)).toEqual(indexes)
  })

  it.each([
    [[], ''],
    [[4], '4'],
    [[0, 1], '0,1'],
    [[0, 1, 2, 5, 7, 8], '0-2,5,7,8'],
  ])('formatIndexes(%j)', (indexes, text) => {
    expect(formatIndexes(indexes)).toBe(text)
  })

  it('merges and finds free ones in order', () => {
    expect(mergeIndexes([1, 5], [3, 1])).toEqual([1, 3, 5])
    expect(firstFree(2, 10, new Set([0, 2]))).toEqual([1, 3])
  })
})
