import type { Deployment, DeploymentStatus, ReplicaSet } from '@k3s/api/types/apps/v1'
import type { Pod } from '@k3s/api/types/core/v1'
import { greatestOf } from '@k3s/lifecycle'
import { findCondition, withCondition } from '../kit/conditions.ts'
import { isPodTerminal } from '../kit/pods.ts'
import { byCreation } from '../kit/owners.ts'
import {
  countOf,
  currentAnnotations,
  desiredAnnotation,
  findNewReplicaSet,
  maxAnnotation,
  newReplicaSet,
  revisionAnnotation,
  revisionOf,
  sizeAnnotations,
} from './replica-sets.ts'
import { nextSizeOfNew, nextSizesOfOld, proportionalSizes, replicasOf, sum, wantedOf, type Sizes } from './rolling.ts'
import { condition, deploymentStatus, hasProgressDeadline, isComplete, nextProgressCheckMs, withProgress } from './status.ts'

export interface DeploymentInput {
  readonly deployment: Deployment
  /** ReplicaSets that the Deployment controls. */
  readonly sets: readonly ReplicaSet[]
  /** Pods of those ReplicaSets; only a `Recreate` Deployment needs them. */
  readonly pods: readonly Pod[]
  readonly nowMs: number
}

/** What to do next. Everything is safe to do twice: names are fixed by the template and updates carry the version that was read. */
export interface DeploymentPlan {
  readonly create: ReplicaSet | undefined
  /** ReplicaSets as they should be, and their sizes before. */
  readonly update: readonly { readonly set: ReplicaSet; readonly from: number }[]
  readonly remove: readonly ReplicaSet[]
  readonly status: DeploymentStatus
  /** For the annotation `deployment.kubernetes.io/revision`; `undefined` leaves it. */
  readonly revision: number | undefined
  /** When to plan again though nothing changes, in milliseconds. */
  readonly againMs: number | undefined
}

/** Plans one step of a rollout, a scaling or a clean-up. */
export function planDeployment({ deployment, sets, pods, nowMs }: DeploymentInput): DeploymentPlan {
  const found = findNewReplicaSet(deployment, sets)
  const old = sets.filter((set) => set !== found)
  const revision = Math.max(0, greatestOf(old.map(revisionOf))) + 1
  const current = found === undefined ? undefined : withMetadata(deployment, found, revision)
  const noted = withRolloutNotes(deployment, current, nowMs)
  const isGoing = deployment.metadata.deletionTimestamp !== undefined
  const isScaling = sets.some((set) => replicasOf(set) > 0 && isDesiredStale(deployment, set))
  const step = isGoing
    ? idle(current)
    : noted.spec.paused === true || isScaling
      ? scaleStep(noted, current, old)
      : noted.spec.strategy?.type === 'Recreate'
        ? recreateStep(noted, current, old, pods, revision)
        : rollingStep(noted, current, old, revision)
  return finish(noted, found, old, step, { isGoing, isScaling, nowMs })
}

/** New sizes of ReplicaSets, and the new ReplicaSet if one is made. */
interface Step {
  readonly current: ReplicaSet | undefined
  readonly create: ReplicaSet | undefined
  readonly sizes: Sizes
}

const idle = (current: ReplicaSet | undefined, sizes: Sizes = new Map()): Step => ({ current, create: undefined, sizes })

function withMetadata(deployment: Deployment, set: ReplicaSet, revision: number): ReplicaSet {
  const existing = set.metadata.annotations ?? {}
  const annotations = currentAnnotations(deployment, existing, revision)
  const { minReadySeconds } = deployment.spec
  const isSame =
    (set.spec.minReadySeconds ?? 0) === (minReadySeconds ?? 0) &&
    Object.entries(annotations).every(([key, value]) => existing[key] === value)
  return isSame ? set : { ...set, metadata: { ...set.metadata, annotations }, spec: { ...set.spec, minReadySeconds } }
}

/** Conditions that pausing, resuming and finding the ReplicaSet leave, before anything is counted. */
function withRolloutNotes(deployment: Deployment, current: ReplicaSet | undefined, nowMs: number): Deployment {
  if (!hasProgressDeadline(deployment) || deployment.metadata.deletionTimestamp !== undefined) return deployment
  const before = findCondition(deployment.status?.conditions, 'Progressing')
  const isPaused = deployment.spec.paused === true
  const note =
    before?.reason === 'ProgressDeadlineExceeded'
      ? undefined
      : isPaused && before?.reason !== 'DeploymentPaused'
        ? condition('Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused', nowMs)
        : !isPaused && before?.reason === 'DeploymentPaused'
          ? condition('Progressing', 'Unknown', 'DeploymentResumed', 'Deployment is resumed', nowMs)
          : before === undefined && current !== undefined
            ? condition('Progressing', 'True', 'FoundNewReplicaSet', `Found new replica set "${current.metadata.name}"`, nowMs)
            : undefined
  if (note === undefined) return deployment
  return { ...deployment, status: { ...deployment.status, conditions: withCondition(deployment.status?.conditions, note) } }
}

function isDesiredStale(deployment: Deployment, set: ReplicaSet): boolean {
  const desired = countOf(set, desiredAnnotation)
  return desired !== undefined && desired !== wantedOf(deployment)
}

/** Brings the ReplicaSets there are to the Deployment's size, without rolling anything out. */
function scaleStep(deployment: Deployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[]): Step {
  const all = current === undefined ? old : [...old, current]
  const active = all.filter((set) => replicasOf(set) > 0)
  if (active.length <= 1) {
    const only = active[0] ?? current ?? old.toSorted(byCreation).at(-1)
    return idle(current, only === undefined ? new Map() : new Map([[only.metadata.name, wantedOf(deployment)]]))
  }
  if (current !== undefined && isSaturated(deployment, current))
    return idle(current, new Map(active.filter((set) => set !== current).map((set) => [set.metadata.name, 0])))
  if (deployment.spec.strategy?.type === 'Recreate') return idle(current)
  return idle(current, proportionalSizes({ deployment, active, maxBefore: (set) => countOf(set, maxAnnotation) }))
}

function isSaturated(deployment: Deployment, set: ReplicaSet): boolean {
  const wanted = wantedOf(deployment)
  return replicasOf(set) === wanted && countOf(set, desiredAnnotation) === wanted && set.status?.availableReplicas === wanted
}

function rollingStep(deployment: Deployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[], revision: number): Step {
  if (current === undefined) {
    const created = newReplicaSet(deployment, nextSizeOfNew(deployment, undefined, old), revision)
    return { current: created, create: created, sizes: new Map() }
  }
  const size = nextSizeOfNew(deployment, current, [...old, current])
  if (size !== replicasOf(current)) return idle(current, new Map([[current.metadata.name, size]]))
  return idle(current, sum(old, replicasOf) === 0 ? new Map() : nextSizesOfOld(deployment, current, old))
}

/** All old pods must have ended before the first new one starts. */
function recreateStep(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  pods: readonly Pod[],
  revision: number,
): Step {
  const active = old.filter((set) => replicasOf(set) > 0)
  if (active.length > 0) return idle(current, new Map(active.map((set) => [set.metadata.name, 0])))
  const isOld = (pod: Pod): boolean =>
    pod.metadata.ownerReferences?.some(({ controller, uid }) => controller === true && uid === current?.metadata.uid) !== true
  const isOldRunning = sum(old, ({ status }) => status?.replicas ?? 0) > 0 || pods.some((pod) => isOld(pod) && !isPodTerminal(pod))
  if (isOldRunning) return idle(current)
  if (current === undefined) {
    const created = newReplicaSet(deployment, wantedOf(deployment), revision)
    return { current: created, create: created, sizes: new Map() }
  }
  return idle(current, new Map([[current.metadata.name, wantedOf(deployment)]]))
}

function finish(
  deployment: Deployment,
  found: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  step: Step,
  { isGoing, isScaling, nowMs }: { readonly isGoing: boolean; readonly isScaling: boolean; readonly nowMs: number },
): DeploymentPlan {
  const { create, current } = step
  const before = [...old, ...(found === undefined ? [] : [found])]
  const update = before.flatMap((set) => {
    const base = set === found && current !== undefined ? current : set
    const size = step.sizes.get(set.metadata.name)
    const next = size === undefined ? base : withSize(deployment, base, size)
    return next === set ? [] : [{ set: next, from: replicasOf(set) }]
  })
  // Sizes as they will be; what is reported of pods stays as it was seen.
  const sized = (set: ReplicaSet): ReplicaSet => update.find((entry) => entry.set.metadata.name === set.metadata.name)?.set ?? set
  const seen = current === undefined ? undefined : sized(current)
  const all = [...old.map(sized), ...(seen === undefined ? [] : [seen])]
  const counted = deploymentStatus(deployment, seen, all, nowMs)
  const isRollout = !isGoing && !isScaling && deployment.spec.paused !== true
  let status = isRollout ? withProgress(deployment, counted, seen, all, nowMs) : counted
  if (create !== undefined && hasProgressDeadline(deployment)) {
    const made = condition('Progressing', 'True', 'NewReplicaSetCreated', `Created new replica set "${create.metadata.name}"`, nowMs)
    status = { ...status, conditions: withCondition(status.conditions, made) }
  }
  const mayClean = !isGoing && (deployment.spec.paused === true || (isRollout && update.length === 0 && isComplete(deployment, status)))
  return {
    create,
    update: isGoing ? [] : update,
    remove: mayClean ? beyondHistory(deployment, old) : [],
    status,
    revision: current === undefined ? undefined : Number(current.metadata.annotations?.[revisionAnnotation] ?? 0) || undefined,
    againMs: isRollout ? nextProgressCheckMs(deployment, status, nowMs) : undefined,
  }
}

function withSize(deployment: Deployment, set: ReplicaSet, replicas: number): ReplicaSet {
  const sizes = sizeAnnotations(deployment)
  const isSame = replicasOf(set) === replicas && Object.entries(sizes).every(([key, value]) => set.metadata.annotations?.[key] === value)
  if (isSame) return set
  return {
    ...set,
    metadata: { ...set.metadata, annotations: { ...set.metadata.annotations, ...sizes } },
    spec: { ...set.spec, replicas },
  }
}

function beyondHistory(deployment: Deployment, old: readonly ReplicaSet[]): readonly ReplicaSet[] {
  const limit = deployment.spec.revisionHistoryLimit ?? 10
  const alive = old.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  return alive
    .toSorted((a, b) => revisionOf(a) - revisionOf(b) || byCreation(a, b))
    .slice(0, Math.max(0, alive.length - limit))
    .filter(
      ({ metadata, spec, status }) =>
        spec.replicas === 0 && (status?.replicas ?? 0) === 0 && (metadata.generation ?? 0) <= (status?.observedGeneration ?? 0),
    )
}
