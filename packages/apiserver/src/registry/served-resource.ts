import {
  apiVersionOf,
  withNulls,
  type JsonObject,
  type KubernetesObject,
  type MergeSchema,
  type ReplicasPaths,
  type ResourceInfo,
  type ResourceType,
  type TypeSchema,
} from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import type { HeavyDefinition } from '../off-loop/heavy-definition.ts'
import type { PublishedSchema } from '../custom-resources/open-api.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { ExactNumbers } from '../watch-cache/exact-numbers.ts'
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

/** How a version of a custom resource sees what is stored, which may be in any version and older than its schema. */
export interface StorageView {
  /** The object in this version; undefined when it has to be prepared first: it is long, or a webhook converts it. */
  at(object: CachedObject): CachedObject | undefined
  /** Makes `at` answer for these objects, in several turns of the event loop when they are many or large. Throws what keeps them from being converted. */
  prepare(objects: readonly CachedObject[], signal: AbortSignal): Promise<void>
  /** The value to store for an object of this version, with `exact` numbers as they came. */
  encode(object: KubernetesObject, signal: AbortSignal, exact?: ExactNumbers): Promise<Buffer>
}

/** Where the replicas of a custom resource stand. */
export interface ScalePaths {
  readonly spec: readonly string[]
  readonly status: readonly string[]
  readonly selector: readonly string[] | undefined
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
  /** Of custom resources: `resource` and `strategy` are of the served version, the cache holds what is stored. */
  readonly view?: StorageView | undefined
  /** How server-side apply sees objects without a `schema`; absent: by their values. */
  readonly mergeSchema?: MergeSchema | undefined
  /** Custom resources without a status subresource: `status` is written and counted like everything else. */
  readonly hasPlainStatus?: boolean | undefined
}

/** The object in the version of the storage. Throws when it cannot be converted. */
export function viewOf({ view }: ResourceStorage, object: CachedObject, signal: AbortSignal): CachedObject | Promise<CachedObject> {
  if (view === undefined) return object
  return view.at(object) ?? view.prepare([object], signal).then(() => preparedView(view, object))
}

/** As {@link viewOf}, of many. */
export async function viewsOf(
  { view }: ResourceStorage,
  objects: readonly CachedObject[],
  signal: AbortSignal,
): Promise<readonly CachedObject[]> {
  if (view === undefined) return objects
  await view.prepare(objects, signal)
  return objects.map((object) => preparedView(view, object))
}

/** The view of an object that was prepared. */
export function preparedView(view: StorageView, object: CachedObject): CachedObject {
  const ready = view.at(object)
  invariant(ready !== undefined, 'objects are prepared before they are looked at')
  return ready
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
  /** Present on custom resources. */
  readonly custom?: CustomFacts | undefined
}

/** What is special about serving a custom resource. */
export interface CustomFacts {
  /** Fills the storage at its first use; `storage` is there when it has resolved. */
  open(signal: AbortSignal): Promise<void>
  /** Brings a decoded object into the form of its schema, in place: metadata, unknown fields, nulls. Answers with the paths of unknown fields. Throws BadRequest. */
  coerce(object: Record<string, unknown>): readonly string[]
  /** Brings an object into the form of a version's schema, in place; one that was stored gets its defaults, too. Throws BadRequest. */
  shape(object: Record<string, unknown>, how: { readonly version: string; readonly isStored: boolean }): void
  /** The object in this version; a new one when it is in another. Throws what keeps it from being converted. */
  convert(object: KubernetesObject, signal: AbortSignal): Promise<KubernetesObject>
  /** Aborts when this version is served no more, or by another definition: watches end. */
  readonly retired: AbortSignal
  /** What users of a deprecated version are warned with. */
  readonly warning: string | undefined
  readonly scale: ScalePaths | undefined
  /** Where the replicas stand in every version of the definition. */
  readonly replicasPaths: ReplicasPaths
  /** Its definition is being deleted: nothing new may come. */
  readonly isTerminating: boolean
  /** For OpenAPI documents. */
  readonly published: PublishedSchema
  /** For work on its objects elsewhere; absent: there is no such place. */
  readonly definition?: HeavyDefinition | undefined
  /** Part of discovery: its definition is established. */
  readonly isAnnounced: boolean
}

/** The served form of a stored object. */
export function toServed(served: ServedResource, object: KubernetesObject): KubernetesObject {
  return served.conversion === undefined ? object : served.conversion.fromStored(object)
}

/** The served form as clients read it: with null where upstream writes it for nothing. */
export function toWire({ schema }: Pick<ServedResource, 'schema'>, object: KubernetesObject): KubernetesObject {
  // API objects are JSON objects, and stay what they are.
  return schema === undefined ? object : (withNulls(object as unknown as JsonObject, schema) as unknown as KubernetesObject)
}

/** The stored form of a served object; the argument itself when the versions are the same. */
export function toStored(served: ServedResource, object: KubernetesObject): KubernetesObject {
  return served.conversion === undefined ? object : served.conversion.toStored(object)
}

export function apiVersionOfServed(served: ServedResource): string {
  return apiVersionOf(served.type)
}
