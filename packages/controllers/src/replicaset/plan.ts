import { matchesSelector, type Selector } from '@k3s/api'
import type { ReplicaSetCondition, ReplicaSetStatus } from '@k3s/api/types/apps/v1'
import type { Pod, PodTemplateSpec } from '@k3s/api/types/core/v1'
import { findCondition, withCondition, withoutCondition } from '../kit/conditions.ts'
import { byDeletionOrder, isPodAvailable, isPodReady, podsPerNode } from '../kit/pods.ts'
import { formatTime } from '../kit/time.ts'

// Upstream's BurstReplicas: more pods than this are made or removed in several rounds.
const burstReplicas = 500

/** What ReplicaSets and ReplicationControllers have in common. */
export interface ReplicaSpec {
  readonly replicas: number
  readonly minReadySeconds: number
  readonly selector: Selector
  readonly template: PodTemplateSpec
}

export interface ReplicaPlan {
  /** How many pods to create. */
  readonly create: number
  /** Pods to delete; empty when any are to be created. */
  readonly remove: readonly Pod[]
}

/**
 * What brings `active` to `wanted` pods.
 *
 * @param related active and other pods of all sets of the same owner: of two equal pods, the one that shares its node with more of them goes first.
 */
export function planReplicas(wanted: number, active: readonly Pod[], related: readonly Pod[], nowMs: number): ReplicaPlan {
  const missing = wanted - active.length
  if (missing >= 0) return { create: Math.min(missing, burstReplicas), remove: [] }
  const ordered = active.toSorted(byDeletionOrder(podsPerNode(related), nowMs))
  return { create: 0, remove: ordered.slice(0, Math.min(-missing, burstReplicas)) }
}

export interface ReplicaStatusInput {
  readonly spec: ReplicaSpec
  readonly generation: number
  readonly previous: ReplicaSetStatus | undefined
  readonly active: readonly Pod[]
  /** Undefined leaves `terminatingReplicas` out, as ReplicationControllers do. */
  readonly terminating: readonly Pod[] | undefined
  /** Why pods could not be created or deleted; `undefined` when they could. */
  readonly failure: string | undefined
  readonly nowMs: number
}

/** The status to report. Only the condition `ReplicaFailure` is ours; others are kept. */
export function replicaStatus(input: ReplicaStatusInput): ReplicaSetStatus {
  const { spec, previous, active, terminating, failure, nowMs } = input
  const templateLabels = Object.entries(spec.template.metadata?.labels ?? {})
  const template: Selector = templateLabels.map(([key, value]) => ({ key, operator: 'in', values: [value] }))
  const conditions = conditionsAfter(previous?.conditions, failure, active.length - spec.replicas, nowMs)
  return {
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) => matchesSelector(template, pod.metadata.labels)).length,
    readyReplicas: active.filter(isPodReady).length,
    availableReplicas: active.filter((pod) => isPodAvailable(pod, spec.minReadySeconds, nowMs)).length,
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating.length }),
    observedGeneration: input.generation,
    ...(conditions.length === 0 ? {} : { conditions }),
  }
}

function conditionsAfter(
  previous: readonly ReplicaSetCondition[] | undefined,
  failure: string | undefined,
  surplus: number,
  nowMs: number,
): ReplicaSetCondition[] {
  if (failure === undefined) return withoutCondition(previous, 'ReplicaFailure')
  if (findCondition(previous, 'ReplicaFailure') !== undefined) return [...(previous ?? [])]
  const reason = surplus < 0 ? 'FailedCreate' : 'FailedDelete'
  return withCondition(previous, {
    type: 'ReplicaFailure',
    status: 'True',
    reason,
    message: failure,
    lastTransitionTime: formatTime(nowMs),
  })
}
