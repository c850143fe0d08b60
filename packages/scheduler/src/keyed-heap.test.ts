import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyedHeap } from './keyed-heap.ts'

interface Item {
  readonly key: string
  readonly rank: number
}

const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g')
const step = fc.oneof(
  fc.record({ do: fc.constant('push' as const), key: keys, rank: fc.nat(20) }),
  fc.record({ do: fc.constant('delete' as const), key: keys }),
  fc.record({ do: fc.constant('pop' as const) }),
)

describe('KeyedHeap', () => {
  it('is a sorted list of distinct keys, whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new KeyedHeap<Item>(
          ({ key }) => key,
          (a, b) => a.rank < b.rank,
        )
        const model = new Map<string, number>()
        const removals: (readonly [number | undefined, number | undefined])[] = []
        for (const action of steps) {
          const least = model.size === 0 ? undefined : Math.min(...model.values())
          if (action.do === 'push') {
            heap.push(action)
            model.set(action.key, action.rank)
          } else {
            const removed = action.do === 'delete' ? heap.delete(action.key) : heap.pop()
            const expected = action.do === 'delete' ? model.get(action.key) : least
            removals.push([removed?.rank, expected])
            model.delete(removed?.key ?? '')
          }
          expect(heap.size).toBe(model.size)
          for (const [key, rank] of model) expect(heap.get(key)?.rank).toBe(rank)
        }
        for (const [removed, expected] of removals) expect(removed).toBe(expected)
      }),
    )
  })
})
