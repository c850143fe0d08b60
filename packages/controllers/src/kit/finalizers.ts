import { hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { Client } from '@k3s/client'

export function hasFinalizer(object: KubernetesObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) === true
}

/** Removes one finalizer and leaves the others, whoever changes them meanwhile. False when the object was gone. */
export async function removeFinalizer<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { name, namespace, uid } = object.metadata
  const resource = client.resource(type)
  let current = object
  for (let attempt = 0; ; attempt++) {
    const index = current.metadata.finalizers?.indexOf(finalizer) ?? -1
    if (index < 0) return true
    const path = `/metadata/finalizers/${index}`
    const patch = [
      { op: 'test', path: '/metadata/uid', value: uid },
      { op: 'test', path, value: finalizer },
      { op: 'remove', path },
    ]
    try {
      await resource.patch(name, patch, { type: 'json', namespace, signal })
      return true
    } catch (error) {
      if (hasReason(error, 'NotFound')) return false
      // A test that fails is answered with Invalid: the list has changed since it was read.
      if (!hasReason(error, 'Invalid', 'Conflict') || attempt >= 2) throw error
    }
    try {
      current = await resource.get(name, { namespace, signal })
    } catch (error) {
      if (hasReason(error, 'NotFound')) return false
      throw error
    }
    if (current.metadata.uid !== uid) return false
  }
}
