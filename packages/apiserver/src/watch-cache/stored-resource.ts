import { apiVersionOf, type ResourceType } from '@k3s/api'

/** One kind of object as the datastore keeps it: where, and in which version. */
export interface StoredResource {
  /** The version that is stored. */
  readonly type: ResourceType
  /** `/registry/pods/`, with the trailing slash. */
  readonly prefix: string
  /** How every encoded object begins: `{"apiVersion":"v1","kind":"Pod","metadata":{`. */
  readonly head: string
  /** Length of the part of `head` that list items go without: `"apiVersion":"v1","kind":"Pod",`. */
  readonly typeHeadLength: number
}

// Upstream's exceptions to `/registry/RESOURCE` (its storage factory): kept so that a K3s datastore can be taken over.
const prefixes: Readonly<Record<string, string>> = {
  nodes: 'minions',
  services: 'services/specs',
  endpoints: 'services/endpoints',
  replicationcontrollers: 'controllers',
  'ingresses.networking.k8s.io': 'ingress',
  'customresourcedefinitions.apiextensions.k8s.io': 'apiextensions.k8s.io/customresourcedefinitions',
  'apiservices.apiregistration.k8s.io': 'apiregistration.k8s.io/apiservices',
}

/** Describes a resource that is stored. `isCustom` puts it under its group's name, as upstream does for custom resources. */
export function storedResource(type: ResourceType, options: { readonly isCustom?: boolean | undefined } = {}): StoredResource {
  const qualified = type.group === '' ? type.resource : `${type.resource}.${type.group}`
  const path = prefixes[qualified] ?? (options.isCustom === true ? `${type.group}/${type.resource}` : type.resource)
  const typeHead = `"apiVersion":${JSON.stringify(apiVersionOf(type))},"kind":${JSON.stringify(type.kind)},`
  return { type, prefix: `/registry/${path}/`, head: `{${typeHead}"metadata":{`, typeHeadLength: typeHead.length }
}

/** `ns/name`, or `name` for cluster-scoped resources: what follows the prefix. */
export function relativeKey(resource: StoredResource, namespace: string, name: string): string {
  return resource.type.namespaced ? `${namespace}/${name}` : name
}
