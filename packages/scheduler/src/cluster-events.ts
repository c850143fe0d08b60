import { isDeepStrictEqual } from 'node:util'
import {
  namespaces,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  replicationcontrollers,
  services,
  type Namespace,
  type Node,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type ReplicationController,
  type Service,
} from '@k3s/api/types/core/v1'
import { replicasets, statefulsets, type ReplicaSet, type StatefulSet } from '@k3s/api/types/apps/v1'
import { poddisruptionbudgets, type PodDisruptionBudget } from '@k3s/api/types/policy/v1'
import { storageclasses, type StorageClass } from '@k3s/api/types/storage/v1'
import type { Informer, InformerFactory } from '@k3s/client'
import type { Listers } from './framework.ts'

export interface SchedulerInformers {
  readonly pods: Informer<Pod>
  readonly nodes: Informer<Node>
  readonly namespaces: Informer<Namespace>
  readonly services: Informer<Service>
  readonly replicationcontrollers: Informer<ReplicationController>
  readonly replicasets: Informer<ReplicaSet>
  readonly statefulsets: Informer<StatefulSet>
  readonly persistentvolumeclaims: Informer<PersistentVolumeClaim>
  readonly persistentvolumes: Informer<PersistentVolume>
  readonly storageclasses: Informer<StorageClass>
  readonly poddisruptionbudgets: Informer<PodDisruptionBudget>
}

/** The informers that a scheduler needs. */
export function schedulerInformers(factory: InformerFactory): SchedulerInformers {
  return {
    pods: factory.informer(pods),
    nodes: factory.informer(nodes),
    namespaces: factory.informer(namespaces),
    services: factory.informer(services),
    replicationcontrollers: factory.informer(replicationcontrollers),
    replicasets: factory.informer(replicasets),
    statefulsets: factory.informer(statefulsets),
    persistentvolumeclaims: factory.informer(persistentvolumeclaims),
    persistentvolumes: factory.informer(persistentvolumes),
    storageclasses: factory.informer(storageclasses),
    poddisruptionbudgets: factory.informer(poddisruptionbudgets),
  }
}

export function listersOf(informers: SchedulerInformers): Listers {
  return {
    namespaces: informers.namespaces.lister,
    services: informers.services.lister,
    replicationcontrollers: informers.replicationcontrollers.lister,
    replicasets: informers.replicasets.lister,
    statefulsets: informers.statefulsets.lister,
    persistentvolumeclaims: informers.persistentvolumeclaims.lister,
    persistentvolumes: informers.persistentvolumes.lister,
    storageclasses: informers.storageclasses.lister,
    poddisruptionbudgets: informers.poddisruptionbudgets.lister,
  }
}

/** A pod that holds nothing any more. */
export function hasEnded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

/** True when scheduling may come out differently: heartbeats and images are no such change. */
export function isNodeChanged(before: Node, after: Node): boolean {
  return !(
    isDeepStrictEqual(before.spec, after.spec) &&
    isDeepStrictEqual(before.metadata.labels, after.metadata.labels) &&
    isDeepStrictEqual(before.status?.allocatable, after.status?.allocatable)
  )
}
