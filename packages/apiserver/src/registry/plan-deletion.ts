import type { KubernetesObject } from '@k3s/api'
import type { DeletionRequest } from './delete-options.ts'
import type { ResourceStorage } from './served-resource.ts'
import { hasNamespaceFinalizers } from './update-object.ts'
import { formatTime } from './write-scope.ts'

const orphanFinalizer = 'orphan'
const foregroundFinalizer = 'foregroundDeletion'

/**
 * Decides what a DELETE does to an object, which is changed in place: `keep` it, now marked as being deleted
 * (or as it was, when its end is already on its way), or `remove` it from the store.
 * Follows apimachinery's BeforeDelete and the generic registry's finalizer rules.
 */
export function planDeletion(
  object: KubernetesObject,
  { storage, options, nowMs }: { readonly storage: ResourceStorage; readonly options: DeletionRequest; readonly nowMs: number },
): 'keep' | 'remove' {
  const { metadata } = object
  const { strategy } = storage
  if (strategy.markForDeletion !== undefined && metadata.deletionTimestamp === undefined) {
    strategy.markForDeletion(object, formatTime(nowMs))
    metadata.deletionTimestamp = formatTime(nowMs)
    return 'keep'
  }
  let graceSeconds = 0
  if (strategy.gracefulDeletion !== undefined) {
    if (metadata.deletionTimestamp === undefined) {
      graceSeconds = strategy.gracefulDeletion(object, options.gracePeriodSeconds)?.gracePeriodSeconds ?? 0
    } else if ((metadata.deletionGracePeriodSeconds ?? 0) > 0) {
      // Already being deleted: the period may only get shorter, and nothing else changes.
      const present = metadata.deletionGracePeriodSeconds ?? 0
      const wanted = options.gracePeriodSeconds
      if (wanted === undefined || wanted >= present) return 'keep'
      if (wanted > 0) {
        shortenGrace(object, wanted, nowMs)
        return 'keep'
      }
    }
  }
  const finalizers = finalizersFor(object, storage, options)
  if (finalizers.length > 0 || metadata.finalizers !== undefined) metadata.finalizers = finalizers
  if (graceSeconds > 0) {
    markDeleted(object, nowMs + graceSeconds * 1000, graceSeconds)
    return 'keep'
  }
  if (finalizers.length === 0 && !hasNamespaceFinalizers(object)) return 'remove'
  if (object.kind === 'Namespace') markNamespace(object)
  const isLater = metadata.deletionTimestamp !== undefined && Date.parse(metadata.deletionTimestamp) > nowMs
  if (metadata.deletionTimestamp === undefined || isLater) markDeleted(object, nowMs, 0)
  else metadata.deletionGracePeriodSeconds = 0
  if (object.kind === 'Namespace') delete metadata.deletionGracePeriodSeconds
  return 'keep'
}

/** Begins a deletion: when it is to end, and how long that takes. */
export function markDeleted({ metadata }: KubernetesObject, atMs: number, graceSeconds: number): void {
  if (metadata.deletionTimestamp === undefined && (metadata.generation ?? 0) > 0) metadata.generation = (metadata.generation ?? 0) + 1
  metadata.deletionTimestamp = formatTime(atMs)
  metadata.deletionGracePeriodSeconds = graceSeconds
}

/** A Namespace that waits for its content to go is Terminating; upstream does this in its registry too. */
function markNamespace(object: KubernetesObject): void {
  const namespace = object as KubernetesObject & { status?: { phase?: string } } // its kind says so
  namespace.status = { ...namespace.status, phase: 'Terminating' }
}

function shortenGrace({ metadata }: KubernetesObject, wantedSeconds: number, nowMs: number): void {
  const present = metadata.deletionGracePeriodSeconds ?? 0
  const end = Date.parse(metadata.deletionTimestamp ?? '') - present * 1000 + wantedSeconds * 1000
  metadata.deletionTimestamp = formatTime(Math.max(end, nowMs))
  // The whole period may have passed: then the least that is still graceful, so that its owner ends it.
  metadata.deletionGracePeriodSeconds = end < nowMs ? 1 : wantedSeconds
}

/** The request's policy wins, then a policy that the object already has, then the kind's default. */
function finalizersFor({ metadata }: KubernetesObject, { garbageCollection }: ResourceStorage, options: DeletionRequest): string[] {
  const present = metadata.finalizers ?? []
  const others = present.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer)
  if (garbageCollection === 'unsupported') return [...others]
  const policy = ((): 'Orphan' | 'Foreground' | 'Background' => {
    if (options.orphanDependents !== undefined) return options.orphanDependents ? 'Orphan' : 'Background'
    if (options.propagationPolicy !== undefined) return options.propagationPolicy
    if (present.includes(orphanFinalizer)) return 'Orphan'
    if (present.includes(foregroundFinalizer)) return 'Foreground'
    return garbageCollection === 'orphan' ? 'Orphan' : 'Background'
  })()
  if (policy === 'Orphan') return [...others, orphanFinalizer]
  return policy === 'Foreground' ? [...others, foregroundFinalizer] : [...others]
}
