import type { Pod } from '@k3s/api/types/core/v1'
import { greatestOf } from '@k3s/lifecycle'
import { countedFailuresOf, finishedAtMs, ignoredFailuresOf } from './pod-facts.ts'

// Upstream's DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff.
const firstDelayMs = 10_000
const maxDelayMs = 600_000

/** Failures of a Job's pods since the last success. */
export interface FailureStreak {
  readonly failures: number
  readonly lastFailureMs: number
}

export const noFailures: FailureStreak = { failures: 0, lastFailureMs: 0 }

/** The streak after pods that have ended since it was last brought up to date. */
export function nextStreak(streak: FailureStreak, succeeded: readonly Pod[], failed: readonly Pod[]): FailureStreak {
  const lastSuccessMs = succeeded.length === 0 ? -Infinity : greatestOf(succeeded.map(finishedAtMs))
  const later = failed.map(finishedAtMs).filter((end) => end > lastSuccessMs)
  const before = succeeded.length === 0 ? streak : noFailures
  return later.length === 0 ? before : { failures: before.failures + later.length, lastFailureMs: greatestOf(later) }
}

/** How long the next pod has to wait, in milliseconds: 10 s after the first failure, doubling up to 10 minutes. */
export function remainingDelayMs({ failures, lastFailureMs }: FailureStreak, nowMs: number): number {
  if (failures === 0) return 0
  return Math.max(0, lastFailureMs + Math.min(maxDelayMs, firstDelayMs * 2 ** (failures - 1)) - nowMs)
}

/** The streak that a failed pod of an index with its own back-off stands for. */
export function streakOfIndex(last: Pod | undefined): FailureStreak {
  if (last === undefined) return noFailures
  return { failures: countedFailuresOf(last) + ignoredFailuresOf(last) + 1, lastFailureMs: finishedAtMs(last) }
}
