import { deployments, type Deployment, type ReplicaSet } from '@k3s/api/types/apps/v1'
import type { PodTemplateSpec } from '@k3s/api/types/core/v1'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { templateHash } from '../kit/hash.ts'
import { omit } from '../kit/omit.ts'
import { byCreation, controllerReference } from '../kit/owners.ts'
import { maxSurgeOf } from './rolling.ts'

const hashLabel = 'pod-template-hash'
export const revisionAnnotation = 'deployment.kubernetes.io/revision'
const historyAnnotation = 'deployment.kubernetes.io/revision-history'
export const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas'
export const maxAnnotation = 'deployment.kubernetes.io/max-replicas'

// Upstream's bound of the revision history annotation, in characters.
const maxHistoryLength = 2000

/** Annotations of a Deployment that its ReplicaSets do not get. */
const ownAnnotations = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  revisionAnnotation,
  historyAnnotation,
  desiredAnnotation,
  maxAnnotation,
  'deprecated.deployment.rollback.to',
])

export type Annotations = Readonly<Record<string, string>>

/** The revision that a ReplicaSet records; 0 when it records none. */
export function revisionOf(set: ReplicaSet): number {
  const text = set.metadata.annotations?.[revisionAnnotation] ?? ''
  return /^\d+$/.test(text) ? Number(text) : 0
}

function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const labels = omit(template?.metadata?.labels ?? {}, hashLabel)
  const metadata = { ...template?.metadata, labels: Object.keys(labels).length === 0 ? undefined : labels }
  const isBare = Object.values(metadata).every((value) => value === undefined || value === null)
  return { spec: template?.spec, ...(isBare ? {} : { metadata }) }
}

/** True when both templates make the same pods but for the hash label. */
export function isSameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return isSemanticallyEqual(withoutHash(a), withoutHash(b))
}

/** The ReplicaSet of the Deployment's present template: the oldest, should there be several. */
export function findNewReplicaSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return sets.toSorted(byCreation).find((set) => isSameTemplate(set.spec.template, deployment.spec.template))
}

/** The annotations of the current ReplicaSet: those of the Deployment, its revision, and which revisions it has been before. */
export function currentAnnotations(deployment: Deployment, existing: Annotations, revision: number): Annotations {
  const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key))
  const annotations: Record<string, string> = { ...existing, ...Object.fromEntries(copied) }
  const before = existing[revisionAnnotation]
  if (before !== undefined && !/^\d+$/.test(before)) return annotations
  // It may be ahead, when old ReplicaSets were deleted since it got its revision.
  if (Number(before ?? 0) >= revision) return annotations
  annotations[revisionAnnotation] = String(revision)
  if (before !== undefined) annotations[historyAnnotation] = appendHistory(existing[historyAnnotation] ?? '', before)
  return annotations
}

function appendHistory(history: string, revision: string): string {
  const revisions = history === '' ? [] : history.split(',')
  revisions.push(revision)
  while (revisions.length > 1 && revisions.join(',').length > maxHistoryLength) revisions.shift()
  return revisions.join(',')
}

/** What tells scaling apart from rolling out: how large the Deployment was when the ReplicaSet was last sized. */
export function sizeAnnotations(deployment: Deployment): Annotations {
  const replicas = deployment.spec.replicas ?? 1
  return { [desiredAnnotation]: String(replicas), [maxAnnotation]: String(replicas + maxSurgeOf(deployment)) }
}

/** A count that an annotation holds; `undefined` when it holds none. */
export function countOf(set: ReplicaSet, annotation: string): number | undefined {
  const text = set.metadata.annotations?.[annotation] ?? ''
  return /^\d+$/.test(text) ? Number(text) : undefined
}

/** A ReplicaSet for the Deployment's present template. Its name depends on the template and the collision count only. */
export function newReplicaSet(deployment: Deployment, replicas: number, revision: number): ReplicaSet {
  const { template, selector, minReadySeconds } = deployment.spec
  const hash = templateHash(template, deployment.status?.collisionCount)
  const labels = { ...template.metadata?.labels, [hashLabel]: hash }
  return {
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace,
      labels,
      annotations: { ...currentAnnotations(deployment, {}, revision), ...sizeAnnotations(deployment) },
      ownerReferences: [controllerReference(deployment, deployments)],
    },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  }
}
