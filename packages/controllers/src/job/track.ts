import type { Job, JobStatus } from '@k3s/api/types/batch/v1'
import type { Pod } from '@k3s/api/types/core/v1'
import { findCondition } from '../kit/conditions.ts'
import { judgeFailure } from './failure-policy.ts'
import { formatIndexes, parseIndexes } from './indexes.ts'
import type { JobPlan } from './plan.ts'
import { completionIndexOf, completionsOf, isIndexed, isPodFailed, isTracked, uidOf } from './pod-facts.ts'
import { jobCondition, type Verdict } from './verdict.ts'

// Upstream's MaxUncountedPods: keeps the status below 20 kB.
const maxUncounted = 500

export interface TrackInput {
  /** With the status that the plan and what was done of it leave. */
  readonly job: Job
  readonly pods: readonly Pod[]
  readonly released: ReadonlySet<string>
  readonly plan: Pick<JobPlan, 'succeededIndexes' | 'failedIndexes' | 'held'>
  /** Why the Job ends; only when no active pod is left. */
  readonly verdict: Verdict | undefined
  readonly nowMs: number
}

/** The first of the two steps by which each pod is counted exactly once, whatever fails in between. */
export interface Tracking {
  /** To be written before any finalizer is removed: names the pods that are counted next. */
  readonly status: JobStatus
  /** Pods that may lose their finalizer once the status is written. */
  readonly release: readonly Pod[]
  /** Uids of the Job's pods that have the finalizer. */
  readonly tracked: ReadonlySet<string>
  /** More pods have ended than one step takes. */
  readonly isPartial: boolean
}

export function trackPods(input: TrackInput): Tracking {
  const { job, pods, released, plan, verdict, nowMs } = input
  const completions = completionsOf(job)
  const tracked = new Set(pods.filter((pod) => isTracked(pod) && !released.has(uidOf(pod))).map(uidOf))
  const counted = countReleased(job.status ?? {}, tracked)
  const succeeded = new Set(counted.uncountedTerminatedPods?.succeeded)
  const failed = new Set(counted.uncountedTerminatedPods?.failed)
  const knownIndexes = new Set(parseIndexes(job.status?.completedIndexes, completions))
  const newIndexes: number[] = []
  const release: Pod[] = []
  let isPartial = false
  for (const pod of pods) {
    if (!tracked.has(uidOf(pod))) continue
    const hasFailed = isPodFailed(job, pod)
    if (!mayRelease(input, pod, hasFailed)) continue
    if (newIndexes.length + succeeded.size + failed.size >= maxUncounted) {
      isPartial = true
      break
    }
    release.push(pod)
    const index = completionIndexOf(pod, completions)
    const isCountable = !isIndexed(job) || index !== undefined
    if (pod.status?.phase === 'Succeeded' && !failed.has(uidOf(pod))) {
      // The index itself tells that it was counted.
      if (!isIndexed(job)) succeeded.add(uidOf(pod))
      else if (index !== undefined && !knownIndexes.has(index)) newIndexes.push(index)
    } else if (isCountable && (hasFailed || verdict?.type === 'FailureTarget')) {
      if (judgeFailure(job.spec.podFailurePolicy, pod).action !== 'Ignore') failed.add(uidOf(pod))
    }
  }
  const conditions = job.status?.conditions ?? []
  const isNew = verdict !== undefined && findCondition(conditions, verdict.type) === undefined
  const indexes = plan.succeededIndexes
  const done = indexes?.filter((index) => knownIndexes.has(index) || newIndexes.includes(index))
  return {
    release,
    tracked,
    isPartial,
    status: {
      ...counted,
      uncountedTerminatedPods: {
        ...(succeeded.size === 0 ? {} : { succeeded: [...succeeded] }),
        ...(failed.size === 0 ? {} : { failed: [...failed] }),
      },
      ...(done === undefined ? {} : { succeeded: done.length, completedIndexes: done.length === 0 ? undefined : formatIndexes(done) }),
      ...(plan.failedIndexes === undefined ? {} : { failedIndexes: formatIndexes(plan.failedIndexes) }),
      conditions: isNew ? [...conditions, jobCondition(verdict.type, 'True', verdict.reason, verdict.message, nowMs)] : [...conditions],
    },
  }
}

function mayRelease({ job, plan, verdict }: TrackInput, pod: Pod, hasFailed: boolean): boolean {
  if (job.metadata.deletionTimestamp !== undefined || verdict !== undefined || pod.status?.phase === 'Succeeded') return true
  if (!hasFailed) return false
  const index = completionIndexOf(pod, completionsOf(job))
  return index === undefined || plan.held.get(index)?.metadata.uid !== pod.metadata.uid
}

/** The second step: pods in the list of uncounted ones that have lost their finalizer are counted and leave the list. */
export function countReleased(status: JobStatus, tracked: ReadonlySet<string>): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {}
  const [stillSucceeded, stillFailed] = [succeeded.filter((uid) => tracked.has(uid)), failed.filter((uid) => tracked.has(uid))]
  return {
    ...status,
    succeeded: (status.succeeded ?? 0) + succeeded.length - stillSucceeded.length,
    failed: (status.failed ?? 0) + failed.length - stillFailed.length,
    uncountedTerminatedPods: {
      ...(stillSucceeded.length === 0 ? {} : { succeeded: stillSucceeded }),
      ...(stillFailed.length === 0 ? {} : { failed: stillFailed }),
    },
  }
}

/** The status of a Job that has ended, or `undefined` while pods are uncounted or terminating. */
export function finishedStatus(status: JobStatus, verdict: Verdict, nowMs: number): JobStatus | undefined {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {}
  if (succeeded.length + failed.length > 0 || (status.terminating ?? 0) > 0) return undefined
  const type = verdict.type === 'FailureTarget' ? 'Failed' : 'Complete'
  const condition = jobCondition(type, 'True', verdict.reason, verdict.message, nowMs)
  return {
    ...status,
    conditions: [...(status.conditions ?? []), condition],
    ...(type === 'Complete' ? { completionTime: condition.lastTransitionTime } : {}),
  }
}
