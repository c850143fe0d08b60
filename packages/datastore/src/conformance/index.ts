import { describe } from 'vitest'
import { describeCompaction } from './compaction.ts'
import { describeHistory } from './history.ts'
import { describeKeys } from './keys.ts'
import { describeLeases } from './leases.ts'
import { describeLifecycle } from './lifecycle.ts'
import { describeLists } from './lists.ts'
import { describeRestart } from './restart.ts'
import { describeRestore } from './restore.ts'
import type { DatastoreUnderTest } from './subject.ts'
import { describeTxns } from './txns.ts'
import { describeWatches } from './watches.ts'

export { checkHistory } from './check-history.ts'
export { assembleHistory } from './recorded.ts'
export type {
  HistoryFrame,
  Moment,
  Problem,
  RecordedAnswer,
  RecordedChange,
  RecordedDelivery,
  RecordedEntry,
  RecordedEvent,
  RecordedHistory,
  RecordedItem,
  RecordedOperation,
  RecordedRange,
  RecordedRequest,
  RecordedWatch,
  RecordedWrite,
  Violation,
} from './recorded.ts'
export { Recorder, RecordingClient } from './recorder.ts'
export type { FollowOptions, RecorderOptions, ServerHandle } from './recorder.ts'
export type { DatastoreUnderTest, SubjectOptions } from './subject.ts'

/**
 * Declares the tests that every datastore passes, as a vitest suite called `name`. They are the invariants of SPEC.md.
 *
 * ```
 * describeDatastore('memory', { create: (options) => openDatastore('memory:', options), supports: { restart: false, clock: true } })
 * ```
 */
export function describeDatastore(name: string, subject: DatastoreUnderTest): void {
  const { restart } = subject.supports
  const suites = [
    describeKeys,
    describeLists,
    describeTxns,
    describeWatches,
    describeCompaction,
    describeLeases,
    describeHistory,
    describeLifecycle,
    ...(restart ? [describeRestart] : []),
    ...(subject.restore === undefined ? [] : [describeRestore]),
  ]
  describe(name, () => {
    for (const declare of suites) declare(subject)
  })
}
