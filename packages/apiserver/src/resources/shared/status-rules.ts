import type { KubernetesObject } from '@k3s/api'
import type { FieldError, RequestScope, UpdateRules } from '../../registry/strategy.ts'

type WithStatus = KubernetesObject & { status?: unknown }
type WithSpec = KubernetesObject & { spec?: unknown; status?: unknown }

/** A plain update does not touch the status. */
export function keepStatus<T extends WithStatus>(object: T, previous: T): void {
  if (previous.status === undefined) delete object.status
  else object.status = structuredClone(previous.status)
}

/** A status update does not touch the spec. */
export function keepSpec<T extends WithSpec>(object: T, previous: T): void {
  if (previous.spec !== undefined) object.spec = structuredClone(previous.spec)
}

/** A view changes neither the status nor what users may say in the metadata. */
export function keepAllButSpec<T extends WithStatus>(object: T, previous: T): void {
  keepStatus(object, previous)
  for (const field of heldByViews) {
    if (previous.metadata[field] === undefined) delete object.metadata[field]
    else Object.assign(object.metadata, { [field]: structuredClone(previous.metadata[field]) })
  }
}

const heldByViews = [
  'generateName',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
] as const

/** Status updates: the spec stays; `validate` judges the new status. */
export function statusUpdate<T extends WithSpec>(
  validate?: (object: T, previous: T, scope: RequestScope) => readonly FieldError[],
): UpdateRules<T> {
  return { prepare: keepSpec, ...(validate === undefined ? {} : { validate }) }
}

/** Only an object that was never stored has no resourceVersion: clients may not give one, and updates carry the version they are based on. */
export function isNew(object: KubernetesObject): boolean {
  return (object.metadata.resourceVersion ?? '') === ''
}
