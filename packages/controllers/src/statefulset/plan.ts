import type { StatefulSet, StatefulSetStatus } from '@k3s/api/types/apps/v1'
import type { Pod } from '@k3s/api/types/core/v1'
import { leastOf } from '@k3s/lifecycle'
import { revisionHashLabel } from '../kit/history.ts'
import { isPodAvailable, isPodReady, isPodTerminal, untilAvailableMs } from '../kit/pods.ts'
import { ordinalOf } from './stateful-pod.ts'

export interface StatefulInput {
  readonly set: StatefulSet
  /** Pods that the set controls. */
  readonly pods: readonly Pod[]
  /** Names of the revisions that pods are and should become of. */
  readonly currentRevision: string
  readonly updateRevision: string
  readonly nowMs: number
}

export interface StatefulPlan {
  readonly create: readonly { readonly ordinal: number; readonly revision: string }[]
  readonly remove: readonly Pod[]
  /** Pods among `remove` that have ended and come again. */
  readonly ended: readonly Pod[]
  /** Pods beyond the set's size. */
  readonly condemned: readonly Pod[]
  readonly status: StatefulSetStatus
  /** When a pod becomes available that the plan waits for, in milliseconds. */
  readonly againMs: number | undefined
}

const revisionOf = (pod: Pod): string => pod.metadata.labels?.[revisionHashLabel] ?? ''
const isGoing = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined
const isHealthy = (pod: Pod): boolean => pod.status?.phase === 'Running' && isPodReady(pod) && !isGoing(pod)

/** One step towards the set's pods: in order of ordinals, one after another, unless `podManagementPolicy` is Parallel. */
export function planStatefulSet(input: StatefulInput): StatefulPlan {
  const { set, pods, nowMs } = input
  const first = set.spec.ordinals?.start ?? 0
  const size = set.spec.replicas ?? 1
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod), pod]))
  const wanted = Array.from({ length: size }, (_, i) => first + i)
  const condemned = pods
    .filter((pod) => {
      const ordinal = ordinalOf(set, pod)
      return ordinal !== undefined && (ordinal < first || ordinal >= first + size)
    })
    .toSorted((a, b) => (ordinalOf(set, b) ?? 0) - (ordinalOf(set, a) ?? 0))
  const minReady = set.spec.minReadySeconds ?? 0
  const waits = pods.map((pod) => untilAvailableMs(pod, minReady, nowMs)).filter((wait) => wait !== undefined && wait > 0)
  const base = { condemned, status: statefulStatus(input), againMs: waits.length === 0 ? undefined : leastOf(waits as number[]) } // filtered
  const nothing: StatefulPlan = { ...base, create: [], remove: [], ended: [] }
  if (set.metadata.deletionTimestamp !== undefined) return nothing
  const isOrdered = set.spec.podManagementPolicy !== 'Parallel'
  const [create, remove, ended]: [{ ordinal: number; revision: string }[], Pod[], Pod[]] = [[], [], []]
  for (const ordinal of wanted) {
    const pod = byOrdinal.get(ordinal)
    if (pod === undefined) create.push({ ordinal, revision: revisionFor(input, ordinal) })
    else if (isPodTerminal(pod)) {
      if (!isGoing(pod)) {
        remove.push(pod)
        ended.push(pod)
      }
    } else if (isHealthy(pod) && isPodAvailable(pod, minReady, nowMs)) continue
    // This one is not in order yet: the next must wait for it.
    if (isOrdered) return { ...base, create, remove, ended }
  }
  const firstUnhealthy = [...wanted.map((ordinal) => byOrdinal.get(ordinal)), ...condemned.toReversed()].find(
    (pod) => pod !== undefined && !isHealthy(pod),
  )
  for (const pod of condemned) {
    if (isGoing(pod)) {
      if (isOrdered) return { ...base, create, remove, ended }
      continue
    }
    // A pod that is unhealthy may be what keeps the others waiting: that one, and no other, goes all the same.
    if (isOrdered && !isHealthy(pod) && pod !== firstUnhealthy) return { ...base, create, remove, ended }
    remove.push(pod)
    if (isOrdered) return { ...base, create, remove, ended }
  }
  if (create.length + remove.length > 0 || condemned.length > 0) return { ...base, create, remove, ended }
  const outdated = nextOutdated(input, wanted, byOrdinal)
  return { ...base, create, ended, remove: outdated === undefined ? remove : [outdated] }
}

/** The pod to replace next by its updated self: the highest ordinal, once all above it are healthy. */
function nextOutdated(
  { set, updateRevision, nowMs }: StatefulInput,
  wanted: readonly number[],
  byOrdinal: ReadonlyMap<number | undefined, Pod>,
): Pod | undefined {
  const { type = 'RollingUpdate', rollingUpdate } = set.spec.updateStrategy ?? {}
  if (type !== 'RollingUpdate') return undefined
  const lowest = (set.spec.ordinals?.start ?? 0) + (rollingUpdate?.partition ?? 0)
  for (const ordinal of wanted.toReversed()) {
    if (ordinal < lowest) return undefined
    const pod = byOrdinal.get(ordinal)
    if (pod === undefined || isGoing(pod)) return undefined
    if (revisionOf(pod) !== updateRevision) return pod
    if (!isHealthy(pod) || !isPodAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs)) return undefined
  }
  return undefined
}

/** A pod below the partition comes back as it was; every other one as it should become. */
function revisionFor({ set, currentRevision, updateRevision }: StatefulInput, ordinal: number): string {
  const { type = 'RollingUpdate', rollingUpdate } = set.spec.updateStrategy ?? {}
  const first = set.spec.ordinals?.start ?? 0
  const kept = rollingUpdate === undefined ? (set.status?.currentReplicas ?? 0) : (rollingUpdate.partition ?? 0)
  return type === 'RollingUpdate' && ordinal < first + kept ? currentRevision : updateRevision
}

function statefulStatus({ set, pods, currentRevision, updateRevision, nowMs }: StatefulInput): StatefulSetStatus {
  const created = pods.filter((pod) => pod.status?.phase !== 'Failed' && pod.status?.phase !== 'Succeeded')
  const of = (revision: string): number => created.filter((pod) => !isGoing(pod) && revisionOf(pod) === revision).length
  const ready = created.filter((pod) => pod.status?.phase === 'Running' && isPodReady(pod))
  const status: StatefulSetStatus = {
    ...set.status,
    observedGeneration: set.metadata.generation ?? 0,
    replicas: created.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isPodAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs)).length,
    currentReplicas: of(currentRevision),
    updatedReplicas: of(updateRevision),
    currentRevision,
    updateRevision,
    collisionCount: set.status?.collisionCount ?? 0,
  }
  const isRolling = (set.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate'
  const isDone =
    status.updatedReplicas === status.replicas && status.readyReplicas === status.replicas && status.replicas === (set.spec.replicas ?? 1)
  return isRolling && isDone ? { ...status, currentReplicas: status.updatedReplicas, currentRevision: updateRevision } : status
}
