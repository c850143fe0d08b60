import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '@k3s/api/types/apps/v1'
import { findCondition, withCondition, withoutCondition } from '../kit/conditions.ts'
import { formatTime, parseTime } from '../kit/time.ts'
import { maxUnavailableOf, replicasOf, sum, wantedOf } from './rolling.ts'

const noDeadline = 2_147_483_647

/** True when lack of progress is to be told. */
export function hasProgressDeadline(deployment: Deployment): boolean {
  const { progressDeadlineSeconds = noDeadline } = deployment.spec
  return progressDeadlineSeconds !== noDeadline
}

export function condition(type: string, status: string, reason: string, message: string, nowMs: number): DeploymentCondition {
  const time = formatTime(nowMs)
  return { type, status, reason, message, lastUpdateTime: time, lastTransitionTime: time }
}

/** Counts over all ReplicaSets, and the condition `Available`; other conditions are kept. */
export function deploymentStatus(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  nowMs: number,
): DeploymentStatus {
  const previous = deployment.status
  const availableReplicas = sum(all, ({ status }) => status?.availableReplicas ?? 0)
  const terminatingReplicas = terminatingOf(all)
  const isAvailable = availableReplicas >= wantedOf(deployment) - maxUnavailableOf(deployment)
  const available = isAvailable
    ? condition('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', nowMs)
    : condition('Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.', nowMs)
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sum(all, ({ status }) => status?.replicas ?? 0),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(all, ({ status }) => status?.readyReplicas ?? 0),
    availableReplicas,
    unavailableReplicas: Math.max(0, sum(all, replicasOf) - availableReplicas),
    ...(terminatingReplicas === undefined ? {} : { terminatingReplicas }),
    ...(previous?.collisionCount === undefined ? {} : { collisionCount: previous.collisionCount }),
    conditions: withCondition(previous?.conditions, available),
  }
}

/** Undefined while a ReplicaSet that was observed does not say. */
function terminatingOf(all: readonly ReplicaSet[]): number | undefined {
  const counts = all.filter(({ status }) => (status?.observedGeneration ?? 0) > 0).map(({ status }) => status?.terminatingReplicas)
  return counts.every((count) => count !== undefined) ? sum(counts, (count) => count) : undefined
}

/** All pods are of the current template and available, and no others are left. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = wantedOf(deployment)
  return (
    status.updatedReplicas === wanted &&
    status.replicas === wanted &&
    status.availableReplicas === wanted &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  )
}

function isProgressing(before: DeploymentStatus | undefined, now: DeploymentStatus): boolean {
  const oldPods = (status: DeploymentStatus | undefined): number => (status?.replicas ?? 0) - (status?.updatedReplicas ?? 0)
  return (
    (now.updatedReplicas ?? 0) > (before?.updatedReplicas ?? 0) ||
    oldPods(now) < oldPods(before) ||
    (now.readyReplicas ?? 0) > (before?.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (before?.availableReplicas ?? 0)
  )
}

/** Adds what the rollout's progress says: the conditions `Progressing` and `ReplicaFailure`. */
export function withProgress(
  deployment: Deployment,
  status: DeploymentStatus,
  current: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  nowMs: number,
): DeploymentStatus {
  const what = current === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${current.metadata.name}"`
  let conditions: readonly DeploymentCondition[] = status.conditions ?? []
  const before = findCondition(conditions, 'Progressing')
  const wasComplete = status.replicas === status.updatedReplicas && before?.reason === 'NewReplicaSetAvailable'
  if (!hasProgressDeadline(deployment)) {
    conditions = withoutCondition(conditions, 'Progressing')
  } else if (!wasComplete) {
    if (isComplete(deployment, status)) {
      const done = condition('Progressing', 'True', 'NewReplicaSetAvailable', `${what} has successfully progressed.`, nowMs)
      conditions = withCondition(conditions, done)
    } else if (isProgressing(deployment.status, status)) {
      const moved = condition('Progressing', 'True', 'ReplicaSetUpdated', `${what} is progressing.`, nowMs)
      // Put in anew even with the same reason: its update time is when progress was last seen.
      const since = before?.status === 'True' ? { lastTransitionTime: before.lastTransitionTime } : {}
      conditions = [...withoutCondition(conditions, 'Progressing'), { ...moved, ...since }]
    } else if (hasTimedOut(deployment, before, nowMs)) {
      const late = condition('Progressing', 'False', 'ProgressDeadlineExceeded', `${what} has timed out progressing.`, nowMs)
      conditions = withCondition(conditions, late)
    }
  }
  const failure = [...(current === undefined ? [] : [current]), ...all]
    .map((set) => findCondition(set.status?.conditions, 'ReplicaFailure'))
    .find((found) => found !== undefined)
  conditions =
    failure === undefined
      ? withoutCondition(conditions, 'ReplicaFailure')
      : withCondition(conditions, { ...failure, lastUpdateTime: failure.lastTransitionTime })
  return { ...status, conditions: [...conditions] }
}

function hasTimedOut(deployment: Deployment, progressing: DeploymentCondition | undefined, nowMs: number): boolean {
  if (progressing === undefined || progressing.reason === 'NewReplicaSetAvailable') return false
  if (progressing.reason === 'ProgressDeadlineExceeded') return true
  return untilDeadlineMs(deployment, progressing, nowMs) < 0
}

function untilDeadlineMs(deployment: Deployment, progressing: DeploymentCondition, nowMs: number): number {
  const since = parseTime(progressing.lastUpdateTime) ?? nowMs
  return since + (deployment.spec.progressDeadlineSeconds ?? noDeadline) * 1000 - nowMs
}

/** When to look again, in milliseconds, whether the rollout is stuck; `undefined` when it has ended, failed or has no deadline. */
export function nextProgressCheckMs(deployment: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  const progressing = findCondition(status.conditions, 'Progressing')
  if (!hasProgressDeadline(deployment) || deployment.spec.paused === true || progressing === undefined) return undefined
  if (isComplete(deployment, status) || progressing.reason === 'ProgressDeadlineExceeded') return undefined
  // One second more, because times have whole seconds.
  return Math.max(0, untilDeadlineMs(deployment, progressing, nowMs)) + 1000
}
