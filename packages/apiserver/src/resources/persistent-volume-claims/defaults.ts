import type { PersistentVolumeClaim } from '@k3s/api/types/core/v1'
import { canonicalizeResources } from '../shared/resource-list.ts'

/** Fills upstream's defaults in place, of claims and of templates of claims. */
export function defaultClaim(claim: PersistentVolumeClaim): void {
  claim.status ??= {}
  claim.status.phase ||= 'Pending'
  const { spec } = claim
  spec.volumeMode ??= 'Filesystem'
  spec.resources ??= {}
  canonicalizeResources(spec.resources.requests)
  canonicalizeResources(spec.resources.limits)
  canonicalizeResources(claim.status.capacity)
  canonicalizeResources(claim.status.allocatedResources)
}
