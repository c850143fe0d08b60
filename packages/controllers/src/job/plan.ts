import type { Job } from '@k3s/api/types/batch/v1'
import type { Pod } from '@k3s/api/types/core/v1'
import { leastOf } from '@k3s/lifecycle'
import { byDeletionOrder, isPodActive, isPodTerminating } from '../kit/pods.ts'
import { nextStreak, remainingDelayMs, streakOfIndex, type FailureStreak } from './backoff.ts'
import { judgeFailure } from './failure-policy.ts'
import { firstFree, mergeIndexes, parseIndexes, type Indexes } from './indexes.ts'
import {
  completionIndexOf,
  completionsOf,
  countedFailuresOf,
  finishedAtMs,
  hasLimitPerIndex,
  ignoredFailuresOf,
  isIndexed,
  isPodFailed,
  isSuspended,
  isTracked,
  parallelismOf,
  uidOf,
  waitsForFailure,
} from './pod-facts.ts'
import { judgeJob, untilDeadlineMs, type Verdict } from './verdict.ts'

// Upstream's MaxPodCreateDeletePerSync.
const maxPodsPerStep = 500

export interface JobInput {
  readonly job: Job
  /** Pods that the Job controls, ended ones too. */
  readonly pods: readonly Pod[]
  /** Uids of pods whose tracking finalizer was removed though `pods` may not show it yet. */
  readonly released: ReadonlySet<string>
  /** False while earlier creations or deletions may be missing from `pods`: then none are planned. */
  readonly isCurrent: boolean
  readonly streak: FailureStreak
  readonly nowMs: number
}

/** A pod to create. */
export interface PodOrder {
  /** Indexed Jobs only. */
  readonly index: number | undefined
  /** Failures of the index so far; Jobs with a limit for each index only. */
  readonly failures: { readonly counted: number; readonly ignored: number } | undefined
}

export interface JobPlan {
  /** Set when the Job must end: `remove` then has all active pods. */
  readonly verdict: Verdict | undefined
  /** To delete; they count as failed. */
  readonly remove: readonly Pod[]
  /** To delete without counting them: too many, or the Job is suspended. */
  readonly discard: readonly Pod[]
  readonly create: readonly PodOrder[]
  readonly active: readonly Pod[]
  readonly terminating: readonly Pod[]
  readonly succeeded: number
  /** Indexed Jobs only. */
  readonly succeededIndexes: Indexes | undefined
  readonly failedIndexes: Indexes | undefined
  /** Failed pods that stay until their replacement has taken over their count of failures, by index. */
  readonly held: ReadonlyMap<number, Pod>
  readonly streak: FailureStreak
  /** When to plan again though nothing changes, in milliseconds. */
  readonly againMs: number | undefined
}

/** Decides which pods a Job needs, and whether it must end. `job.status.startTime` must be set unless it is suspended. */
export function planJob(input: JobInput): JobPlan {
  const { job, pods, nowMs } = input
  const completions = completionsOf(job)
  const active = pods.filter(isPodActive)
  const terminating = pods.filter(isPodTerminating)
  const countable = countablePods(input)
  const uncounted = job.status?.uncountedTerminatedPods
  const newlySucceeded = countable.filter((pod) => pod.status?.phase === 'Succeeded' && !uncounted?.succeeded?.includes(uidOf(pod)))
  const newlyFailed = countable.filter((pod) => isPodFailed(job, pod) && !uncounted?.failed?.includes(uidOf(pod)))
  const counting = newlyFailed.filter((pod) => judgeFailure(job.spec.podFailurePolicy, pod).action !== 'Ignore')
  const failed = (job.status?.failed ?? 0) + counting.length + (uncounted?.failed?.length ?? 0)
  const indexesOf = (some: readonly Pod[]): number[] =>
    some.map((pod) => completionIndexOf(pod, completions)).filter((index) => index !== undefined)
  const succeededIndexes = isIndexed(job)
    ? mergeIndexes(
        parseIndexes(job.status?.completedIndexes, completions),
        indexesOf(countable.filter((pod) => pod.status?.phase === 'Succeeded')),
      )
    : undefined
  const failedIndexes = hasLimitPerIndex(job)
    ? mergeIndexes(parseIndexes(job.status?.failedIndexes, completions), indexesOf(countable.filter((pod) => failsIndex(job, pod))))
    : undefined
  const succeeded = succeededIndexes?.length ?? (job.status?.succeeded ?? 0) + newlySucceeded.length + (uncounted?.succeeded?.length ?? 0)
  const held =
    failedIndexes === undefined ? new Map<number, Pod>() : heldPods(job, countable, active, succeededIndexes ?? [], failedIndexes)
  const streak = nextStreak(input.streak, newlySucceeded, newlyFailed)
  const facts = { verdict: undefined, active, terminating, succeeded, succeededIndexes, failedIndexes, held, streak }
  const nothing = { ...facts, remove: [], discard: [], create: [], againMs: untilDeadlineMs(job, nowMs) }
  const verdict = judgeJob({ job, pods, failed, succeededIndexes, failedIndexes, nowMs })
  if (verdict !== undefined) return { ...nothing, verdict, remove: active, againMs: undefined }
  if (!input.isCurrent || job.metadata.deletionTimestamp !== undefined) return nothing
  if (isSuspended(job)) return { ...nothing, discard: active }
  const wanted = wantedPods(job, active.length, succeeded)
  const surplus = surplusPods(job, active, Math.max(0, active.length - wanted), nowMs)
  if (surplus.length > 0) return { ...nothing, discard: surplus.slice(0, maxPodsPerStep) }
  const missing = Math.min(maxPodsPerStep, wanted - active.length - (waitsForFailure(job) ? terminating.length : 0))
  if (missing <= 0) return nothing
  const { create, waitMs } = ordersFor(nothing, job, missing, nowMs)
  const waits = [nothing.againMs, waitMs].filter((wait) => wait !== undefined)
  return { ...nothing, create, againMs: waits.length === 0 ? undefined : leastOf(waits) }
}

/** Pods that have the finalizer still and, of an Indexed Job, an index that it has. */
function countablePods({ job, pods, released }: Pick<JobInput, 'job' | 'pods' | 'released'>): readonly Pod[] {
  return pods.filter(
    (pod) => isTracked(pod) && !released.has(uidOf(pod)) && (!isIndexed(job) || completionIndexOf(pod, completionsOf(job)) !== undefined),
  )
}

function failsIndex(job: Job, pod: Pod): boolean {
  if (!isPodFailed(job, pod)) return false
  const { action } = judgeFailure(job.spec.podFailurePolicy, pod)
  return action === 'FailIndex' || (action !== 'Ignore' && countedFailuresOf(pod) >= (job.spec.backoffLimitPerIndex ?? 0))
}

/** The last failed pod of each index that needs another try. */
function heldPods(
  job: Job,
  countable: readonly Pod[],
  active: readonly Pod[],
  succeededIndexes: Indexes,
  failedIndexes: Indexes,
): ReadonlyMap<number, Pod> {
  const completions = completionsOf(job)
  const settled = new Set<number | undefined>([
    ...succeededIndexes,
    ...failedIndexes,
    ...active.map((pod) => completionIndexOf(pod, completions)),
  ])
  const held = new Map<number, Pod>()
  const tries = (pod: Pod): number => countedFailuresOf(pod) + ignoredFailuresOf(pod)
  for (const pod of countable) {
    const index = completionIndexOf(pod, completions)
    if (index === undefined || settled.has(index) || !isPodFailed(job, pod)) continue
    const other = held.get(index)
    if (other === undefined || (tries(other) <= tries(pod) && finishedAtMs(other) <= finishedAtMs(pod))) held.set(index, pod)
  }
  return held
}

function wantedPods(job: Job, active: number, succeeded: number): number {
  // Without a number of completions, the first success ends the Job: those that run may finish.
  if (job.spec.completions === undefined) return succeeded > 0 ? active : parallelismOf(job)
  return Math.max(0, Math.min(parallelismOf(job), job.spec.completions - succeeded))
}

/** Active pods that must go: those of an index that another one works on or that the Job does not have, and others to make up `atLeast`. */
function surplusPods(job: Job, active: readonly Pod[], atLeast: number, nowMs: number): readonly Pod[] {
  const ordered = active.toSorted(byDeletionOrder(new Map(), nowMs))
  if (!isIndexed(job)) return ordered.slice(0, atLeast)
  const seen = new Set<number>()
  const doubled = ordered.toReversed().filter((pod) => {
    const index = completionIndexOf(pod, completionsOf(job))
    if (index === undefined || seen.has(index)) return true
    seen.add(index)
    return false
  })
  const others = ordered.filter((pod) => !doubled.includes(pod))
  return [...doubled, ...others.slice(0, Math.max(0, atLeast - doubled.length))]
}

function ordersFor(
  facts: Pick<JobPlan, 'active' | 'terminating' | 'succeededIndexes' | 'failedIndexes' | 'held' | 'streak'>,
  job: Job,
  missing: number,
  nowMs: number,
): { readonly create: readonly PodOrder[]; readonly waitMs: number | undefined } {
  if (!hasLimitPerIndex(job)) {
    const waitMs = remainingDelayMs(facts.streak, nowMs)
    if (waitMs > 0) return { create: [], waitMs }
  }
  if (!isIndexed(job))
    return { create: Array.from({ length: missing }, () => ({ index: undefined, failures: undefined })), waitMs: undefined }
  const completions = completionsOf(job)
  const busy = [...facts.active, ...(waitsForFailure(job) ? facts.terminating : [])].map((pod) => completionIndexOf(pod, completions))
  const taken = new Set<number>(busy.filter((index) => index !== undefined))
  for (const index of [...(facts.succeededIndexes ?? []), ...(facts.failedIndexes ?? [])]) taken.add(index)
  const free = firstFree(missing, completions, taken)
  if (!hasLimitPerIndex(job)) return { create: free.map((index) => ({ index, failures: undefined })), waitMs: undefined }
  const waits = new Map(free.map((index) => [index, remainingDelayMs(streakOfIndex(facts.held.get(index)), nowMs)]))
  const create = free
    .filter((index) => waits.get(index) === 0)
    .map((index) => ({ index, failures: failuresAfter(job, facts.held.get(index)) }))
  const waiting = [...waits.values()].filter((wait) => wait > 0)
  return { create, waitMs: waiting.length === 0 ? undefined : leastOf(waiting) }
}

function failuresAfter(job: Job, replaced: Pod | undefined): { readonly counted: number; readonly ignored: number } {
  if (replaced === undefined) return { counted: 0, ignored: 0 }
  const isIgnored = judgeFailure(job.spec.podFailurePolicy, replaced).action === 'Ignore'
  return {
    counted: countedFailuresOf(replaced) + (isIgnored ? 0 : 1),
    ignored: ignoredFailuresOf(replaced) + (isIgnored ? 1 : 0),
  }
}
