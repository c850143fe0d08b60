import type { PersistentVolumeSpec, Volume } from '@k3s/api/types/core/v1'

/** The fields that must not be empty, of sources of which pods and persistent volumes ask the same. Their drivers left Kubernetes, the API stays. */
export const requiredSourceFields: Readonly<Partial<Record<keyof PersistentVolumeSpec & keyof Volume, readonly string[]>>> = {
  gcePersistentDisk: ['pdName'],
  awsElasticBlockStore: ['volumeID'],
  glusterfs: ['endpoints', 'path'],
  rbd: ['monitors', 'image'],
  cephfs: ['monitors'],
  iscsi: ['targetPortal', 'iqn'],
  cinder: ['volumeID'],
  flexVolume: ['driver'],
  azureFile: ['secretName', 'shareName'],
  vsphereVolume: ['volumePath'],
  photonPersistentDisk: ['pdID'],
  portworxVolume: ['volumeID'],
  azureDisk: ['diskName', 'diskURI'],
  scaleIO: ['gateway', 'system', 'volumeName'],
  storageos: ['volumeName'],
}
