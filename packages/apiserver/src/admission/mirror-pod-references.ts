import type { Container, EphemeralContainer, Pod, Volume } from '@k3s/api/types/core/v1'

/** Volumes that need nothing of the API. */
const plainVolumes = [
  'awsElasticBlockStore',
  'azureDisk',
  'cephfs',
  'cinder',
  'downwardAPI',
  'emptyDir',
  'fc',
  'flexVolume',
  'flocker',
  'gcePersistentDisk',
  'gitRepo',
  'hostPath',
  'image',
  'iscsi',
  'nfs',
  'photonPersistentDisk',
  'portworxVolume',
  'quobyte',
  'rbd',
  'scaleIO',
  'storageos',
  'vsphereVolume',
] as const satisfies readonly (keyof Volume)[]

const secretVolumes = ['cephfs', 'cinder', 'flexVolume', 'iscsi', 'rbd', 'scaleIO', 'storageos'] as const

const containersOf = ({ spec }: Pod): readonly (Container | EphemeralContainer)[] => [
  ...(spec.initContainers ?? []),
  ...spec.containers,
  ...(spec.ephemeralContainers ?? []),
]

function usesSecrets(pod: Pod): boolean {
  const { imagePullSecrets = [], volumes = [] } = pod.spec
  return (
    imagePullSecrets.length > 0 ||
    containersOf(pod).some(
      ({ env = [], envFrom = [] }) =>
        envFrom.some(({ secretRef }) => secretRef !== undefined) || env.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined),
    ) ||
    volumes.some(
      (volume) =>
        volume.secret !== undefined ||
        volume.azureFile !== undefined ||
        volume.csi?.nodePublishSecretRef !== undefined ||
        volume.projected?.sources?.some(({ secret }) => secret !== undefined) === true ||
        secretVolumes.some((name) => volume[name]?.secretRef !== undefined),
    )
  )
}

function usesConfigMaps(pod: Pod): boolean {
  return (
    containersOf(pod).some(
      ({ env = [], envFrom = [] }) =>
        envFrom.some(({ configMapRef }) => configMapRef !== undefined) ||
        env.some(({ valueFrom }) => valueFrom?.configMapKeyRef !== undefined),
    ) ||
    (pod.spec.volumes ?? []).some(
      ({ configMap, projected }) =>
        configMap !== undefined || projected?.sources?.some((source) => source.configMap !== undefined) === true,
    )
  )
}

function referenceOfVolume(volume: Volume): string | undefined {
  if (plainVolumes.some((name) => volume[name] !== undefined)) return undefined
  if (volume.csi !== undefined) return 'csidrivers (via CSI volumes)'
  if (volume.glusterfs !== undefined) return 'endpoints (via glusterFS volumes)'
  if (volume.persistentVolumeClaim !== undefined) return 'persistentvolumeclaims'
  if (volume.ephemeral !== undefined) return 'persistentvolumeclaims (via ephemeral volumes)'
  for (const { serviceAccountToken, clusterTrustBundle, podCertificate } of volume.projected?.sources ?? []) {
    if (serviceAccountToken !== undefined) return 'serviceaccounts (via projected volumes)'
    if (clusterTrustBundle !== undefined) return 'clustertrustbundles'
    if (podCertificate !== undefined) return 'podcertificates'
  }
  return undefined
}

/** What of the API a pod needs; undefined when it needs nothing, as pods of files on a node must. */
export function apiReferenceOf(pod: Pod): string | undefined {
  if (pod.spec.serviceAccountName) return 'serviceaccounts'
  if (usesSecrets(pod)) return 'secrets'
  if (usesConfigMaps(pod)) return 'configmaps'
  if ((pod.spec.resourceClaims ?? []).length > 0) return 'resourceclaims'
  for (const volume of pod.spec.volumes ?? []) {
    const found = referenceOfVolume(volume)
    if (found !== undefined) return found
  }
  return undefined
}
