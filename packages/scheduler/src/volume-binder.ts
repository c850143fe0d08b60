import { objectKey } from '@k3s/api'
import { persistentvolumeclaims, persistentvolumes, type PersistentVolumeClaim } from '@k3s/api/types/core/v1'
import type { Client, Lister } from '@k3s/client'
import { isBound, selectedNodeAnnotation, type VolumePlan } from './plugins/volume-binding.ts'

export interface BindVolumesOptions {
  readonly client: Client
  readonly claims: Lister<PersistentVolumeClaim>
  /** Resolves when a claim in the cache changed; rejects on abort. */
  readonly claimChange: (signal: AbortSignal) => Promise<void>
  /** Aborts when the wait takes too long, too. */
  readonly signal: AbortSignal
}

/** Carries a plan out and waits until all its claims are bound. Throws when a claim is gone or its provisioner gave the node back; what was written stays, and is found by the next try. */
export async function bindVolumes(plan: VolumePlan, { client, claims, claimChange, signal }: BindVolumesOptions): Promise<void> {
  for (const { claim, volume } of plan.matches) {
    const { name, namespace, uid, resourceVersion } = claim.metadata
    const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid, resourceVersion }
    const metadata = {
      resourceVersion: volume.metadata.resourceVersion,
      annotations: { 'pv.kubernetes.io/bound-by-controller': 'yes' },
    }
    await client.resource(persistentvolumes).patch(volume.metadata.name, { metadata, spec: { claimRef } }, { type: 'merge', signal })
  }
  for (const { metadata } of plan.provisions) {
    const { name, namespace, resourceVersion } = metadata
    const patch = { metadata: { resourceVersion, annotations: { [selectedNodeAnnotation]: plan.node } } }
    const written = await client.resource(persistentvolumeclaims).patch(name, patch, { type: 'merge', namespace, signal })
    // The cache must show the annotation before its absence can mean that the provisioner took it away.
    while (claims.get(objectKey(written))?.metadata.resourceVersion === resourceVersion) await claimChange(signal)
  }
  const waiting = new Set([...plan.matches.map(({ claim }) => objectKey(claim)), ...plan.provisions.map(objectKey)])
  const provisioned = new Set(plan.provisions.map(objectKey))
  for (;;) {
    for (const key of waiting) {
      const claim = claims.get(key)
      if (claim === undefined) throw new Error(`persistentvolumeclaim "${key}" is gone`)
      if (isBound(claim)) waiting.delete(key)
      else if (provisioned.has(key) && claim.metadata.annotations?.[selectedNodeAnnotation] !== plan.node)
        throw new Error(`provisioner gave node "${plan.node}" back for persistentvolumeclaim "${key}"`)
    }
    if (waiting.size === 0) return
    await claimChange(signal)
  }
}
