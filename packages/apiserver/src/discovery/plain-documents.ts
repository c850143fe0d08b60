import type { ResourceTable } from '../registry/resource-table.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import type { MergedGroup } from './merged-groups.ts'

const versionEntry = (group: string, version: string) => ({ groupVersion: `${group}/${version}`, version })

/** `/api`. */
export function legacyVersionsDocument(): object {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '' }] }
}

/** `/apis`. */
export function groupListDocument(groups: readonly MergedGroup[]): object {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.filter(({ group }) => group !== '').map(groupEntry) }
}

/** `/apis/GROUP`; undefined for a group that is not served. */
export function groupDocument(groups: readonly MergedGroup[], group: string): object | undefined {
  const found = groups.find((candidate) => candidate.group === group && group !== '')
  return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(found) }
}

function groupEntry({ group, versions }: MergedGroup): object {
  return {
    name: group,
    versions: versions.map(({ version }) => versionEntry(group, version)),
    preferredVersion: versionEntry(group, versions[0]?.version ?? ''),
  }
}

/** `/api/v1` and `/apis/GROUP/VERSION`; undefined for a version that is not served. */
export function resourceListDocument(table: ResourceTable, group: string, version: string): object | undefined {
  const resources = table.inVersion(group, version)
  if (resources.length === 0) return undefined
  return {
    kind: 'APIResourceList',
    ...(group === '' ? {} : { apiVersion: 'v1' }),
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources: resources.flatMap((served) => [mainEntry(served), ...subresourceEntries(served)]),
  }
}

function mainEntry({ info }: ServedResource): object {
  return {
    name: info.resource,
    singularName: info.singular,
    namespaced: info.namespaced,
    kind: info.kind,
    verbs: info.verbs,
    ...(info.shortNames.length === 0 ? {} : { shortNames: info.shortNames }),
    ...(info.categories.length === 0 ? {} : { categories: info.categories }),
    ...(info.storageVersionHash === undefined ? {} : { storageVersionHash: info.storageVersionHash }),
  }
}

function subresourceEntries({ info }: ServedResource): object[] {
  return info.subresources.map((subresource) => {
    const isForeign = subresource.group !== info.group || subresource.version !== info.version
    return {
      name: `${info.resource}/${subresource.name}`,
      singularName: '',
      namespaced: info.namespaced,
      ...(isForeign ? { group: subresource.group, version: subresource.version } : {}),
      kind: subresource.kind,
      verbs: subresource.verbs,
    }
  })
}
