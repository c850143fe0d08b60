import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Namespace, Service } from '@k3s/api/types/core/v1'
import type { ReplicaSet, StatefulSet } from '@k3s/api/types/apps/v1'
import type { PodDisruptionBudget } from '@k3s/api/types/policy/v1'
import type { StorageClass } from '@k3s/api/types/storage/v1'
import type { Lister } from '@k3s/client'
import { greatestOf } from '@k3s/lifecycle'
import type { NodeInfo } from './node-info.ts'
import type { VolumePromises } from './plugins/volume-binding.ts'
import type { PodInfo } from './pod-info.ts'

/** Why a plugin does not let a pod on a node, or on any. */
export interface Rejection {
  readonly plugin: string
  /** In upstream's words: users and tools read them. */
  readonly reasons: readonly string[]
  /** True when removing pods from the node may help: then preemption tries. */
  readonly isResolvable: boolean
}

/** Caches that plugins read beside nodes and pods. */
export interface Listers {
  readonly namespaces: Lister<Namespace>
  readonly services: Lister<Service>
  readonly replicationcontrollers: Lister<ReplicationController>
  readonly replicasets: Lister<ReplicaSet>
  readonly statefulsets: Lister<StatefulSet>
  readonly persistentvolumeclaims: Lister<PersistentVolumeClaim>
  readonly persistentvolumes: Lister<PersistentVolume>
  readonly storageclasses: Lister<StorageClass>
  readonly poddisruptionbudgets: Lister<PodDisruptionBudget>
}

/** The cluster as one scheduling cycle sees it. It does not change during a cycle, because a cycle has no await. */
export interface Cluster {
  readonly listers: Listers
  /** All nodes, zones taking turns. */
  readonly nodes: readonly NodeInfo[]
  /** Nodes with pods that have any pod (anti-)affinity. */
  readonly nodesWithAffinityPods: ReadonlySet<NodeInfo>
  /** What pods that are being bound were promised. */
  readonly volumePromises: VolumePromises
  /** On how many nodes the image is. */
  imageSpread(image: string): number
}

/** A plugin's answer for one pod, ready to be asked about each node. */
export interface FilterCheck {
  /** Only these nodes can be right; undefined: any. */
  readonly nodeNames?: ReadonlySet<string> | undefined
  check(node: NodeInfo): Rejection | undefined
  /** A copy that can be told of pods which come and go in a trial, without changing this one. Absent: `check` reads nothing but the node. */
  fork?(): TrialCheck
}

export interface TrialCheck extends FilterCheck {
  podAdded(pod: PodInfo, node: NodeInfo): void
  podRemoved(pod: PodInfo, node: NodeInfo): void
}

/** A plugin's opinion for one pod. Scores are whole numbers from 0 to {@link maxScore} once they are normalized. */
export interface Scorer {
  score(node: NodeInfo): number
  /** Changes `scores`, which are in the order of `nodes`, in place. */
  normalize?(scores: number[], nodes: readonly NodeInfo[]): void
}

export const maxScore = 100

/** Something happened that may make an unschedulable pod schedulable. `previous` is absent when the object is new. */
export type ClusterEvent =
  | { readonly kind: 'nodeChanged'; readonly node: Node; readonly previous?: Node | undefined }
  | { readonly kind: 'nodeDeleted'; readonly node: Node }
  /** A pod that has a node came, or changed. */
  | { readonly kind: 'podChanged'; readonly pod: PodInfo; readonly previous?: PodInfo | undefined }
  /** A pod that had a node is gone, has ended, or was not bound after all. */
  | { readonly kind: 'podDeleted'; readonly pod: PodInfo }
  | { readonly kind: 'claimChanged'; readonly claim: PersistentVolumeClaim }
  | { readonly kind: 'volumeChanged'; readonly volume: PersistentVolume }
  | { readonly kind: 'storageClassChanged'; readonly storageClass: StorageClass }
  | { readonly kind: 'namespaceChanged'; readonly namespace: Namespace }

/**
 * One rule of scheduling. Its functions are pure: they read the pod, the node and the cluster they are given. The extension points are those of
 * the Kubernetes scheduling framework; what upstream keeps in a cycle state between PreFilter and Filter (PreScore and Score) is closed over here.
 */
export interface Plugin {
  readonly name: string
  /** Of its scores; default 1. */
  readonly weight?: number | undefined
  /** A rejected pod is not tried at all until it is changed. */
  preEnqueue?(pod: Pod): Rejection | undefined
  /** PreFilter: undefined when the plugin has nothing to say about this pod, a Rejection when no node can be right. */
  prepareFilter?(pod: PodInfo, cluster: Cluster): FilterCheck | Rejection | undefined
  /** PreScore: undefined when the plugin does not care. `nodes` are those that passed all filters. */
  prepareScore?(pod: PodInfo, nodes: readonly NodeInfo[], cluster: Cluster): Scorer | undefined
  /** Queueing hint: false when the event certainly does not change this plugin's rejection of the pod. */
  isWorthRetrying?(pod: PodInfo, event: ClusterEvent): boolean
}

export function isRejection(result: object): result is Rejection {
  return 'reasons' in result
}

/** Scales scores so that the best is {@link maxScore}; `reverse` makes the best the lowest. All 0 stays 0, or becomes all best. */
export function normalizeScores(scores: number[], order: 'asIs' | 'reverse'): void {
  const best = Math.max(0, greatestOf(scores))
  for (const [index, score] of scores.entries()) {
    const scaled = best === 0 ? 0 : Math.trunc((maxScore * score) / best)
    scores[index] = order === 'reverse' ? maxScore - scaled : scaled
  }
}
