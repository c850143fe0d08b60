import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WatchEvent } from '../../contract.ts'
import { RevisionAssembler, RevisionGap } from './revisions.ts'

const event = (revision: number, index: number): WatchEvent => ({
  type: 'put',
  item: { key: Uint8Array.of(index), value: new Uint8Array(0), createRevision: revision, modRevision: revision, version: 1, leaseId: 0n },
})

describe('RevisionAssembler', () => {
  it('gives whole revisions, wherever their events were cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 20 }),
        fc.infiniteStream(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.boolean())),
        (sizes, cuts) => {
          const events = sizes.flatMap((size, index) => Array.from({ length: size }, (_, part) => event(10 + index, part)))
          const assembler = new RevisionAssembler(10)
          const seen: [number, number][] = []
          for (let at = 0; at < events.length;) {
            const [wanted, endsHere] = cuts.next().value ?? [1, false]
            const length = Math.min(wanted, events.length - at)
            const isWhole = events[at + length - 1]?.item.modRevision !== events[at + length]?.item.modRevision
            // A watch's answer that is not a fragment ends with a revision.
            const done = assembler.push(events.slice(at, at + length), !(isWhole && (endsHere || at + length >= events.length)))
            for (const { revision, events } of done) seen.push([revision, events.length])
            at += length
          }
          expect(seen).toEqual(sizes.map((size, index) => [10 + index, size]))
        },
      ),
    )
  })

  it('fills what is missing before the first event of a new watch, where the log has nothing', () => {
    expect(new RevisionAssembler(3).push([event(5, 0)], false).map(({ revision, events }) => [revision, events.length])).toEqual([
      [3, 0],
      [4, 0],
      [5, 1],
    ])
  })

  it('refuses a later gap, and what came before', () => {
    const assembler = new RevisionAssembler(3)
    assembler.push([event(3, 0)], false)
    expect(() => assembler.push([event(5, 0)], false)).toThrow(RevisionGap)
    expect(() => new RevisionAssembler(3).push([event(2, 0)], false)).toThrow(RevisionGap)
  })

  it('does not lose an answer without events', () => {
    const assembler = new RevisionAssembler(3)
    assembler.push([event(3, 0)], true)
    expect(assembler.push([], false)).toHaveLength(1)
  })
})
