import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { Pod, PodTemplateSpec } from '@k3s/api/types/core/v1'
import { greatestOf, leastOf } from '@k3s/lifecycle'
import { findCondition } from './conditions.ts'
import { controllerReference } from './owners.ts'
import { parseTime } from './time.ts'

export function isPodReady(pod: Pod): boolean {
  return findCondition(pod.status?.conditions, 'Ready')?.status === 'True'
}

/** Milliseconds until a ready pod has been ready for `minReadySeconds`; 0 when it has; `undefined` when it is not ready. */
export function untilAvailableMs(pod: Pod, minReadySeconds: number, nowMs: number): number | undefined {
  const ready = findCondition(pod.status?.conditions, 'Ready')
  if (ready?.status !== 'True') return undefined
  if (minReadySeconds === 0) return 0
  const since = parseTime(ready.lastTransitionTime)
  return since === undefined ? undefined : Math.max(0, since + minReadySeconds * 1000 - nowMs)
}

export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  return untilAvailableMs(pod, minReadySeconds, nowMs) === 0
}

/** The shortest wait after which another pod becomes available, in milliseconds; `undefined` when none is on its way. */
export function nextAvailabilityMs(pods: readonly Pod[], minReadySeconds: number, nowMs: number): number | undefined {
  const waits = pods.map((pod) => untilAvailableMs(pod, minReadySeconds, nowMs)).filter((wait) => wait !== undefined && wait > 0)
  return waits.length === 0 ? undefined : leastOf(waits as number[]) // filtered above
}

/** Succeeded or Failed. */
export function isPodTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

/** Neither ended nor being deleted. */
export function isPodActive(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined
}

/** Being deleted, but not ended. */
export function isPodTerminating(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp !== undefined
}

/** The pod that a template asks for, controlled by `owner`; its name is left to the server. */
export function podOfTemplate(template: PodTemplateSpec, owner: KubernetesObject, type: ResourceType): Pod {
  // Long names are cut by the server, which adds the random end.
  const prefix = `${owner.metadata.name}-`
  return {
    metadata: {
      name: '',
      generateName: prefix,
      namespace: owner.metadata.namespace,
      ...(template.metadata?.labels === undefined ? {} : { labels: { ...template.metadata.labels } }),
      ...(template.metadata?.annotations === undefined ? {} : { annotations: { ...template.metadata.annotations } }),
      ...(template.metadata?.finalizers === undefined ? {} : { finalizers: [...template.metadata.finalizers] }),
      ownerReferences: [controllerReference(owner, type)],
    },
    spec: structuredClone(template.spec ?? { containers: [] }),
  }
}

/**
 * Orders pods by how little their deletion costs, cheapest first: not scheduled, pending, not ready, low deletion cost
 * (annotation `controller.kubernetes.io/pod-deletion-cost`), many of `rank` on its node, ready for a shorter time (in powers of two),
 * many restarts, younger. Follows upstream's ActivePodsWithRanks.
 */
export function byDeletionOrder(rank: ReadonlyMap<string, number>, nowMs: number): (a: Pod, b: Pod) => number {
  const keys = (pod: Pod): readonly number[] => {
    const readySince = parseTime(findCondition(pod.status?.conditions, 'Ready')?.lastTransitionTime)
    const createdAt = parseTime(pod.metadata.creationTimestamp)
    return [
      pod.spec.nodeName ? 1 : 0,
      pod.status?.phase === 'Running' ? 2 : pod.status?.phase === 'Unknown' ? 1 : 0,
      isPodReady(pod) ? 1 : 0,
      deletionCost(pod),
      -(rank.get(pod.spec.nodeName ?? '') ?? 0),
      isPodReady(pod) ? logarithmicAge(readySince, nowMs) : 0,
      -maxRestarts(pod),
      logarithmicAge(createdAt, nowMs),
    ]
  }
  return (a, b) => {
    const [first, second] = [keys(a), keys(b)]
    for (let i = 0; i < first.length; i++) {
      const difference = (first[i] ?? 0) - (second[i] ?? 0)
      if (difference !== 0) return difference
    }
    return (a.metadata.uid ?? '') < (b.metadata.uid ?? '') ? -1 : 1
  }
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? '0'
  return /^-?\d+$/.test(text) ? Number(text) : 0
}

function logarithmicAge(sinceMs: number | undefined, nowMs: number): number {
  return sinceMs === undefined ? -1 : Math.floor(Math.log2(Math.max(1, nowMs - sinceMs)))
}

function maxRestarts(pod: Pod): number {
  return Math.max(0, greatestOf((pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount)))
}

/** How many active pods run on each node. */
export function podsPerNode(pods: readonly Pod[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const pod of pods) if (isPodActive(pod)) counts.set(pod.spec.nodeName ?? '', (counts.get(pod.spec.nodeName ?? '') ?? 0) + 1)
  return counts
}
