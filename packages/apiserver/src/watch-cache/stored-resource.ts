import { apiVersionOf, schemaOf, type KubernetesObject, type ResourceType, type TypeSchema } from '@k3s/api'

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
  /** Of built-in resources: says where values hold null for nothing. Objects in memory have empty lists and maps there, and no times. */
  readonly schema: TypeSchema | undefined
  /** Fills in what new objects are stored without, and says whether anything was missing. */
  readonly complete?: ((object: KubernetesObject) => boolean) | undefined
  /** Of custom resources, whose objects are stored in several versions: the same resource in another version. */
  readonly inVersion?: ((apiVersion: string) => StoredResource) | undefined
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
export function storedResource(
  type: ResourceType,
  options: { readonly isCustom?: boolean | undefined; readonly complete?: StoredResource['complete'] } = {},
): StoredResource {
  if (options.isCustom === true) return customVersions(type)(apiVersionOf(type))
  const qualified = type.group === '' ? type.resource : `${type.resource}.${type.group}`
  const resource = describe(type, `/registry/${prefixes[qualified] ?? type.resource}/`)
  return { ...resource, schema: schemaOf(apiVersionOf(type), type.kind), complete: options.complete }
}

function describe(type: ResourceType, prefix: string): StoredResource {
  const typeHead = `"apiVersion":${JSON.stringify(apiVersionOf(type))},"kind":${JSON.stringify(type.kind)},`
  return { type, prefix, head: `{${typeHead}"metadata":{`, typeHeadLength: typeHead.length, schema: undefined }
}

/** All versions of a custom resource, each described once. */
function customVersions(type: ResourceType): (apiVersion: string) => StoredResource {
  const known = new Map<string, StoredResource>()
  const inVersion = (apiVersion: string): StoredResource => {
    let resource = known.get(apiVersion)
    if (resource === undefined) {
      const version = apiVersion.slice(apiVersion.indexOf('/') + 1)
      resource = { ...describe({ ...type, version }, `/registry/${type.group}/${type.resource}/`), inVersion }
      known.set(apiVersion, resource)
    }
    return resource
  }
  return inVersion
}

/** `ns/name`, or `name` for cluster-scoped resources: what follows the prefix. */
export function relativeKey(resource: StoredResource, namespace: string, name: string): string {
  return resource.type.namespaced ? `${namespace}/${name}` : name
}
