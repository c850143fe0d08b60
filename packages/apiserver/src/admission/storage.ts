import { compareQuantities } from '@k3s/api'
import { persistentvolumeclaims, persistentvolumes } from '@k3s/api/types/core/v1'
import { ingressclasses, ingresses } from '@k3s/api/types/networking/v1'
import { storageclasses, volumeattributesclasses } from '@k3s/api/types/storage/v1'
import type { KubernetesObject } from '@k3s/api'
import type { AdmissionPlugin } from './admission.ts'
import { objectOf, oldObjectOf, refusal } from './requests.ts'

const storageDefault = 'storageclass.kubernetes.io/is-default-class'
const storageDefaultBeta = 'storageclass.beta.kubernetes.io/is-default-class'
const ingressDefault = 'ingressclass.kubernetes.io/is-default-class'
const legacyStorageClass = 'volume.beta.kubernetes.io/storage-class'
const legacyIngressClass = 'kubernetes.io/ingress.class'

/** Of several defaults the newest; of equally old ones the first by name. */
function newest<T extends KubernetesObject>(classes: readonly T[]): T | undefined {
  const text = ({ metadata }: T): string => metadata.creationTimestamp ?? ''
  return classes.toSorted((a, b) => (text(a) === text(b) ? (a.metadata.name < b.metadata.name ? -1 : 1) : text(a) > text(b) ? -1 : 1))[0]
}

const isMarked = ({ metadata }: KubernetesObject, ...annotations: readonly string[]): boolean =>
  annotations.some((name) => metadata.annotations?.[name] === 'true')

/** Claims that name no class get the default one. */
export const defaultStorageClass: AdmissionPlugin = {
  name: 'DefaultStorageClass',
  admit(request): void {
    const claim = objectOf(request, persistentvolumeclaims, ['CREATE'])
    if (claim === undefined || claim.spec.storageClassName !== undefined || claim.metadata.annotations?.[legacyStorageClass] !== undefined)
      return
    const found = newest(
      request.scope.objects.list(storageclasses).filter((candidate) => isMarked(candidate, storageDefault, storageDefaultBeta)),
    )
    if (found !== undefined) claim.spec.storageClassName = found.metadata.name
  },
}

/** Volumes and claims stay until nothing uses them. */
export const storageObjectInUseProtection: AdmissionPlugin = {
  name: 'StorageObjectInUseProtection',
  admit(request): void {
    for (const [type, finalizer] of [
      [persistentvolumes, 'kubernetes.io/pv-protection'],
      [persistentvolumeclaims, 'kubernetes.io/pvc-protection'],
      [volumeattributesclasses, 'kubernetes.io/vac-protection'],
    ] as const) {
      const object: KubernetesObject | undefined = objectOf<KubernetesObject>(request, type, ['CREATE'])
      if (object === undefined || object.metadata.finalizers?.includes(finalizer) === true) continue
      object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer]
    }
  },
}

/** Only bound claims whose class allows it may grow. */
export const persistentVolumeClaimResize: AdmissionPlugin = {
  name: 'PersistentVolumeClaimResize',
  validate(request): void {
    const claim = objectOf(request, persistentvolumeclaims, ['UPDATE'])
    const previous = oldObjectOf(request, persistentvolumeclaims)
    if (claim === undefined || previous === undefined) return
    const [now, then] = [claim.spec.resources?.requests?.['storage'] ?? '0', previous.spec.resources?.requests?.['storage'] ?? '0']
    if (compareQuantities(now, then) <= 0) return
    if (previous.status?.phase !== 'Bound') throw refusal(request, 'Only bound persistent volume claims can be expanded')
    const name = claim.spec.storageClassName || claim.metadata.annotations?.[legacyStorageClass] || ''
    if (request.scope.objects.get(storageclasses, '', name)?.allowVolumeExpansion === true) return
    throw refusal(
      request,
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    )
  },
}

/** Ingresses that name no class get the default one. */
export const defaultIngressClass: AdmissionPlugin = {
  name: 'DefaultIngressClass',
  admit(request): void {
    const ingress = objectOf(request, ingresses, ['CREATE'])
    if (
      ingress === undefined ||
      ingress.spec?.ingressClassName !== undefined ||
      ingress.metadata.annotations?.[legacyIngressClass] !== undefined
    )
      return
    const found = newest(request.scope.objects.list(ingressclasses).filter((candidate) => isMarked(candidate, ingressDefault)))
    if (found !== undefined) ingress.spec = { ...ingress.spec, ingressClassName: found.metadata.name }
  },
}
