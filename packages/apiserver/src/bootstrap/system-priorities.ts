import { priorityclasses, type PriorityClass } from '@k3s/api/types/scheduling/v1'
import type { PolicyWriter } from '../auth/bootstrap/reconcile.ts'
import { createIfMissing } from './system-namespaces.ts'

const systemPriorities: readonly PriorityClass[] = [
  {
    metadata: { name: 'system-node-critical' },
    value: 2000001000,
    description: 'Used for system critical pods that must not be moved from their current node.',
  },
  {
    metadata: { name: 'system-cluster-critical' },
    value: 2000000000,
    description: 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  },
]

/** Creates the priority classes that every cluster has. */
export async function ensureSystemPriorities(writer: Pick<PolicyWriter, 'create'>): Promise<void> {
  await Promise.all(systemPriorities.map((priority) => createIfMissing(() => writer.create(priorityclasses, priority))))
}
