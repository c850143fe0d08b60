import { createHash } from 'node:crypto'
import type { Container, Pod } from '@k3s/api/types/core/v1'

/** Labels and annotations by which a container is known after a restart; the names are upstream's. */
export const label = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  containerName: 'io.kubernetes.container.name',
} as const

export const annotation = {
  hash: 'io.kubernetes.container.hash',
  restartCount: 'io.kubernetes.container.restartCount',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
  terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  podDeletionGracePeriod: 'io.kubernetes.pod.deletionGracePeriod',
  podTerminationGracePeriod: 'io.kubernetes.pod.terminationGracePeriod',
  preStopHandler: 'io.kubernetes.container.preStopHandler',
  ports: 'io.kubernetes.container.ports',
} as const

/** Identity of what cannot change under a running container: follows upstream, which takes the name and the image. */
export function containerHash(container: Container): string {
  return createHash('sha256')
    .update(JSON.stringify({ name: container.name, image: container.image ?? '' }))
    .digest('hex')
    .slice(0, 8)
}

export function sandboxLabels(pod: Pod): Record<string, string> {
  return {
    ...pod.metadata.labels,
    [label.podName]: pod.metadata.name,
    [label.podNamespace]: pod.metadata.namespace ?? '',
    [label.podUid]: pod.metadata.uid ?? '',
  }
}

export function containerLabels(pod: Pod, container: Container): Record<string, string> {
  return {
    [label.podName]: pod.metadata.name,
    [label.podNamespace]: pod.metadata.namespace ?? '',
    [label.podUid]: pod.metadata.uid ?? '',
    [label.containerName]: container.name,
  }
}

export function containerAnnotations(pod: Pod, container: Container, restartCount: number): Record<string, string> {
  const deletion = pod.metadata.deletionGracePeriodSeconds
  const termination = pod.spec.terminationGracePeriodSeconds
  const preStop = container.lifecycle?.preStop
  return {
    [annotation.hash]: containerHash(container),
    [annotation.restartCount]: String(restartCount),
    [annotation.terminationMessagePath]: container.terminationMessagePath ?? '/dev/termination-log',
    [annotation.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
    ...(deletion === undefined ? {} : { [annotation.podDeletionGracePeriod]: String(deletion) }),
    ...(termination === undefined ? {} : { [annotation.podTerminationGracePeriod]: String(termination) }),
    ...(preStop === undefined ? {} : { [annotation.preStopHandler]: JSON.stringify(preStop) }),
    ...((container.ports ?? []).length === 0 ? {} : { [annotation.ports]: JSON.stringify(container.ports) }),
  }
}

/** `namespace_name_uid`: the directory of a pod under the pod logs directory. */
export function podLogsName(pod: { readonly namespace: string; readonly name: string; readonly uid: string }): string {
  return `${pod.namespace}_${pod.name}_${pod.uid}`
}
