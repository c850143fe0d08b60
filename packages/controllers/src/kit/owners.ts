import { apiVersionOf, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { ObjectMeta, OwnerReference } from '@k3s/api/types/meta/v1'

/** The owner reference that is marked as the managing controller, if there is one. */
export function controllerOf(object: { readonly metadata: ObjectMeta }): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true)
}

/** True when the object's managing controller is exactly this owner, by uid. */
export function isControlledBy(object: { readonly metadata: ObjectMeta }, owner: KubernetesObject): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid
}

/** The reference that a controller puts on what it creates. */
export function controllerReference(owner: KubernetesObject, type: ResourceType): OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** Index function: objects by the uid of their managing controller; those without one under the empty string and their namespace. */
export function byController(object: KubernetesObject): readonly string[] {
  const owner = controllerOf(object)
  return [owner === undefined ? orphanKey(object.metadata.namespace ?? '') : owner.uid]
}

/** Name of the index that {@link byController} makes. */
export const controllerIndex = 'controller'

/** Value under which {@link byController} files the objects of a namespace that nobody controls. */
export function orphanKey(namespace: string): string {
  return `/${namespace}`
}

/** Sorts by creation, then name: a total order that does not depend on the cache. */
export function byCreation(a: KubernetesObject, b: KubernetesObject): number {
  const [first, second] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '']
  if (first !== second) return first < second ? -1 : 1
  return a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0
}
