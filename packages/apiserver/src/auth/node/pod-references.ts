import type { Container, EphemeralContainer, Pod, Volume } from '@k3s/api/types/core/v1'

/** Kinds of objects that a pod may need on its node. */
export type ReferencedKind = 'secrets' | 'configmaps' | 'persistentvolumeclaims' | 'serviceaccounts' | 'resourceclaims'

const containersOf = (pod: Pod): (Container | EphemeralContainer)[] => [
  ...(pod.spec.containers ?? []),
  ...(pod.spec.initContainers ?? []),
  ...(pod.spec.ephemeralContainers ?? []),
]

function environmentNames(pod: Pod, kind: 'secrets' | 'configmaps'): (string | undefined)[] {
  const [from, key] = kind === 'secrets' ? (['secretRef', 'secretKeyRef'] as const) : (['configMapRef', 'configMapKeyRef'] as const)
  return containersOf(pod).flatMap(({ env = [], envFrom = [] }) => [
    ...envFrom.map((source) => source[from]?.name),
    ...env.map(({ valueFrom }) => valueFrom?.[key]?.name),
  ])
}

function secretsOfVolume(volume: Volume): (string | undefined)[] {
  return [
    volume.secret?.secretName,
    ...(volume.projected?.sources ?? []).map(({ secret }) => secret?.name),
    volume.csi?.nodePublishSecretRef?.name,
    volume.azureFile?.secretName,
    ...[volume.cephfs, volume.cinder, volume.flexVolume, volume.iscsi, volume.rbd, volume.scaleIO, volume.storageos].map(
      (source) => source?.secretRef?.name,
    ),
  ]
}

/** Whether a pod refers to an object of its own namespace. Mirror pods refer to nothing: they are not the server's word. */
export function podRefersTo(pod: Pod, kind: ReferencedKind, name: string): boolean {
  if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) return false
  const volumes = pod.spec.volumes ?? []
  switch (kind) {
    case 'serviceaccounts':
      return pod.spec.serviceAccountName === name
    case 'configmaps':
      return (
        volumes.some(
          ({ configMap, projected }) =>
            configMap?.name === name || projected?.sources?.some((source) => source.configMap?.name === name) === true,
        ) || environmentNames(pod, kind).includes(name)
      )
    case 'secrets':
      return (
        volumes.some((volume) => secretsOfVolume(volume).includes(name)) ||
        pod.spec.imagePullSecrets?.some((secret) => secret.name === name) === true ||
        environmentNames(pod, kind).includes(name)
      )
    case 'persistentvolumeclaims':
      return volumes.some(
        (volume) =>
          volume.persistentVolumeClaim?.claimName === name ||
          (volume.ephemeral !== undefined && `${pod.metadata.name}-${volume.name}` === name),
      )
    case 'resourceclaims':
      return (
        pod.spec.resourceClaims?.some((claim) => claim.resourceClaimName === name) === true ||
        pod.status?.resourceClaimStatuses?.some((claim) => claim.resourceClaimName === name) === true
      )
  }
}
