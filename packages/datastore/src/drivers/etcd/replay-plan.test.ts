import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planReplay } from './replay-plan.ts'
import type { ReplayItem, ReplayPut } from './replay-plan.ts'

/** What etcd would hold after the plan's writes; the revision of each is counted, not taken from the plan. */
function perform(
  items: readonly ReplayItem[],
  revision: number,
): { readonly revision: number; readonly items: ReplayItem[]; readonly puts: number[] } {
  const state: ReplayItem[] = items.map(() => ({ createRevision: 0, modRevision: 0, version: 0 }))
  const puts: number[] = []
  let at = 1
  const put = ({ index, versionBefore, isLast }: ReplayPut): void => {
    const before = state[index]
    expect(before?.version).toBe(versionBefore)
    expect(isLast).toBe(versionBefore + 1 === items[index]?.version)
    state[index] = { createRevision: versionBefore === 0 ? at : (before?.createRevision ?? 0), modRevision: at, version: versionBefore + 1 }
  }
  for (const step of planReplay(items, revision)) {
    if (step.type === 'filler') {
      expect(step.from).toBe(at + 1)
      expect(step.through).toBeGreaterThanOrEqual(step.from)
      at = step.through
      continue
    }
    expect(step.revision).toBe(++at)
    expect(new Set(step.puts.map(({ index }) => index)).size).toBe(step.puts.length)
    for (const one of step.puts) put(one)
    puts.push(step.puts.length)
  }
  return { revision: at, items: state, puts }
}

const item = (revision: number): fc.Arbitrary<ReplayItem> =>
  fc.tuple(fc.integer({ min: 2, max: revision }), fc.integer({ min: 2, max: revision }), fc.nat(revision)).map(([a, b, version]) => {
    const [createRevision, modRevision] = [Math.min(a, b), Math.max(a, b)]
    const writes = modRevision - createRevision + 1
    return { createRevision, modRevision, version: writes === 1 ? 1 : Math.min(writes, 2 + version) }
  })
const state = fc
  .integer({ min: 2, max: 60 })
  .chain((revision) => fc.record({ revision: fc.constant(revision), items: fc.array(item(revision), { maxLength: 300 }) }))

describe('planReplay()', () => {
  it('gives every item its revisions and version, and the store its revision', () => {
    fc.assert(
      fc.property(state, ({ revision, items }) => {
        const done = perform(items, revision)
        expect(done.items).toEqual(items)
        expect(done.revision).toBe(revision)
      }),
    )
  })

  it('writes as its example says', () => {
    const items = [
      { createRevision: 3, modRevision: 6, version: 3 },
      { createRevision: 4, modRevision: 4, version: 1 },
    ]
    const shown = [...planReplay(items, 8)].map((step) =>
      step.type === 'filler' ? `${step.from}–${step.through}` : `${step.revision}: ${step.puts.map(({ index }) => 'ab'[index]).join('')}`,
    )
    expect(shown).toEqual(['2–2', '3: a', '4: ab', '5–5', '6: a', '7–8'])
  })

  it('spreads versions in between over revisions, within the limit of operations', () => {
    const items = Array.from({ length: 1000 }, () => ({ createRevision: 2, modRevision: 5000, version: 50 }))
    const { puts } = perform(items, 5000)
    expect(puts[0]).toBe(1000)
    expect(Math.max(...puts.slice(1, -1))).toBe(100)
  })

  it('is quick about a history of millions with few keys', () => {
    const items = [{ createRevision: 1_000_000, modRevision: 5_000_000, version: 3 }]
    expect([...planReplay(items, 10_000_000)]).toHaveLength(6)
  })
})
