import type { ResourceType } from '@k3s/api'
import type { NamespaceCondition } from '@k3s/api/types/core/v1'
import { withCondition } from '../kit/conditions.ts'
import { messageOf } from '../kit/pod-control.ts'
import { formatTime } from '../kit/time.ts'

/** What emptying a namespace met so far. */
export interface EmptyingReport {
  readonly discoveryFailures: readonly { readonly groupVersion: string; readonly error: unknown }[]
  readonly errors: readonly unknown[]
  /** Resources of which objects are left. */
  readonly remaining: readonly {
    readonly type: Pick<ResourceType, 'group' | 'resource'>
    readonly count: number
    /** How many of them each finalizer holds. */
    readonly finalizers: ReadonlyMap<string, number>
  }[]
}

/** The five conditions of a namespace that is being deleted, with upstream's reasons and messages. */
export function deletionConditions(
  previous: readonly NamespaceCondition[] | undefined,
  report: EmptyingReport,
  nowMs: number,
): NamespaceCondition[] {
  const { discoveryFailures, errors, remaining } = report
  const finalizers = new Map<string, number>()
  for (const one of remaining) for (const [name, count] of one.finalizers) finalizers.set(name, (finalizers.get(name) ?? 0) + count)
  const resources = remaining.map(({ type, count }) => `${type.resource}.${type.group} has ${count} resource instances`)
  const held = [...finalizers].map(([name, count]) => `${name} in ${count} resource instances`)
  const groups = discoveryFailures.map(({ groupVersion, error }) => `${groupVersion}: ${messageOf(error)}`)
  const rows: readonly (readonly [type: string, isFailing: boolean, reason: string, message: string])[] = [
    discoveryFailures.length > 0
      ? [
          'NamespaceDeletionDiscoveryFailure',
          true,
          'DiscoveryFailed',
          `Discovery failed for some groups, ${groups.length} failing: unable to retrieve the complete list of server APIs: ${sorted(groups)}`,
        ]
      : ['NamespaceDeletionDiscoveryFailure', false, 'ResourcesDiscovered', 'All resources successfully discovered'],
    ['NamespaceDeletionGroupVersionParsingFailure', false, 'ParsedGroupVersions', 'All legacy kube types successfully parsed'],
    errors.length > 0
      ? [
          'NamespaceDeletionContentFailure',
          true,
          'ContentDeletionFailed',
          `Failed to delete all resource types, ${errors.length} remaining: ${sorted(errors.map(messageOf))}`,
        ]
      : ['NamespaceDeletionContentFailure', false, 'ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
    resources.length > 0
      ? ['NamespaceContentRemaining', true, 'SomeResourcesRemain', `Some resources are remaining: ${sorted(resources)}`]
      : ['NamespaceContentRemaining', false, 'ContentRemoved', 'All content successfully removed'],
    held.length > 0
      ? [
          'NamespaceFinalizersRemaining',
          true,
          'SomeFinalizersRemain',
          `Some content in the namespace has finalizers remaining: ${sorted(held)}`,
        ]
      : ['NamespaceFinalizersRemaining', false, 'ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
  ]
  let conditions = [...(previous ?? [])]
  for (const [type, isFailing, reason, message] of rows) {
    const condition = { type, status: isFailing ? 'True' : 'False', reason, message, lastTransitionTime: formatTime(nowMs) }
    conditions = withCondition(conditions, condition, { compareMessage: true })
  }
  return conditions
}

const sorted = (items: readonly string[]): string => items.toSorted().join(', ')
