import type { KubernetesObject, ResourceType } from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import type { ResourceTable } from './resource-table.ts'
import { toServed } from './served-resource.ts'
import type { ObjectReader } from './strategy.ts'

/** Reads from the watch caches. Asking for a resource that is not served is a bug of the caller. */
export function createObjectReader(table: () => ResourceTable | undefined): ObjectReader {
  const lookup = (type: ResourceType) => {
    const served = table()?.find(type)
    invariant(served?.storage !== undefined, `${type.resource} of ${type.group} ${type.version} is stored`)
    return { served, storage: served.storage }
  }
  return {
    get: <T extends KubernetesObject>(type: ResourceType<T>, namespace: string, name: string): T | undefined => {
      const { served, storage } = lookup(type)
      const object = storage.cache.objects.get(relativeKey(storage.resource, namespace, name))?.object
      // Objects of a ResourceType<T> are T: that is what the type argument states.
      return object === undefined ? undefined : (toServed(served, object) as T)
    },
    list: <T extends KubernetesObject>(type: ResourceType<T>, namespace = ''): readonly T[] => {
      const { served, storage } = lookup(type)
      const prefix = type.namespaced && namespace !== '' ? `${namespace}/` : ''
      return storage.cache.objects.slice(prefix).map((object) => toServed(served, object.object) as T) // as above
    },
  }
}
