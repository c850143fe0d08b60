import type { Job } from '@k3s/api/types/batch/v1'
import type { Pod } from '@k3s/api/types/core/v1'
import { greatestOf } from '@k3s/lifecycle'
import { findCondition } from '../kit/conditions.ts'
import { parseTime } from '../kit/time.ts'

export const trackingFinalizer = 'batch.kubernetes.io/job-tracking'
export const indexAnnotation = 'batch.kubernetes.io/job-completion-index'
export const failuresAnnotation = 'batch.kubernetes.io/job-index-failure-count'
export const ignoredAnnotation = 'batch.kubernetes.io/job-index-ignored-failure-count'

export const uidOf = (pod: Pod): string => pod.metadata.uid ?? ''
export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(trackingFinalizer) === true
export const isIndexed = (job: Job): boolean => job.spec.completionMode === 'Indexed'
export const isSuspended = (job: Job): boolean => job.spec.suspend === true
export const hasLimitPerIndex = (job: Job): boolean => isIndexed(job) && job.spec.backoffLimitPerIndex !== undefined
export const completionsOf = (job: Job): number => job.spec.completions ?? 0
export const parallelismOf = (job: Job): number => job.spec.parallelism ?? 1

function countIn(pod: Pod, annotation: string): number {
  const text = pod.metadata.annotations?.[annotation] ?? ''
  return /^\d+$/.test(text) ? Number(text) : 0
}

/** Which completion the pod works on; `undefined` when it says none that the Job has. */
export function completionIndexOf(pod: Pod, completions: number): number | undefined {
  const text = pod.metadata.annotations?.[indexAnnotation] ?? ''
  return /^\d+$/.test(text) && Number(text) < completions ? Number(text) : undefined
}

/** Failures of the pod's index before this pod that count. */
export const countedFailuresOf = (pod: Pod): number => countIn(pod, failuresAnnotation)
/** Failures of the pod's index before this pod that a policy ignored. */
export const ignoredFailuresOf = (pod: Pod): number => countIn(pod, ignoredAnnotation)

/** True when a pod is replaced only once it has failed, not when it is being deleted. */
export function waitsForFailure(job: Job): boolean {
  return job.spec.podReplacementPolicy === 'Failed' || job.spec.podFailurePolicy !== undefined
}

/** Failed, or, unless the Job waits for that, being deleted before it succeeded. */
export function isPodFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true
  return !waitsForFailure(job) && pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded'
}

/** When the pod ended, as well as it can be known, in milliseconds: its last container, else `Ready` becoming false, its deletion, its creation. */
export function finishedAtMs(pod: Pod): number {
  const statuses = pod.status?.containerStatuses ?? []
  const ends = statuses.map(({ state }) => parseTime(state?.terminated?.finishedAt))
  if (ends.length > 0 && ends.every((end) => end !== undefined)) return greatestOf(ends)
  const ready = findCondition(pod.status?.conditions, 'Ready')
  const unready = ready?.status === 'False' ? parseTime(ready.lastTransitionTime) : undefined
  if (unready !== undefined) return unready
  const deleted = parseTime(pod.metadata.deletionTimestamp)
  if (deleted !== undefined) return deleted - (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000
  return parseTime(pod.metadata.creationTimestamp) ?? 0
}
