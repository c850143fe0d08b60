import type { Job, JobCondition, SuccessPolicy } from '@k3s/api/types/batch/v1'
import type { Pod } from '@k3s/api/types/core/v1'
import { findCondition } from '../kit/conditions.ts'
import { formatTime, parseTime } from '../kit/time.ts'
import { judgeFailure } from './failure-policy.ts'
import { parseIndexes, type Indexes } from './indexes.ts'
import { completionsOf, isPodFailed, isSuspended } from './pod-facts.ts'

/** Why a Job ends. The condition `FailureTarget` or `SuccessCriteriaMet` comes first; `Failed` or `Complete` when all its pods have ended. */
export interface Verdict {
  readonly type: 'FailureTarget' | 'SuccessCriteriaMet'
  readonly reason: string
  readonly message: string
}

export function jobCondition(type: string, status: string, reason: string, message: string, nowMs: number): JobCondition {
  const time = formatTime(nowMs)
  return { type, status, reason, message, lastProbeTime: time, lastTransitionTime: time }
}

/** True when the Job has ended for good. */
export function isFinished(job: Job): boolean {
  return (job.status?.conditions ?? []).some(({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True')
}

const failure = (reason: string, message: string): Verdict => ({ type: 'FailureTarget', reason, message })

export interface VerdictInput {
  readonly job: Job
  readonly pods: readonly Pod[]
  /** Failures so far that count. */
  readonly failed: number
  /** Indexed Jobs only. */
  readonly succeededIndexes: Indexes | undefined
  /** Indexed Jobs with their own limit for each index only. */
  readonly failedIndexes: Indexes | undefined
  readonly nowMs: number
}

/** Whether the Job must end now, for another reason than that all its completions are there. What was decided before stays decided. */
export function judgeJob({ job, pods, failed, succeededIndexes, failedIndexes, nowMs }: VerdictInput): Verdict | undefined {
  for (const type of ['SuccessCriteriaMet', 'FailureTarget'] as const) {
    const before = findCondition(job.status?.conditions, type)
    if (before?.status === 'True') return { type, reason: before.reason ?? '', message: before.message ?? '' }
  }
  const { podFailurePolicy, backoffLimit = 6, maxFailedIndexes, successPolicy } = job.spec
  if (podFailurePolicy !== undefined) {
    const fatal = pods
      .filter((pod) => isPodFailed(job, pod))
      .map((pod) => judgeFailure(podFailurePolicy, pod))
      .find(({ action }) => action === 'FailJob')
    if (fatal !== undefined) return failure('PodFailurePolicy', fatal.message)
  }
  if (failed > backoffLimit || hasRestartedTooOften(job, pods, backoffLimit))
    return failure('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
  if ((untilDeadlineMs(job, nowMs) ?? 1) <= 0) return failure('DeadlineExceeded', 'Job was active longer than specified deadline')
  if (succeededIndexes === undefined) return undefined
  if (failedIndexes !== undefined) {
    if (maxFailedIndexes !== undefined && failedIndexes.length > maxFailedIndexes)
      return failure('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes')
    if (failedIndexes.length > 0 && failedIndexes.length + succeededIndexes.length >= completionsOf(job))
      return failure('FailedIndexes', 'Job has failed indexes')
  }
  const rule = matchingRule(successPolicy, completionsOf(job), succeededIndexes)
  if (rule === undefined) return undefined
  return { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message: `Matched rules at index ${rule}` }
}

function hasRestartedTooOften(job: Job, pods: readonly Pod[], limit: number): boolean {
  if (job.spec.template.spec?.restartPolicy !== 'OnFailure') return false
  const restarts = pods
    .filter(({ status }) => status?.phase === 'Running' || status?.phase === 'Pending')
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .reduce((sum, { restartCount }) => sum + restartCount, 0)
  return limit === 0 ? restarts > 0 : restarts >= limit
}

/** Milliseconds until the Job has been active for too long; `undefined` when that cannot happen. */
export function untilDeadlineMs(job: Job, nowMs: number): number | undefined {
  const { activeDeadlineSeconds } = job.spec
  if (activeDeadlineSeconds === undefined || isSuspended(job)) return undefined
  return (parseTime(job.status?.startTime) ?? nowMs) + activeDeadlineSeconds * 1000 - nowMs
}

function matchingRule(policy: SuccessPolicy | undefined, completions: number, succeeded: Indexes): number | undefined {
  const index = (policy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && succeeded.length >= succeededCount
    const required = parseIndexes(succeededIndexes, completions)
    const have = new Set(succeeded)
    const met = required.filter((one) => have.has(one)).length
    return met === required.length || (succeededCount !== undefined && met >= succeededCount)
  })
  return index < 0 ? undefined : index
}
