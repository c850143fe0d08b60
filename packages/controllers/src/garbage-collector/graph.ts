import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { OwnerReference } from '@k3s/api/types/meta/v1'

export const foregroundFinalizer = 'foregroundDeletion'
export const orphanFinalizer = 'orphan'

/** An object as the garbage collector knows it. */
export interface GraphNode {
  readonly uid: string
  /** False for an owner that is only known by references to it: it may not exist. */
  readonly isObserved: boolean
  /** As observed, or as the first reference names it; `undefined` when the kind of the reference is not served. */
  readonly type: ResourceType | undefined
  readonly namespace: string
  readonly name: string
  readonly owners: readonly OwnerReference[]
  readonly isBeingDeleted: boolean
  /** Deletion waits until the dependents that block it are gone. */
  readonly awaitsDependents: boolean
  /** Deletion waits until the dependents have been told that they have no owner. */
  readonly awaitsOrphaning: boolean
}

/** What to look at because of a change; uids of nodes. */
export interface GraphWork {
  readonly attemptDelete: readonly string[]
  readonly orphanDependents: readonly string[]
}

type MutableNode = { -readonly [K in keyof GraphNode]: GraphNode[K] } & { readonly dependents: Set<string> }

/**
 * Objects by uid, and who owns whom. An owner that was deleted, or not seen yet, stays as an unobserved node while anyone refers to it:
 *
 * ```
 * observe(pod owned by rs-1)    rs-1 unobserved, attemptDelete [rs-1]: is it there at all?
 * observe(rs-1)                 rs-1 observed
 * forget(rs-1)                  rs-1 unobserved, attemptDelete [pod]
 * forget(pod)                   both gone
 * ```
 */
export class OwnerGraph {
  readonly #nodes = new Map<string, MutableNode>()
  readonly #typeOf: (reference: OwnerReference) => ResourceType | undefined

  /** `typeOf` resolves the kind of an owner reference; `undefined` when it is not served. */
  constructor(typeOf: (reference: OwnerReference) => ResourceType | undefined) {
    this.#typeOf = typeOf
  }

  get size(): number {
    return this.#nodes.size
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid)
  }

  /** Observed objects that refer to this owner. */
  dependentsOf(uid: string): readonly GraphNode[] {
    return [...(this.#nodes.get(uid)?.dependents ?? [])].map((id) => this.#nodes.get(id)).filter((node) => node !== undefined)
  }

  /** Dependents whose reference says that the owner must not go before them. */
  blockersOf(uid: string): readonly GraphNode[] {
    return this.dependentsOf(uid).filter(({ owners }) => owners.some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true))
  }

  /** Objects that refer to an owner of a kind that was not served when they were observed. */
  withUnresolvedOwner(): readonly string[] {
    const owners = [...this.#nodes.values()].filter(({ isObserved, type }) => !isObserved && type === undefined)
    return owners.flatMap(({ dependents }) => [...dependents])
  }

  /** Takes in an object that was added or changed. */
  observe(type: ResourceType, object: KubernetesObject): GraphWork {
    const { uid = '', namespace = '', name, ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata
    const before = this.#nodes.get(uid)
    const isBeingDeleted = deletionTimestamp !== undefined
    const next = {
      uid,
      isObserved: true,
      type,
      namespace,
      name,
      owners: ownerReferences,
      isBeingDeleted,
      awaitsDependents: isBeingDeleted && finalizers.includes(foregroundFinalizer),
      awaitsOrphaning: isBeingDeleted && finalizers.includes(orphanFinalizer),
    }
    const startsWaiting = next.awaitsDependents && before?.awaitsDependents !== true
    const startsOrphaning = next.awaitsOrphaning && before?.awaitsOrphaning !== true
    const previousOwners = before?.owners ?? []
    const node: MutableNode = before === undefined ? { ...next, dependents: new Set() } : Object.assign(before, next)
    this.#nodes.set(uid, node)
    const attemptDelete = new Set<string>()
    for (const owner of ownerReferences) if (this.#link(node, owner)) attemptDelete.add(owner.uid)
    for (const owner of previousOwners) {
      const now = ownerReferences.find((reference) => reference.uid === owner.uid)
      if (now === undefined) this.#unlink(node, owner.uid)
      // Whoever waits for this dependent need not any longer.
      const unblocks = owner.blockOwnerDeletion === true && now?.blockOwnerDeletion !== true
      if (unblocks && this.#nodes.get(owner.uid)?.awaitsDependents === true) attemptDelete.add(owner.uid)
    }
    if (startsWaiting) for (const dependent of node.dependents) attemptDelete.add(dependent)
    if (startsWaiting) attemptDelete.add(uid)
    return { attemptDelete: [...attemptDelete], orphanDependents: startsOrphaning ? [uid] : [] }
  }

  /** Takes in that an object is gone. */
  forget(uid: string): GraphWork {
    const node = this.#nodes.get(uid)
    if (node === undefined) return { attemptDelete: [], orphanDependents: [] }
    const waiting = node.owners.map((owner) => owner.uid).filter((owner) => this.#nodes.get(owner)?.awaitsDependents === true)
    const attemptDelete = [...node.dependents, ...waiting]
    for (const owner of node.owners) this.#unlink(node, owner.uid)
    Object.assign(node, { isObserved: false, owners: [], awaitsDependents: false, awaitsOrphaning: false })
    this.#dropIfUnused(node)
    return { attemptDelete, orphanDependents: [] }
  }

  /** True when the owner had to be made up. */
  #link(node: MutableNode, owner: OwnerReference): boolean {
    const known = this.#nodes.get(owner.uid)
    if (known !== undefined) {
      known.dependents.add(node.uid)
      if (known.isObserved || known.type !== undefined) return false
      // Named while its kind was not served: now it can be looked for.
      const type = this.#typeOf(owner)
      if (type === undefined) return false
      Object.assign(known, { type, namespace: type.namespaced ? node.namespace : '' })
      return true
    }
    const type = this.#typeOf(owner)
    this.#nodes.set(owner.uid, {
      uid: owner.uid,
      isObserved: false,
      type,
      namespace: type?.namespaced === false ? '' : node.namespace,
      name: owner.name,
      owners: [],
      isBeingDeleted: false,
      awaitsDependents: false,
      awaitsOrphaning: false,
      dependents: new Set([node.uid]),
    })
    return true
  }

  #unlink(node: MutableNode, owner: string): void {
    const known = this.#nodes.get(owner)
    known?.dependents.delete(node.uid)
    if (known !== undefined) this.#dropIfUnused(known)
  }

  #dropIfUnused(node: MutableNode): void {
    if (!node.isObserved && node.dependents.size === 0) this.#nodes.delete(node.uid)
  }
}
