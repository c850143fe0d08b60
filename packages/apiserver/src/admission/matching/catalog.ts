import type { ResourceType } from '@k3s/api'
import type { ResourceTable } from '../../registry/resource-table.ts'
import type { ServedResource } from '../../registry/served-resource.ts'

export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

export type ResourceName = Pick<ResourceType, 'group' | 'version' | 'resource'>

/** What is served, as admission asks about it. */
export interface Catalog {
  find(resource: ResourceName): ServedResource | undefined
  /** The resource that objects of a kind are of. */
  ofKind(kind: GroupVersionKind): ServedResource | undefined
  /** All versions in which the same objects are served, the given one among them when it is. Of a subresource: those that have it. */
  equivalents(resource: ResourceName, subresource: string): readonly ServedResource[]
}

/** Reads the table of resources; what it finds is remembered until the table changes. */
export function catalogOf(table: () => ResourceTable | undefined): Catalog {
  let generation = -1
  const remembered = new Map<string, readonly ServedResource[]>()
  const all = (): readonly ServedResource[] => [...(table()?.all ?? [])]
  const recall = (key: string, make: () => readonly ServedResource[]): readonly ServedResource[] => {
    const now = table()?.generation ?? -1
    if (now !== generation) remembered.clear()
    generation = now
    const known = remembered.get(key)
    if (known !== undefined) return known
    const made = make()
    remembered.set(key, made)
    return made
  }
  return {
    find: (resource) => table()?.find(resource),
    ofKind: ({ group, version, kind }) =>
      recall(`kind ${group}/${version}/${kind}`, () =>
        all().filter(({ type }) => type.group === group && type.version === version && type.kind === kind),
      )[0],
    equivalents: (resource, subresource) =>
      recall(`same ${resource.group}/${resource.version}/${resource.resource}/${subresource}`, () => {
        const own = table()?.find(resource)
        if (own === undefined) return []
        return all().filter(
          (other) =>
            (other === own || isSame(own, other)) &&
            (subresource === '' || other.info.subresources.some(({ name }) => name === subresource)),
        )
      }),
  }
}

/** Custom resources have a storage for each version; what is built in shares one. */
function isSame(own: ServedResource, other: ServedResource): boolean {
  if (own.custom !== undefined) {
    return other.custom !== undefined && other.type.group === own.type.group && other.type.resource === own.type.resource
  }
  return other.custom === undefined && own.storage !== undefined && other.storage === own.storage
}

/** The kind of what is sent to a resource or to one of its subresources. */
export function kindOf({ type, info }: ServedResource, subresource: string): GroupVersionKind {
  const { group, version, kind } = info.subresources.find(({ name }) => name === subresource) ?? type
  return { group, version, kind }
}
