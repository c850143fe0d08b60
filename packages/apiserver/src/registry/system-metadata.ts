import type { KubernetesObject } from '@k3s/api'

/** Sets what the server owns of a new object's metadata. */
export function fillSystemMetadata(object: KubernetesObject, at: { readonly now: string; readonly uid: string }): void {
  const { metadata } = object
  metadata.creationTimestamp = at.now
  metadata.uid = at.uid
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  delete metadata.selfLink
}

/** Takes back what an update cannot change of metadata; follows rest.BeforeUpdate. What it leaves different is for the rules of updates to refuse. */
export function keepSystemMetadata(object: KubernetesObject, previous: KubernetesObject): void {
  const [now, then] = [object.metadata, previous.metadata]
  if (then.generation === undefined) delete now.generation
  else now.generation = then.generation
  if (then.uid !== undefined && (now.uid ?? '') === '') now.uid = then.uid
  if (then.creationTimestamp !== undefined) now.creationTimestamp = then.creationTimestamp
  if (then.deletionTimestamp !== undefined) now.deletionTimestamp = then.deletionTimestamp
  if (then.deletionGracePeriodSeconds !== undefined) now.deletionGracePeriodSeconds ??= then.deletionGracePeriodSeconds
  delete now.selfLink
}
