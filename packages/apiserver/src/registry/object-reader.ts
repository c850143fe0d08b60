import type { KubernetesObject, ResourceType } from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import type { ResourceTable } from './resource-table.ts'
import { toServed, type ResourceStorage, type ServedResource } from './served-resource.ts'
import type { ObjectReader } from './strategy.ts'

// Namespaces whose lists are remembered for one resource.
const maxLists = 1000

interface KnownList {
  readonly epoch: number
  readonly lastChange: number
  /** Weak: it holds the parsed form of every object in it. */
  readonly list: WeakRef<readonly KubernetesObject[]>
}

/** Lists that were made and still hold: who asks for one with every request (bindings, a namespace's pods) gets the same array until something changes. */
class KnownLists {
  readonly #byServed = new WeakMap<ServedResource, Map<string, KnownList>>()

  list(served: ServedResource, { cache }: ResourceStorage, prefix: string): readonly KubernetesObject[] {
    const { epoch, lastChange } = cache
    let lists = this.#byServed.get(served)
    if (lists === undefined) this.#byServed.set(served, (lists = new Map()))
    const known = lists.get(prefix)
    const fresh = known?.epoch === epoch && known.lastChange === lastChange ? known.list.deref() : undefined
    if (fresh !== undefined) return fresh
    const list = cache.objects.slice(prefix).map(({ object }) => toServed(served, object))
    if (lists.size >= maxLists) lists.clear()
    lists.set(prefix, { epoch, lastChange, list: new WeakRef(list) })
    return list
  }
}

interface FoundResource {
  readonly served: ServedResource
  readonly storage: ResourceStorage
  /** Of the table in which it was found. */
  readonly generation: number
}

/** Reads from the watch caches. Asking for a resource that is not served is a bug of the caller. */
export function createObjectReader(table: () => ResourceTable | undefined): ObjectReader {
  const lists = new KnownLists()
  const known = new WeakMap<ResourceType, FoundResource>()
  const lookup = (type: ResourceType): FoundResource => {
    const all = table()
    const before = known.get(type)
    if (before !== undefined && before.generation === all?.generation) return before
    const served = all?.find(type)
    invariant(all !== undefined && served?.storage !== undefined, `${type.resource} of ${type.group} ${type.version} is stored`)
    const found = { served, storage: served.storage, generation: all.generation }
    known.set(type, found)
    return found
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
      return lists.list(served, storage, prefix) as readonly T[] // as above
    },
  }
}
