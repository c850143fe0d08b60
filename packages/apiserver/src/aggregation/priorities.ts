import { greatestOf } from '@k3s/lifecycle'
import { compareVersions } from '../registry/versions/compare-versions.ts'

/** Where a group version stands among the others: higher first. */
export interface Priority {
  readonly group: number
  readonly version: number
}

/** Upstream's own list: what no rule yields. */
const builtIn: ReadonlyMap<string, Priority> = new Map(
  (
    [
      ['v1.', 18_000, 1],
      // Registered by no APIService and always first.
      ['v1.apiregistration.k8s.io', 20_001, 0],
      ['v1.apps', 17_800, 15],
      ['v1.events.k8s.io', 17_750, 15],
      ['v1.authentication.k8s.io', 17_700, 15],
      ['v1.authorization.k8s.io', 17_600, 15],
      ['v1.autoscaling', 17_500, 15],
      ['v2.autoscaling', 17_500, 30],
      ['v1.batch', 17_400, 15],
      ['v1.certificates.k8s.io', 17_300, 15],
      ['v1.networking.k8s.io', 17_200, 15],
      ['v1.policy', 17_100, 15],
      ['v1.rbac.authorization.k8s.io', 17_000, 15],
      ['v1.storage.k8s.io', 16_800, 15],
      ['v1.apiextensions.k8s.io', 16_700, 15],
      ['v1.admissionregistration.k8s.io', 16_700, 15],
      ['v1.scheduling.k8s.io', 16_600, 15],
      ['v1.coordination.k8s.io', 16_500, 15],
      ['v1.node.k8s.io', 16_300, 15],
      ['v1.discovery.k8s.io', 16_200, 15],
      ['v1.resource.k8s.io', 16_200, 21],
      ['v1.flowcontrol.apiserver.k8s.io', 16_100, 21],
    ] as const
  ).map(([name, group, version]) => [name, { group, version }]),
)

/** Of group versions that custom resources define. */
export const customPriority: Priority = { group: 1000, version: 100 }

/** Name of the APIService of a group version. */
export function apiServiceName(group: string, version: string): string {
  return `${version}.${group}`
}

/** Priority of a built-in group version; undefined for one that has no APIService of its own accord. */
export function builtInPriority(group: string, version: string): Priority | undefined {
  return builtIn.get(apiServiceName(group, version))
}

/** A group version with its rank. */
export interface RankedVersion {
  readonly group: string
  readonly version: string
  readonly priority: Priority
}

/** A group with its versions, preferred first. */
export interface RankedGroup<V extends RankedVersion> {
  readonly group: string
  readonly versions: readonly V[]
}

/**
 * Groups in the order in which discovery shows them. Of groups with the same priority the one whose first APIService has the lesser name
 * comes first; with `tie` `group` the one whose own name is less, as aggregated discovery has it.
 */
export function rankGroups<V extends RankedVersion>(versions: readonly V[], tie: 'service' | 'group'): readonly RankedGroup<V>[] {
  const groups = [...Map.groupBy(versions, ({ group }) => group)].map(([group, members]) => {
    const priority = greatestOf(members.map((member) => member.priority.group))
    const names = members.filter((member) => member.priority.group === priority).map(({ version }) => apiServiceName(group, version))
    return {
      group,
      priority,
      name: tie === 'group' ? group : (names.toSorted(byText)[0] ?? ''),
      versions: members.toSorted((a, b) => b.priority.version - a.priority.version || compareVersions(a.version, b.version)),
    }
  })
  return groups.toSorted((a, b) => b.priority - a.priority || byText(a.name, b.name))
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
