import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/conformance/check-history.ts'
import type { Problem } from '../../src/conformance/recorded.ts'
import { memoryDisk, sharedDisk } from './disks.ts'
import * as plants from './plants.ts'
import { runWorkload } from './workload.ts'

/** Few enough to be quick; each fault shows in the first few. */
const seeds = Array.from({ length: 10 }, (_, index) => index + 1)

interface Planted {
  readonly fault: string
  readonly plant: () => plants.Plant
  readonly invariant: string
  readonly problem: Problem
}

const faults: readonly Planted[] = [
  { fault: 'an acknowledged write lost in a crash', plant: () => plants.losesNewestInCrash(2), invariant: 'W7', problem: 'lost write' },
  { fault: 'a revision that goes back after a restart', plant: plants.forgetsRevisionOfDeletions, invariant: 'D1', problem: 'wrong order' },
  {
    fault: 'an event lost when a slow watcher re-reads the log',
    plant: plants.losesFirstEventOfFurtherPages,
    invariant: 'E1',
    problem: 'lost event',
  },
  { fault: 'an event doubled after a reconnect', plant: () => plants.resumesWatchesAt(0), invariant: 'E1', problem: 'doubled event' },
  { fault: "two servers' events out of order", plant: plants.delaysForeignEvents, invariant: 'E1', problem: 'reordered event' },
  { fault: 'an event seen before its write can be read', plant: plants.delaysVisibility, invariant: 'E4', problem: 'early event' },
  { fault: 'a delete event lost around compaction', plant: plants.dropsDeletionsWhenCompacting, invariant: 'C2', problem: 'lost event' },
  { fault: 'a stale read after an acknowledged write', plant: plants.readsFromReplica, invariant: 'R1', problem: 'stale read' },
  { fault: 'two conditional writes that both succeed', plant: plants.checksBeforeItWrites, invariant: 'W3', problem: 'unjustified write' },
  { fault: 'a lease that expires early', plant: plants.endsLeasesEarly, invariant: 'L1', problem: 'wrong lease' },
  { fault: 'a lease that never expires', plant: plants.endsNoLeases, invariant: 'L1', problem: 'wrong lease' },
  { fault: 'a lease that a restart starts anew', plant: plants.startsLeasesAnew, invariant: 'L1', problem: 'wrong lease' },
]

describe('the workload and its checker find, when planted,', () => {
  it.for(faults)('$fault ($invariant)', async ({ plant, invariant, problem }) => {
    const found: string[] = []
    for (const seed of seeds) {
      const violations = checkHistory(await runWorkload({ disk: memoryDisk(), seed, ...plant() }))
      if (violations.some((violation) => violation.invariant === invariant && violation.problem === problem)) return
      found.push(...violations.map((violation) => `${violation.invariant} ${violation.problem}`))
    }
    expect(found).toContain(`${invariant} ${problem}`)
  })

  it.for([
    { sound: 'a datastore in memory', plant: (): plants.Plant => ({}) },
    { sound: 'two servers of one log', plant: (): plants.Plant => ({ disk: sharedDisk(), servers: 2 }) },
    { sound: 'a log that is replayed whole after a crash', plant: () => plants.losesNewestInCrash(0) },
    { sound: 'watches that resume after what they had', plant: () => plants.resumesWatchesAt(1) },
  ])('nothing in $sound', async ({ plant }) => {
    for (const seed of seeds) expect(checkHistory(await runWorkload({ disk: memoryDisk(), seed, ...plant() }))).toEqual([])
  })
})
