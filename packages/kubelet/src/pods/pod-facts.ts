import type { Container, Pod } from '@k3s/api/types/core/v1'

/** Whose writes `managedFields` says that they are. */
export const fieldManager = 'kubelet'

/** Annotations that tell where a pod came from; upstream's names. */
export const configSourceAnnotation = 'kubernetes.io/config.source'
export const configHashAnnotation = 'kubernetes.io/config.hash'
export const configMirrorAnnotation = 'kubernetes.io/config.mirror'
export const configSeenAnnotation = 'kubernetes.io/config.seen'

/** Pods of this priority and above are critical: they are evicted last and protected from the OOM killer. */
export const systemCriticalPriority = 2_000_000_000

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

/** `namespace/name`. */
export function podKey(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`
}

export function podUid(pod: Pod): string {
  return pod.metadata.uid ?? ''
}

/** True for pods that come from a file of this machine. */
export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[configSourceAnnotation]
  return source !== undefined && source !== 'api'
}

/** True for the API object that stands for a static pod. */
export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[configMirrorAnnotation] !== undefined
}

export function isCriticalPod(pod: Pod): boolean {
  return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec.priority ?? 0) >= systemCriticalPriority
}

/** An init container that keeps running beside the ordinary ones (a sidecar). */
export function isRestartableInit(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

export function isTerminalPhase(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

export interface PodContainer {
  readonly kind: 'init' | 'regular' | 'ephemeral'
  readonly container: Container
  /** Ephemeral containers only: whose process namespace to join. */
  readonly targetContainerName?: string | undefined
}

/** All containers in the order in which they start. */
export function podContainers(pod: Pod): readonly PodContainer[] {
  return [
    ...(pod.spec.initContainers ?? []).map((container) => ({ kind: 'init' as const, container })),
    ...pod.spec.containers.map((container) => ({ kind: 'regular' as const, container })),
    ...(pod.spec.ephemeralContainers ?? []).map((ephemeral) => ({
      kind: 'ephemeral' as const,
      container: ephemeral,
      targetContainerName: ephemeral.targetContainerName,
    })),
  ]
}

export function findContainer(pod: Pod, name: string): PodContainer | undefined {
  return podContainers(pod).find(({ container }) => container.name === name)
}

/** Path in a container for events: `spec.containers{name}`. */
export function containerFieldPath({ kind, container }: PodContainer): string {
  const list = kind === 'init' ? 'initContainers' : kind === 'regular' ? 'containers' : 'ephemeralContainers'
  return `spec.${list}{${container.name}}`
}

/** Seconds between SIGTERM and SIGKILL when nothing else is said: the deletion's own, then the spec's, then 30. */
export function gracePeriodSeconds(pod: Pod): number {
  return pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30
}

/** Upstream's rule: Guaranteed needs equal CPU and memory requests and limits in every container. */
export function qosClassOf(pod: Pod): QosClass {
  const isZero = (value: string): boolean => /^[-+]?0*\.?0*[A-Za-z]*$/.test(value)
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const podLevel = pod.spec.resources
  const units = podLevel === undefined ? containers.map((container) => container.resources) : [podLevel]
  let anything = false
  let guaranteed = true
  for (const resources of units) {
    for (const name of ['cpu', 'memory']) {
      const limit = resources?.limits?.[name]
      const request = resources?.requests?.[name] ?? limit
      if (limit !== undefined && !isZero(limit)) anything = true
      if (request !== undefined && !isZero(request)) anything = true
      if (limit === undefined || isZero(limit) || request !== limit) guaranteed = false
    }
  }
  if (!anything) return 'BestEffort'
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

/** What the pod calls itself: `spec.hostname` or its name, shortened to the 63 characters that a host name may have. */
export function podHostname(pod: Pod): string {
  const name = pod.spec.hostname !== undefined && pod.spec.hostname !== '' ? pod.spec.hostname : pod.metadata.name
  return name.slice(0, 63).replace(/[-.]+$/, '')
}

/** The domain of a pod with a subdomain: `sub.ns.svc.cluster.local`; empty without one. */
export function podDomain(pod: Pod, clusterDomain: string): string {
  const { subdomain } = pod.spec
  if (subdomain === undefined || subdomain === '') return ''
  return `${subdomain}.${pod.metadata.namespace ?? ''}.svc.${clusterDomain}`
}

/** RFC 3339 with whole seconds, as meta/v1 Time is written. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
