import { notFound, type KubernetesObject, type ResourceType } from '@k3s/api'
import { invariant, type Clock } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import { copyJson } from '../json.ts'
import { nextTurn } from '../off-loop/json-in-turns.ts'
import { longBytes } from '../watch-cache/cached-object.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import { createObject } from './create-object.ts'
import { deleteObject } from './delete-object.ts'
import { readNewest } from './read-newest.ts'
import type { RegistryContext } from './registry-context.ts'
import type { ResourceTable } from './resource-table.ts'
import { toServed, toStored, type ServedResource, type ResourceStorage } from './served-resource.ts'
import type { ObjectReader, ResourceOperations } from './strategy.ts'
import { updateObject } from './update-object.ts'
import { writeScope, type WriteScope } from './write-scope.ts'

/** As whom the server writes for itself. */
export const serverUser: UserInfo = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }

export interface ResourceOperationsOptions {
  readonly context: RegistryContext
  readonly table: () => ResourceTable | undefined
  readonly objects: ObjectReader
  readonly clock: Clock
}

/** Changes from inside the server; see {@link ResourceOperations}. */
export function createResourceOperations({ context, table, objects, clock }: ResourceOperationsOptions): ResourceOperations {
  const lookup = (type: ResourceType): { readonly served: ServedResource; readonly storage: ResourceStorage } => {
    const served = table()?.find(type)
    invariant(served?.storage !== undefined, `${type.resource} of ${type.group} ${type.version} is stored`)
    return { served, storage: served.storage }
  }
  const scope = (
    namespace: string,
    options: { readonly dryRun?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): WriteScope =>
    writeScope({
      user: serverUser,
      namespace,
      dryRun: options.dryRun,
      clock,
      objects,
      signal: options.signal ?? new AbortController().signal,
      fieldManager: 'kube-apiserver',
      skipsAdmission: true,
    })
  return {
    async guaranteedUpdate<T extends KubernetesObject>(
      type: ResourceType<T>,
      at: { readonly namespace: string; readonly name: string },
      change: (object: T) => void,
      options: { readonly dryRun?: boolean | undefined; readonly signal?: AbortSignal | undefined } = {},
    ): Promise<T> {
      const { served, storage } = lookup(type)
      const { object } = await updateObject(context, {
        storage,
        ...at,
        subresource: '',
        scope: { ...scope(at.namespace, options), skipsRules: true },
        allowsMissingVersion: true,
        produce: async (current) => {
          const isLong = current.bytes.length > longBytes
          const copy = copyJson(toServed(served, current.object)) as T // objects of a ResourceType<T> are T
          if (isLong) await nextTurn()
          change(copy)
          if (isLong) await nextTurn()
          return toStored(served, copyJson(copy))
        },
      })
      return toServed(served, object.object) as T // as above
    },
    async get<T extends KubernetesObject>(type: ResourceType<T>, at: { readonly namespace: string; readonly name: string }): Promise<T> {
      const { served, storage } = lookup(type)
      const newest = await readNewest(context, storage, relativeKey(storage.resource, at.namespace, at.name), new AbortController().signal)
      if (newest === undefined) throw notFound(type, at.name)
      return toServed(served, newest.object) as T // as above
    },
    async create<T extends KubernetesObject>(
      type: ResourceType<T>,
      object: T,
      options: { readonly dryRun?: boolean | undefined } = {},
    ): Promise<T> {
      const { served, storage } = lookup(type)
      const stored = toStored(served, copyJson<KubernetesObject>(object))
      const created = await createObject(context, { storage, object: stored, scope: scope(object.metadata.namespace ?? '', options) })
      return toServed(served, created.object) as T // as above
    },
    async delete(type, at, { gracePeriodSeconds, uid, resourceVersion, dryRun = false }) {
      const { served, storage } = lookup(type)
      const options = { gracePeriodSeconds, uid, resourceVersion, dryRun }
      const { object } = await deleteObject(context, { storage, ...at, options, scope: scope(at.namespace, { dryRun }) })
      return toServed(served, object.object)
    },
  }
}
