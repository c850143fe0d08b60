import type { RootMeta } from './scalars.ts'

/** What every API object has. Objects that come out of a cache are shared and deeply frozen: copy with `structuredClone` before changing one. */
export interface KubernetesObject {
  apiVersion?: string | undefined
  kind?: string | undefined
  metadata: RootMeta
}

/** A list as the API server answers it. Items carry no `apiVersion` and `kind` of their own. */
export interface KubernetesList<T> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly resourceVersion: string
    readonly continue?: string | undefined
    readonly remainingItemCount?: number | undefined
  }
  readonly items: readonly T[]
}

/** Names a resource of the API and carries the type of its objects. Generated ones are exported by `@k3s/api/types/<group>/<version>`. */
export interface ResourceType<T extends KubernetesObject = KubernetesObject> {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  /** Plural, lower case, as in URLs. */
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never present: ties `T` to the value. */
  readonly objectType?: T
}

/** `v1` or `apps/v1`. */
export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`
}

/** `pods` or `deployments.apps`, as error messages and RBAC name a resource. */
export function groupResourceOf(type: Pick<ResourceType, 'group' | 'resource'>): string {
  return type.group === '' ? type.resource : `${type.resource}.${type.group}`
}

/** Where a resource (or one object, when `name` is given) is served. An empty or absent `namespace` means all namespaces. */
export function resourcePath(
  type: ResourceType,
  at: { readonly namespace?: string | undefined; readonly name?: string | undefined; readonly subresource?: string | undefined } = {},
): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`
  const namespace = at.namespace !== undefined && at.namespace !== '' ? `/namespaces/${encodeURIComponent(at.namespace)}` : ''
  const name = at.name === undefined ? '' : `/${encodeURIComponent(at.name)}`
  return `${root}${namespace}/${type.resource}${name}${at.subresource === undefined ? '' : `/${at.subresource}`}`
}

/** `namespace/name`, or `name` for cluster-scoped objects: the key of caches and workqueues. */
export function objectKey(object: KubernetesObject): string {
  const { namespace, name } = object.metadata
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`
}

/** Reverses {@link objectKey}; `namespace` is empty for cluster-scoped objects. */
export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/')
  return slash < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}
