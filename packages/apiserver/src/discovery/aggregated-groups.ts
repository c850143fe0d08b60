import type { ResourceTable } from '../registry/resource-table.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import { mergedGroups, type MergedVersion, type RemoteVersions } from './merged-groups.ts'

/** An APIGroupDiscoveryList of `/api` (only the core group) or of `/apis` (all others). */
export function aggregatedGroups(table: ResourceTable, remote: RemoteVersions | undefined, isLegacy: boolean): object {
  const groups = mergedGroups(table, remote, 'group').filter(({ group }) => (group === '') === isLegacy)
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: group === '' ? {} : { name: group, creationTimestamp: null },
      versions: versions.map((version) => versionEntry(table, version)),
    })),
  }
}

function versionEntry(table: ResourceTable, { group, version, remote }: MergedVersion): object {
  if (remote === undefined) return { version, resources: table.inVersion(group, version).map(resourceEntry), freshness: 'Current' }
  const { resources = [], freshness } = remote
  return { version, ...(resources.length === 0 ? {} : { resources }), freshness }
}

/** Upstream's has no version for the core group. */
const responseKind = ({ group, version, kind }: Pick<ServedResource['info'], 'group' | 'version' | 'kind'>): object => ({
  group,
  version: group === '' ? '' : version,
  kind,
})

function resourceEntry({ info }: ServedResource): object {
  return {
    resource: info.resource,
    responseKind: responseKind(info),
    scope: info.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: info.singular,
    verbs: info.verbs,
    ...(info.shortNames.length === 0 ? {} : { shortNames: info.shortNames }),
    ...(info.categories.length === 0 ? {} : { categories: info.categories }),
    ...(info.subresources.length === 0
      ? {}
      : {
          subresources: info.subresources.map(({ name, group, version, kind, verbs }) => ({
            subresource: name,
            responseKind: responseKind({ group, version, kind }),
            verbs,
          })),
        }),
  }
}
