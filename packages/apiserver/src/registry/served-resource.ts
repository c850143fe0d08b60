import { apiVersionOf, type KubernetesObject, type ResourceInfo, type ResourceType, type TypeSchema } from '@k3s/api'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { StoredResource } from '../watch-cache/stored-resource.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { ResourceStrategy } from './strategy.ts'

/** How a served version that is not the stored one is turned into it and back. Both return new objects and change nothing of their argument. */
export interface VersionConversion {
  toStored(object: KubernetesObject): KubernetesObject
  fromStored(object: KubernetesObject): KubernetesObject
  /** Fields that this version's field selectors may use, with their names in the stored version; absent: those of the stored version. */
  readonly fieldLabels?: Readonly<Record<string, string>> | undefined
}

/** Where objects of a resource live, whatever version they are asked in. */
export interface ResourceStorage {
  readonly resource: StoredResource
  readonly cache: WatchCache
  /** Of the stored version. */
  readonly schema: TypeSchema | undefined
  /** Rules of the stored version. */
  readonly strategy: ResourceStrategy
  readonly hasGeneration: boolean
  /** Objects vanish by themselves after this long. */
  readonly ttlSeconds: number | undefined
  readonly garbageCollection: 'delete' | 'orphan' | 'unsupported'
  /** Authorization and admission read these objects: a write is answered when the cache has it. */
  readonly judgesRequests: boolean
  /** DELETE answers the object and not a Status. */
  readonly returnsDeleted: boolean
}

/** One resource in one version, as it is served. */
export interface ServedResource {
  readonly type: ResourceType
  readonly info: ResourceInfo
  /** Undefined for custom resources. */
  readonly schema: TypeSchema | undefined
  /** Undefined for resources that are never stored: reviews, bindings. */
  readonly storage: ResourceStorage | undefined
  /** Absent when the served version is the stored one. */
  readonly conversion: VersionConversion | undefined
  /** Converted objects, encoded. */
  readonly converted: WeakMap<CachedObject, Buffer>
  /** Rules of reviews and of subresources; of stored resources the same as the storage's. */
  readonly strategy: ResourceStrategy
}

/** The served form of a stored object. */
export function toServed(served: ServedResource, object: KubernetesObject): KubernetesObject {
  return served.conversion === undefined ? object : served.conversion.fromStored(object)
}

/** The stored form of a served object; the argument itself when the versions are the same. */
export function toStored(served: ServedResource, object: KubernetesObject): KubernetesObject {
  return served.conversion === undefined ? object : served.conversion.toStored(object)
}

export function apiVersionOfServed(served: ServedResource): string {
  return apiVersionOf(served.type)
}
