import { hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterrolebindings,
  clusterroles,
  type PolicyRule,
  type Role,
  type RoleBinding,
  rolebindings,
  roles,
  type Subject,
} from '@k3s/api/types/rbac/v1'
import { coveredRules } from '../rbac/rules.ts'
import type { BootstrapPolicy } from './policy.ts'

/** What reconciliation needs of a client. `create` throws AlreadyExists, `update` Conflict, `get` NotFound. */
export interface PolicyWriter {
  get<T extends KubernetesObject>(type: ResourceType<T>, at: { readonly namespace: string; readonly name: string }): Promise<T>
  create<T extends KubernetesObject>(type: ResourceType<T>, object: T): Promise<unknown>
  update<T extends KubernetesObject>(type: ResourceType<T>, object: T): Promise<unknown>
  /** Throws NotFound, and Conflict when the object is another one by now. */
  delete(type: ResourceType, at: { readonly namespace: string; readonly name: string; readonly uid: string }): Promise<unknown>
}

const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate'
/** How often a conflict with another server is tried again. */
const maxTries = 5

/**
 * Creates what is missing of the policy and adds what was taken from it, as upstream does at every start: rules and subjects are only ever added;
 * objects with the annotation `autoupdate: "false"` are left alone; a binding of another role, which cannot be changed, is made anew. Safe to run on several servers at once. An abort leaves a part done.
 */
export async function reconcileBootstrapPolicy(writer: PolicyWriter, policy: BootstrapPolicy, signal: AbortSignal): Promise<void> {
  const ensure = async <T extends KubernetesObject>(
    type: ResourceType<T>,
    wanted: T,
    merge: (present: T) => T | 'recreate' | undefined,
  ): Promise<void> => {
    const at = { namespace: wanted.metadata.namespace ?? '', name: wanted.metadata.name }
    for (let tries = 1; ; tries += 1) {
      signal.throwIfAborted()
      try {
        const present = await find(writer, type, at)
        if (present === undefined) await writer.create(type, wanted)
        else if (present.metadata.annotations?.[autoUpdate] !== 'false') {
          const merged = merge(present)
          if (merged === 'recreate') {
            await writer.delete(type, { ...at, uid: present.metadata.uid ?? '' })
            await writer.create(type, wanted)
          } else if (merged !== undefined) await writer.update(type, merged)
        }
        return
      } catch (error) {
        if (!hasReason(error, 'Conflict', 'AlreadyExists', 'NotFound') || tries >= maxTries) throw error
      }
    }
  }
  for (const role of policy.clusterRoles) await ensure<ClusterRole>(clusterroles, role, (present) => mergeRole(present, role))
  for (const binding of policy.clusterRoleBindings)
    await ensure<ClusterRoleBinding>(clusterrolebindings, binding, (present) => mergeBinding(present, binding))
  for (const role of policy.roles) await ensure<Role>(roles, role, (present) => mergeRole(present, role))
  for (const binding of policy.roleBindings) await ensure<RoleBinding>(rolebindings, binding, (present) => mergeBinding(present, binding))
}

async function find<T extends KubernetesObject>(
  writer: PolicyWriter,
  type: ResourceType<T>,
  at: { readonly namespace: string; readonly name: string },
): Promise<T | undefined> {
  try {
    return await writer.get(type, at)
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
}

/** Adds what is missing of labels and annotations; undefined when nothing is. */
function mergeMetadata(
  present: KubernetesObject['metadata'],
  wanted: KubernetesObject['metadata'],
): KubernetesObject['metadata'] | undefined {
  const labels = { ...wanted.labels, ...present.labels }
  const annotations = { ...wanted.annotations, ...present.annotations }
  const isSame =
    Object.keys(labels).length === Object.keys(present.labels ?? {}).length &&
    Object.keys(annotations).length === Object.keys(present.annotations ?? {}).length
  return isSame ? undefined : { ...present, labels, annotations }
}

function mergeRole<T extends ClusterRole | Role>(present: T, wanted: T): T | undefined {
  const metadata = mergeMetadata(present.metadata, wanted.metadata)
  // Rules of aggregated roles follow from other roles.
  const isAggregated = 'aggregationRule' in wanted && wanted.aggregationRule !== undefined
  const missing: PolicyRule[] = isAggregated ? [] : coveredRules(present.rules ?? [], wanted.rules ?? []).missing
  const lacksAggregation = isAggregated && 'aggregationRule' in present && present.aggregationRule === undefined
  if (metadata === undefined && missing.length === 0 && !lacksAggregation) return undefined
  return {
    ...present,
    metadata: metadata ?? present.metadata,
    rules: [...(present.rules ?? []), ...missing],
    ...(lacksAggregation && 'aggregationRule' in wanted ? { aggregationRule: wanted.aggregationRule } : {}),
  }
}

const subjectKey = ({ kind, name, namespace = '' }: Subject): string => `${kind} ${namespace} ${name}`

function mergeBinding<T extends ClusterRoleBinding | RoleBinding>(present: T, wanted: T): T | 'recreate' | undefined {
  if (present.roleRef.kind !== wanted.roleRef.kind || present.roleRef.name !== wanted.roleRef.name) return 'recreate'
  const metadata = mergeMetadata(present.metadata, wanted.metadata)
  const known = new Set((present.subjects ?? []).map(subjectKey))
  const missing = (wanted.subjects ?? []).filter((subject) => !known.has(subjectKey(subject)))
  if (metadata === undefined && missing.length === 0) return undefined
  return { ...present, metadata: metadata ?? present.metadata, subjects: [...(present.subjects ?? []), ...missing] }
}
