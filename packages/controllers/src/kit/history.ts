import { hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import { controllerrevisions, type ControllerRevision } from '@k3s/api/types/apps/v1'
import type { PodTemplateSpec } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { greatestOf } from '@k3s/lifecycle'
import { isSemanticallyEqual } from './equal.ts'
import { templateHash } from './hash.ts'
import { omit } from './omit.ts'
import { byCreation, controllerReference } from './owners.ts'

export const revisionHashLabel = 'controller-revision-hash'

/** The label value by which pods of a revision are known. */
export const revisionHash = (revision: ControllerRevision): string =>
  revision.metadata.labels?.[revisionHashLabel] ?? revision.metadata.name

/** What a revision records: a strategic merge patch that brings the template back, as `kubectl rollout undo` applies it. */
function revisionData(template: PodTemplateSpec): unknown {
  return { spec: { template: { ...template, $patch: 'replace' } } }
}

/** The template that a revision records; `undefined` when it is not one of ours. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec | undefined {
  const { data } = revision
  if (typeof data !== 'object' || data === null || !('spec' in data)) return undefined
  const { spec } = data as { readonly spec?: { readonly template?: PodTemplateSpec & { readonly $patch?: string } } } // as revisionData made it
  if (spec?.template === undefined) return undefined
  return omit(spec.template, '$patch')
}

export interface HistoryPlan {
  /** The revision of the present template: found, renumbered, or to be created. */
  readonly current: ControllerRevision
  readonly action: 'none' | 'create' | 'renumber'
  /** Revisions of other templates, oldest first. */
  readonly old: readonly ControllerRevision[]
}

export interface HistoryInput {
  readonly owner: KubernetesObject
  readonly ownerType: ResourceType
  readonly template: PodTemplateSpec
  readonly collisionCount: number | undefined
  /** Revisions that the owner controls. */
  readonly revisions: readonly ControllerRevision[]
}

/** Finds the revision of the present template, which always has the highest number. */
export function planHistory({ owner, ownerType, template, collisionCount, revisions }: HistoryInput): HistoryPlan {
  const data = revisionData(template)
  const ordered = revisions.toSorted((a, b) => a.revision - b.revision || byCreation(a, b))
  const equal = ordered.findLast((revision) => isSemanticallyEqual(revision.data, data))
  const old = ordered.filter((revision) => revision !== equal && !isSemanticallyEqual(revision.data, data))
  const next = Math.max(0, greatestOf(old.map(({ revision }) => revision))) + 1
  if (equal !== undefined) {
    return equal.revision >= next
      ? { current: equal, action: 'none', old }
      : { current: { ...equal, revision: next }, action: 'renumber', old }
  }
  const hash = templateHash(template, collisionCount)
  const current: ControllerRevision = {
    metadata: {
      name: `${owner.metadata.name}-${hash}`,
      namespace: owner.metadata.namespace,
      labels: { ...template.metadata?.labels, [revisionHashLabel]: hash },
      annotations: { ...owner.metadata.annotations },
      ownerReferences: [controllerReference(owner, ownerType)],
    },
    data,
    revision: next,
  }
  return { current, action: 'create', old }
}

/** Old revisions beyond `limit` that no pod is of, oldest first. `inUse` holds hashes or names of revisions. */
export function revisionsBeyondLimit(
  old: readonly ControllerRevision[],
  inUse: ReadonlySet<string>,
  limit: number,
): readonly ControllerRevision[] {
  const unused = old.filter((revision) => !inUse.has(revisionHash(revision)) && !inUse.has(revision.metadata.name))
  return unused.slice(0, Math.max(0, unused.length - limit))
}

/** Writes the plan's revision. `undefined` when its name is taken by a revision of something else: then the collision count must be raised. */
export async function saveRevision(client: Client, plan: HistoryPlan, signal: AbortSignal): Promise<ControllerRevision | undefined> {
  const resource = client.resource(controllerrevisions)
  const { current } = plan
  if (plan.action === 'none') return current
  if (plan.action === 'renumber') {
    const { name, namespace } = current.metadata
    return resource.patch(name, { revision: current.revision }, { type: 'merge', namespace, signal })
  }
  try {
    return await resource.create(current, { signal })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    const existing = await resource.get(current.metadata.name, { namespace: current.metadata.namespace, signal })
    return isSemanticallyEqual(existing.data, current.data) ? existing : undefined
  }
}

export async function deleteRevisions(client: Client, revisions: readonly ControllerRevision[], signal: AbortSignal): Promise<void> {
  for (const { metadata } of revisions) {
    const { name, namespace, uid } = metadata
    try {
      await client.resource(controllerrevisions).delete(name, { namespace, preconditions: { uid }, signal })
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error
    }
  }
}
