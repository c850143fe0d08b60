import { hasReason, matchesSelector, type KubernetesObject, type ResourceType, type Selector } from '@k3s/api'
import type { OwnerReference } from '@k3s/api/types/meta/v1'
import type { Client } from '@k3s/client'
import { controllerOf, controllerReference, isControlledBy } from './owners.ts'

/** What a controller does about objects that its selector selects or that name it as their controller. */
export interface ClaimPlan<T> {
  /** Controlled by the owner and selected. */
  readonly owned: readonly T[]
  /** Selected, and controlled by nobody. */
  readonly adopt: readonly T[]
  /** Controlled by the owner, but no longer selected. */
  readonly release: readonly T[]
}

/** Sorts `objects` (of the owner's namespace) by what the owner should do with each. An owner that is being deleted neither adopts nor releases. */
export function planClaims<T extends KubernetesObject>(owner: KubernetesObject, selector: Selector, objects: readonly T[]): ClaimPlan<T> {
  const [owned, adopt, release]: [T[], T[], T[]] = [[], [], []]
  const isOwnerGoing = owner.metadata.deletionTimestamp !== undefined
  for (const object of objects) {
    const isSelected = matchesSelector(selector, object.metadata.labels)
    if (isControlledBy(object, owner)) {
      if (isSelected) owned.push(object)
      else if (!isOwnerGoing) release.push(object)
    } else if (controllerOf(object) === undefined && isSelected && !isOwnerGoing && object.metadata.deletionTimestamp === undefined) {
      adopt.push(object)
    }
  }
  return { owned, adopt, release }
}

export interface ClaimOptions<T extends KubernetesObject> {
  readonly client: Client
  readonly owner: KubernetesObject
  readonly ownerType: ResourceType
  readonly type: ResourceType<T>
  readonly selector: Selector
  /** What an adopted object gets and a released one loses. */
  readonly finalizer?: string | undefined
  readonly signal: AbortSignal
}

/**
 * Carries out {@link planClaims} and gives what the owner now controls. Before it adopts, it reads the owner live: one that was deleted or
 * replaced meanwhile must not get new children. Objects that vanish on the way are left out.
 */
export async function claim<T extends KubernetesObject>(options: ClaimOptions<T>, objects: readonly T[]): Promise<readonly T[]> {
  const { client, owner, ownerType, type, selector, signal } = options
  const plan = planClaims(owner, selector, objects)
  if (plan.adopt.length === 0 && plan.release.length === 0) return plan.owned
  const setOwners = async (object: T, ownerReferences: readonly OwnerReference[], isAdopted: boolean): Promise<T | undefined> => {
    const { name, namespace, uid, resourceVersion, finalizers = [] } = object.metadata
    const others = finalizers.filter((other) => other !== options.finalizer)
    const own = options.finalizer === undefined || !isAdopted ? [] : [options.finalizer]
    const marks = options.finalizer === undefined ? {} : { finalizers: [...others, ...own] }
    try {
      // With the version, so that nobody else's reference is lost.
      const patch = { metadata: { uid, resourceVersion, ownerReferences, ...marks } }
      return await client.resource(type).patch(name, patch, { type: 'merge', namespace, signal })
    } catch (error) {
      if (hasReason(error, 'NotFound', 'Invalid')) return undefined
      throw error
    }
  }
  for (const object of plan.release) {
    const others = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid)
    await setOwners(object, others, false)
  }
  if (plan.adopt.length === 0) return plan.owned
  const fresh = await client.resource(ownerType).get(owner.metadata.name, { namespace: owner.metadata.namespace, signal })
  if (fresh.metadata.uid !== owner.metadata.uid || fresh.metadata.deletionTimestamp !== undefined) return plan.owned
  const adopted: T[] = []
  for (const object of plan.adopt) {
    const references = [...(object.metadata.ownerReferences ?? []), controllerReference(owner, ownerType)]
    const patched = await setOwners(object, references, true)
    if (patched !== undefined) adopted.push(patched)
  }
  return [...plan.owned, ...adopted]
}
