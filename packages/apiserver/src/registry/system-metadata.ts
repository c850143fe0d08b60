import { decodeObject, type KubernetesObject } from '@k3s/api'
import type { ResourceStorage } from './served-resource.ts'

/** Puts back parts that rules took away and that upstream always writes, such as an empty `status`. */
export function completeZeros({ schema }: Pick<ResourceStorage, 'schema'>, object: KubernetesObject): void {
  const fields = object as KubernetesObject & Record<string, unknown> // any object
  for (const { name, value, isPointer } of schema?.fields ?? []) {
    if (value.kind === 'ref' && !isPointer && fields[name] === undefined) fields[name] = decodeObject({}, value.type).object
  }
}

/** Sets what the server owns of a new object's metadata. */
export function fillSystemMetadata(object: KubernetesObject, at: { readonly now: string; readonly uid: string }): void {
  const { metadata } = object
  metadata.creationTimestamp = at.now
  metadata.uid = at.uid
}

/** Takes away what a client may not say of a new object, before anything looks at it. */
export function wipeSystemMetadata({ metadata }: KubernetesObject): void {
  delete metadata.creationTimestamp
  delete metadata.uid
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
