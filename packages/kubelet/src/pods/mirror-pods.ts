import { hasReason } from '@k3s/api'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { configHashAnnotation, configMirrorAnnotation, fieldManager } from './pod-facts.ts'

/** The API object that shows a static pod to users. */
export function mirrorOf(pod: Pod, nodeUid: string): Pod {
  const { name, namespace, labels, annotations } = pod.metadata
  const hash = annotations?.[configHashAnnotation] ?? ''
  return {
    spec: pod.spec,
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      annotations: { ...annotations, [configMirrorAnnotation]: hash },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: pod.spec.nodeName ?? '', uid: nodeUid, controller: true }],
    },
  }
}

/** True when the API object shows this very static pod. */
export function mirrors(api: Pod, pod: Pod): boolean {
  return api.metadata.annotations?.[configMirrorAnnotation] === pod.metadata.annotations?.[configHashAnnotation]
}

/** Makes the mirror of a static pod, replacing one that shows an earlier version. Idempotent. */
export async function reconcileMirror(
  client: Client,
  pod: Pod,
  existing: Pod | undefined,
  nodeUid: string,
  signal: AbortSignal,
): Promise<void> {
  if (existing !== undefined) {
    if (mirrors(existing, pod) && existing.metadata.deletionTimestamp === undefined) return
    await deleteMirror(client, existing, signal)
  }
  try {
    await client.resource(pods).create(mirrorOf(pod, nodeUid), { fieldManager, signal })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error // the next look decides what it shows
  }
}

export async function deleteMirror(client: Client, mirror: Pod, signal: AbortSignal): Promise<void> {
  const { name, namespace, uid } = mirror.metadata
  try {
    await client.resource(pods).delete(name, { namespace, gracePeriodSeconds: 0, preconditions: { uid }, signal })
  } catch (error) {
    if (!hasReason(error, 'NotFound', 'Conflict')) throw error // gone, or replaced
  }
}
