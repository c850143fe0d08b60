import type { Pod } from '@k3s/api/types/core/v1'
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '@k3s/api/types/policy/v1'
import { findCondition, withCondition } from '../kit/conditions.ts'
import { isPodReady } from '../kit/pods.ts'
import { scaledValue } from '../kit/scale.ts'
import { formatTime, parseTime } from '../kit/time.ts'

// Upstream's DeletionTimeout: an eviction that was granted and has not deleted its pod by then did not happen.
const evictionTimeoutMs = 2 * 60_000

export interface BudgetInput {
  readonly budget: PodDisruptionBudget
  /** Pods that the budget selects. */
  readonly pods: readonly Pod[]
  /** How many pods their controllers want in all; or why that cannot be known. */
  readonly scale: number | { readonly error: string }
  readonly nowMs: number
}

export interface BudgetPlan {
  readonly status: PodDisruptionBudgetStatus
  /** When a granted eviction times out, in milliseconds. */
  readonly againMs: number | undefined
}

/** True when the budget is in terms of what controllers want, not of the pods there are. */
export function needsScale({ spec }: PodDisruptionBudget): boolean {
  return spec.maxUnavailable !== undefined || typeof spec.minAvailable === 'string'
}

/** How many more pods may be evicted now. */
export function planBudget({ budget, pods, scale, nowMs }: BudgetInput): BudgetPlan {
  const { spec, status, metadata } = budget
  const generation = metadata.generation ?? 0
  const condition = (isAllowed: boolean, reason: string, message: string): PodDisruptionBudgetStatus['conditions'] =>
    withCondition(
      status?.conditions?.map((one) => (one.type === 'DisruptionAllowed' ? { ...one, observedGeneration: generation } : one)),
      {
        type: 'DisruptionAllowed',
        status: isAllowed ? 'True' : 'False',
        reason,
        message,
        observedGeneration: generation,
        lastTransitionTime: formatTime(nowMs),
      },
      { compareMessage: true },
    )
  if (typeof scale === 'object') {
    // Nothing may be evicted while we do not know better. The generation is not called observed, since it was not acted on.
    return { status: { ...status, disruptionsAllowed: 0, conditions: condition(false, 'SyncFailed', scale.error) }, againMs: undefined }
  }
  const disruptedPods: Record<string, string> = {}
  let againMs: number | undefined
  for (const pod of pods) {
    const at = parseTime(status?.disruptedPods?.[pod.metadata.name])
    if (at === undefined || pod.metadata.deletionTimestamp !== undefined || at + evictionTimeoutMs < nowMs) continue
    disruptedPods[pod.metadata.name] = status?.disruptedPods?.[pod.metadata.name] ?? ''
    againMs = Math.min(againMs ?? Infinity, at + evictionTimeoutMs - nowMs)
  }
  const isHealthy = (pod: Pod): boolean =>
    isPodReady(pod) && pod.metadata.deletionTimestamp === undefined && disruptedPods[pod.metadata.name] === undefined
  const expectedPods = needsScale(budget) ? scale : pods.length
  const desiredHealthy =
    spec.maxUnavailable === undefined
      ? scaledValue(spec.minAvailable ?? 0, expectedPods, 'up')
      : Math.max(0, expectedPods - scaledValue(spec.maxUnavailable, expectedPods, 'up'))
  const currentHealthy = pods.filter(isHealthy).length
  // A budget that selects nothing allows nothing: its first pods may be on their way.
  const disruptionsAllowed = expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy)
  return {
    againMs,
    status: {
      observedGeneration: generation,
      currentHealthy,
      desiredHealthy,
      expectedPods,
      disruptionsAllowed,
      ...(Object.keys(disruptedPods).length === 0 ? {} : { disruptedPods }),
      conditions: condition(disruptionsAllowed > 0, disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods', ''),
    },
  }
}

/** How long until a `DisruptionTarget` condition of a pod that was not deleted is stale, in milliseconds; `undefined` when it has none. */
export function untilStaleMs(pod: Pod, nowMs: number): number | undefined {
  const condition = findCondition(pod.status?.conditions, 'DisruptionTarget')
  const isEnded = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
  if (pod.metadata.deletionTimestamp !== undefined || isEnded || condition?.status !== 'True') return undefined
  if (condition.reason === 'TerminationByKubelet') return undefined
  return Math.max(0, (parseTime(condition.lastTransitionTime) ?? nowMs) + evictionTimeoutMs - nowMs)
}
