import type { KubernetesObject } from '@k3s/api'
import type { OwnerReference } from '@k3s/api/types/meta/v1'
import { hasFinalizer } from '../kit/finalizers.ts'
import { foregroundFinalizer, orphanFinalizer } from './graph.ts'

/** What a live look found of an owner. `unknown`: its kind is not served, or it cannot be an owner of this object; nobody may be deleted for that. */
export type OwnerState = 'solid' | 'absent' | 'awaitsDependents' | 'unknown'

export type Decision =
  | { readonly action: 'keep' }
  /** Remove references to owners that are gone or going: others remain. */
  | { readonly action: 'disown'; readonly uids: readonly string[] }
  | {
      readonly action: 'delete'
      readonly propagationPolicy: 'Background' | 'Foreground' | 'Orphan'
      /** Its own dependents wait for it in turn: the references that block must be loosened first, or neither would ever go. */
      readonly unblockOwners: boolean
    }

export interface DecisionInput {
  /** As it is live. */
  readonly object: KubernetesObject
  readonly owners: readonly { readonly reference: OwnerReference; readonly state: OwnerState }[]
  readonly hasDependents: boolean
  /** A dependent is itself being deleted and waits for its dependents. */
  readonly hasWaitingDependent: boolean
}

/** What becomes of an object one of whose owners may be gone. */
export function decideDeletion({ object, owners, hasDependents, hasWaitingDependent }: DecisionInput): Decision {
  if (owners.length === 0 || owners.some(({ state }) => state === 'unknown')) return { action: 'keep' }
  const leaving = owners.filter(({ state }) => state !== 'solid')
  if (leaving.length === 0) return { action: 'keep' }
  if (leaving.length < owners.length) return { action: 'disown', uids: leaving.map(({ reference }) => reference.uid) }
  if (owners.some(({ state }) => state === 'awaitsDependents') && hasDependents)
    return { action: 'delete', propagationPolicy: 'Foreground', unblockOwners: hasWaitingDependent }
  const propagationPolicy = hasFinalizer(object, orphanFinalizer)
    ? 'Orphan'
    : hasFinalizer(object, foregroundFinalizer)
      ? 'Foreground'
      : 'Background'
  return { action: 'delete', propagationPolicy, unblockOwners: false }
}
