import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/conformance/check-history.ts'
import { memoryDisk, sqliteDisk } from './disks.ts'
import { runWorkload } from './workload.ts'

const parameters = fc.record({
  seed: fc.integer(),
  clients: fc.integer({ min: 1, max: 8 }),
  crashProbability: fc.constantFrom(0, 0.02, 0.1),
  pageBytes: fc.constantFrom(1, 100, 1000),
  valueBytes: fc.constantFrom(0, 0, 60_000),
})

describe('under crashes, delays, compaction and slow watchers, every history is right', () => {
  it('of a log in memory', async () => {
    await fc.assert(
      fc.asyncProperty(parameters, async (options) => {
        expect(checkHistory(await runWorkload({ ...options, disk: memoryDisk() }))).toEqual([])
      }),
      { numRuns: 25 },
    )
  })

  it('of a SQLite file', async () => {
    await fc.assert(
      fc.asyncProperty(parameters, async (options) => {
        expect(checkHistory(await runWorkload({ ...options, disk: sqliteDisk() }))).toEqual([])
      }),
      { numRuns: 6 },
    )
  })
})
