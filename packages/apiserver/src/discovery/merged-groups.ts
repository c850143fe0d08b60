import { apiServiceName, builtInPriority, customPriority, rankGroups, type Priority, type RankedGroup } from '../aggregation/priorities.ts'
import type { RemoteVersion } from '../aggregation/remote-discovery.ts'
import type { ResourceTable } from '../registry/resource-table.ts'

/** What other servers serve. */
export interface RemoteVersions {
  /** Counts changes. */
  readonly generation: number
  readonly versions: readonly RemoteVersion[]
}

/** A group version as discovery shows it; `remote` when another server answers it. */
export interface MergedVersion {
  readonly group: string
  readonly version: string
  readonly priority: Priority
  readonly remote: RemoteVersion | undefined
}

export type MergedGroup = RankedGroup<MergedVersion>

/** All groups, ours and those of other servers, in the order of their priorities. A version that another server was given is not ours. */
export function mergedGroups(table: ResourceTable, remote: RemoteVersions | undefined, tie: 'service' | 'group'): readonly MergedGroup[] {
  const versions = new Map<string, MergedVersion>()
  for (const { group, versions: own } of table.groups)
    for (const version of own) {
      const priority = builtInPriority(group, version) ?? customPriority
      versions.set(apiServiceName(group, version), { group, version, priority, remote: undefined })
    }
  for (const one of remote?.versions ?? []) {
    const { group, version, priority } = one
    versions.set(apiServiceName(group, version), { group, version, priority, remote: one })
  }
  return rankGroups([...versions.values()], tie)
}
