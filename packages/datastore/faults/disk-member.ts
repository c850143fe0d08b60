/** A process whose disk misbehaves: writers and a reader on a SQLite file; tells what they saw when its time is over. Usage: disk-member.ts SETTINGS, a {@link DiskSettings} as JSON */
import { rmSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import { checkHistory } from '../src/conformance/check-history.ts'
import { assembleHistory } from '../src/conformance/recorded.ts'
import type { RecordedEntry, Violation } from '../src/conformance/recorded.ts'
import { Recorder } from '../src/conformance/recorder.ts'
import { machineMoment } from './entries.ts'
import { readLog } from './read-log.ts'
import { quantile } from './report.ts'

export interface DiskSettings {
  readonly dsn: string
  readonly seconds: number
  readonly valueBytes: number
  /** A file to remove halfway, so that there is room again. */
  readonly ballast?: string | undefined
  readonly resultPath: string
}

export interface DiskResult {
  readonly written: number
  /** Answered after half of the time. */
  readonly writtenLate: number
  readonly slowestWriteMs: number
  readonly failures: Readonly<Record<string, number>>
  readonly reads: number
  readonly readP99Ms: number
  readonly slowestReadMs: number
  readonly failedReads: number
  readonly violations: readonly Violation[]
}

const settings = JSON.parse(process.argv[2] ?? '{}') as DiskSettings // what the run passes
const entries: RecordedEntry[] = []
const recorder = new Recorder({ now: machineMoment, emit: (entry) => entries.push(entry), valueBytes: settings.valueBytes })
const failures: Record<string, number> = {}
const reads: number[] = []
let [written, writtenLate, slowestWriteMs, failedReads] = [0, 0, 0, 0]
let store = await openDatastore(settings.dsn)
const start = await store.currentRevision()
const begin = performance.now()
const isOver = (): boolean => performance.now() - begin > settings.seconds * 1000
const isLate = (): boolean => performance.now() - begin > settings.seconds * 500
const server = { name: 'member', store }
const half = delay(settings.seconds * 500).then(() => {
  if (settings.ballast !== undefined) rmSync(settings.ballast)
})
await Promise.all([
  half,
  ...Array.from({ length: 8 }, async (_, writer) => {
    const client = recorder.client(`writer${writer}`, () => server)
    for (let write = 0; !isOver(); write++) {
      const called = performance.now()
      const answer = await client.write({
        conditions: [],
        changes: [{ type: 'put', key: `k${writer}.${write % 40}`, value: `${writer}.${write}` }],
      })
      slowestWriteMs = Math.max(slowestWriteMs, performance.now() - called)
      if (answer.type === 'written') {
        written++
        if (isLate()) writtenLate++
      } else {
        const reason = answer.type === 'unknown' ? answer.reason : answer.type
        failures[reason] = (failures[reason] ?? 0) + 1
      }
      await delay(settings.ballast === undefined ? 2 : 20)
    }
  }),
  (async () => {
    const client = recorder.client('reader', () => server)
    for (let read = 0; !isOver(); read++) {
      const called = performance.now()
      const answer = await client.read({ start: `k${read % 8}.${read % 40}` })
      reads.push(performance.now() - called)
      if (answer.type !== 'items') failedReads++
      await delay(10)
    }
  })(),
])
// What is there after a restart is what counts.
await store[Symbol.asyncDispose]()
store = await openDatastore(settings.dsn)
const readout = await readLog(store, start + 1)
const violations = checkHistory(assembleHistory(entries, { start: { revision: start, items: [] }, readout, leaseBoundMs: 0 }))
await store[Symbol.asyncDispose]()
const result: DiskResult = {
  written,
  writtenLate,
  slowestWriteMs,
  failures,
  reads: reads.length,
  readP99Ms: quantile(reads, 0.99),
  slowestReadMs: quantile(reads, 1),
  failedReads,
  violations,
}
writeFileSync(settings.resultPath, JSON.stringify(result))
