import { hasReason, objectKey, type KubernetesObject, type ResourceType } from '@k3s/api'
import {
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
} from '@k3s/api/types/core/v1'
import { volumeattributesclasses } from '@k3s/api/types/storage/v1'
import type { Client } from '@k3s/client'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { hasFinalizer } from '../kit/finalizers.ts'
import { isPodTerminal } from '../kit/pods.ts'

const claimFinalizer = 'kubernetes.io/pvc-protection'
const volumeFinalizer = 'kubernetes.io/pv-protection'
const attributesClassFinalizer = 'kubernetes.io/vac-protection'

/** Index function: pods by the claims that they use. */
function byClaim({ metadata, spec }: Pod): readonly string[] {
  const namespace = metadata.namespace ?? ''
  return (spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim !== undefined) return [`${namespace}/${persistentVolumeClaim.claimName}`]
    return ephemeral === undefined ? [] : [`${namespace}/${metadata.name}-${name}`]
  })
}

/** Adds a finalizer by an update, because the roles of these controllers do not include patches; a conflict is retried. */
async function protect<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<void> {
  if (hasFinalizer(object, finalizer)) return
  const finalizers = [...(object.metadata.finalizers ?? []), finalizer]
  await client.resource(type).update({ ...object, metadata: { ...object.metadata, finalizers } }, { signal })
}

async function unprotect<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<void> {
  if (!hasFinalizer(object, finalizer)) return
  const finalizers = object.metadata.finalizers?.filter((other) => other !== finalizer) ?? []
  try {
    await client.resource(type).update({ ...object, metadata: { ...object.metadata, finalizers } }, { signal })
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error
  }
}

/** Keeps PersistentVolumeClaims that are being deleted until no pod uses them. */
export function createClaimProtectionController(context: ControllerContext): Service {
  const { client, informers } = context
  const claimInformer = informers.informer(persistentvolumeclaims)
  const podInformer = informers.informer(pods)
  const index = 'claim'
  podInformer.addIndex(index, byClaim)
  /** A pod that was never bound or has ended uses nothing. */
  const uses = (pod: Pod): boolean => (pod.spec.nodeName ?? '') !== '' && !isPodTerminal(pod)
  return controllerService({
    name: 'persistentvolumeclaim-protection',
    context,
    informers: [claimInformer, podInformer],
    watch: (queue) => [
      enqueueOn(claimInformer, queue, (claim) => [objectKey(claim)]),
      podInformer.addHandler({
        update: (previous, pod) => {
          if (uses(previous) && !uses(pod)) for (const key of byClaim(pod)) queue.add(key)
        },
        delete: (pod) => byClaim(pod).forEach((key) => queue.add(key)),
      }),
    ],
    async reconcile(key, signal) {
      const claim = claimInformer.lister.get(key)
      if (claim === undefined) return
      if (claim.metadata.deletionTimestamp === undefined) return protect(client, persistentvolumeclaims, claim, claimFinalizer, signal)
      if (!hasFinalizer(claim, claimFinalizer) || podInformer.lister.byIndex(index, key).some(uses)) return
      // A pod that was just bound may not be in the cache yet: letting the claim go would take its data.
      const live = await client.resource(pods).list({ namespace: claim.metadata.namespace, signal })
      if (live.items.some((pod) => uses(pod) && byClaim(pod).includes(key))) return
      await unprotect(client, persistentvolumeclaims, claim, claimFinalizer, signal)
    },
  })
}

/** Keeps PersistentVolumes that are being deleted while they are bound to a claim. */
export function createVolumeProtectionController(context: ControllerContext): Service {
  const { client, informers } = context
  const informer = informers.informer(persistentvolumes)
  return controllerService({
    name: 'persistentvolume-protection',
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, ({ metadata }) => [metadata.name])],
    async reconcile(name, signal) {
      const volume = informer.lister.get(name)
      if (volume === undefined) return
      if (volume.metadata.deletionTimestamp === undefined) return protect(client, persistentvolumes, volume, volumeFinalizer, signal)
      if (volume.status?.phase !== 'Bound') await unprotect(client, persistentvolumes, volume, volumeFinalizer, signal)
    },
  })
}

/** Index function: claims by the attributes classes that they ask for, have, or are on the way to. */
function byAttributesClass({ spec, status }: PersistentVolumeClaim): readonly string[] {
  const names = [
    spec.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ]
  return [...new Set(names.flatMap((name) => name || []))]
}

/** Index function: the attributes class of a volume. */
function attributesClassOf({ spec }: PersistentVolume): readonly string[] {
  return spec.volumeAttributesClassName === undefined || spec.volumeAttributesClassName === '' ? [] : [spec.volumeAttributesClassName]
}

/** Keeps VolumeAttributesClasses that are being deleted until no volume and no claim names them. */
export function createAttributesClassProtectionController(context: ControllerContext): Service {
  const { client, informers } = context
  const classInformer = informers.informer(volumeattributesclasses)
  const claimInformer = informers.informer(persistentvolumeclaims)
  const volumeInformer = informers.informer(persistentvolumes)
  const index = 'volumeAttributesClass'
  claimInformer.addIndex(index, byAttributesClass)
  volumeInformer.addIndex(index, attributesClassOf)
  return controllerService({
    name: 'volumeattributesclass-protection',
    context,
    informers: [classInformer, claimInformer, volumeInformer],
    watch: (queue) => [
      enqueueOn(classInformer, queue, ({ metadata }) => [metadata.name]),
      claimInformer.addHandler({
        update: (previous) => byAttributesClass(previous).forEach((name) => queue.add(name)),
        delete: (claim) => byAttributesClass(claim).forEach((name) => queue.add(name)),
      }),
      volumeInformer.addHandler({
        update: (previous) => attributesClassOf(previous).forEach((name) => queue.add(name)),
        delete: (volume) => attributesClassOf(volume).forEach((name) => queue.add(name)),
      }),
    ],
    async reconcile(name, signal) {
      const attributesClass = classInformer.lister.get(name)
      if (attributesClass === undefined) return
      const isLeaving = attributesClass.metadata.deletionTimestamp !== undefined
      if (!isLeaving) return protect(client, volumeattributesclasses, attributesClass, attributesClassFinalizer, signal)
      const isUsed = claimInformer.lister.byIndex(index, name).length > 0 || volumeInformer.lister.byIndex(index, name).length > 0
      if (!isUsed) await unprotect(client, volumeattributesclasses, attributesClass, attributesClassFinalizer, signal)
    },
  })
}
