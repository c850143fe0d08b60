import type { Deployment, ReplicaSet } from '@k3s/api/types/apps/v1'
import { byCreation } from '../kit/owners.ts'
import { scaledValue } from '../kit/scale.ts'

const isRolling = (deployment: Deployment): boolean => (deployment.spec.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate'
export const replicasOf = (set: ReplicaSet): number => set.spec.replicas ?? 1
export const wantedOf = (deployment: Deployment): number => deployment.spec.replicas ?? 1
export const sum = <T>(items: readonly T[], value: (item: T) => number): number => items.reduce((total, item) => total + value(item), 0)
const availableOf = (set: ReplicaSet): number => set.status?.availableReplicas ?? 0

function fenceposts(deployment: Deployment): { readonly surge: number; readonly unavailable: number } {
  const { rollingUpdate } = deployment.spec.strategy ?? {}
  const wanted = wantedOf(deployment)
  const surge = scaledValue(rollingUpdate?.maxSurge ?? '25%', wanted, 'up')
  const unavailable = scaledValue(rollingUpdate?.maxUnavailable ?? '25%', wanted, 'down')
  // Both may round to nothing; without one of either no rollout could ever move.
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable }
}

/** How many pods above its size a Deployment may have; 0 unless it rolls. */
export function maxSurgeOf(deployment: Deployment): number {
  return isRolling(deployment) ? fenceposts(deployment).surge : 0
}

/** How many of its pods may be unavailable while it rolls; 0 unless it rolls. */
export function maxUnavailableOf(deployment: Deployment): number {
  if (!isRolling(deployment) || wantedOf(deployment) === 0) return 0
  return Math.min(fenceposts(deployment).unavailable, wantedOf(deployment))
}

/** The size of the current ReplicaSet that the surge allows. `all` has it among them if it exists. */
export function nextSizeOfNew(deployment: Deployment, current: ReplicaSet | undefined, all: readonly ReplicaSet[]): number {
  const wanted = wantedOf(deployment)
  if (!isRolling(deployment)) return wanted
  const size = current === undefined ? 0 : replicasOf(current)
  if (size >= wanted) return wanted
  const room = wanted + maxSurgeOf(deployment) - sum(all, replicasOf)
  return room <= 0 ? size : size + Math.min(room, wanted - size)
}

/** New sizes by name. */
export type Sizes = ReadonlyMap<string, number>

/**
 * Sizes that old ReplicaSets can shrink to without leaving fewer pods available than allowed. Pods that are not healthy go first, whichever
 * set they belong to, since they only hold the rollout up; after that the oldest sets.
 *
 * With 10 wanted, maxUnavailable 2, maxSurge 3, old 8 (all available), new 5 (none available): 13 - 8 - 5 = 0 may go.
 */
export function nextSizesOfOld(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): Sizes {
  const sizes = new Map<string, number>()
  const minAvailable = wantedOf(deployment) - maxUnavailableOf(deployment)
  const total = sum(old, replicasOf) + replicasOf(current)
  const newUnavailable = replicasOf(current) - availableOf(current)
  const mayGo = total - minAvailable - newUnavailable
  if (mayGo <= 0) return sizes
  const oldest = old.toSorted(byCreation)
  let cleaned = 0
  for (const set of oldest) {
    const unhealthy = Math.min(mayGo - cleaned, replicasOf(set) - availableOf(set))
    if (unhealthy <= 0) continue
    sizes.set(set.metadata.name, replicasOf(set) - unhealthy)
    cleaned += unhealthy
  }
  let surplus = sum(old, availableOf) + availableOf(current) - minAvailable
  for (const set of oldest) {
    const size = sizes.get(set.metadata.name) ?? replicasOf(set)
    const down = Math.min(size, surplus)
    if (down <= 0) continue
    sizes.set(set.metadata.name, size - down)
    surplus -= down
  }
  return sizes
}

export interface ProportionInput {
  readonly deployment: Deployment
  /** ReplicaSets with a size above 0. */
  readonly active: readonly ReplicaSet[]
  /** The Deployment's size plus surge when the set was last sized; `undefined` when it is not known. */
  readonly maxBefore: (set: ReplicaSet) => number | undefined
}

/** Spreads a change of the Deployment's size over several ReplicaSets in the middle of a rollout, in proportion to their sizes. */
export function proportionalSizes({ deployment, active, maxBefore }: ProportionInput): Sizes {
  const wanted = wantedOf(deployment)
  const allowed = wanted > 0 ? wanted + maxSurgeOf(deployment) : 0
  const toAdd = allowed - sum(active, replicasOf)
  // Of equal sizes, growth goes to the newest first and shrinking takes from the oldest first.
  const ordered = active.toSorted((a, b) => replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byCreation(b, a) : byCreation(a, b)))
  const sizes = new Map<string, number>()
  let added = 0
  for (const set of ordered) {
    const size = replicasOf(set)
    const left = toAdd - added
    const share = left === 0 ? 0 : shareOf(deployment, set, maxBefore(set))
    const change = toAdd > 0 ? Math.min(share, left) : Math.max(share, left)
    sizes.set(set.metadata.name, size + change)
    added += change
  }
  const largest = ordered[0]
  if (largest !== undefined) {
    const { name } = largest.metadata
    sizes.set(name, Math.max(0, (sizes.get(name) ?? 0) + toAdd - added))
  }
  return sizes
}

function shareOf(deployment: Deployment, set: ReplicaSet, maxBefore: number | undefined): number {
  const size = replicasOf(set)
  if (wantedOf(deployment) === 0) return -size
  const before = maxBefore || (deployment.status?.replicas ?? 0)
  if (before === 0) return 0
  return Math.round((size * (wantedOf(deployment) + maxSurgeOf(deployment))) / before) - size
}
