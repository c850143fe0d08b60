import { objectKey } from '@k3s/api'
import type { Node } from '@k3s/api/types/core/v1'
import { invariant } from '@k3s/lifecycle'
import type { Cluster, Listers } from './framework.ts'
import { NodeInfo } from './node-info.ts'
import type { VolumePlan, VolumePromises } from './plugins/volume-binding.ts'
import type { PodInfo } from './pod-info.ts'

interface PlacedPod {
  readonly pod: PodInfo
  readonly node: string
  /** Placed by us; the API server has not told of it yet. */
  readonly isAssumed: boolean
}

/**
 * Nodes and the pods on them, as the API server tells and as this scheduler assumes. A pod is on one node at most.
 *
 * Unlike upstream there is no snapshot: a scheduling cycle has no await, so nothing changes while it reads. What upstream copies per cycle
 * (nodes in order, those with affinity, images) is kept in step here, at the cost of the change.
 */
export class SchedulerCache implements Cluster, VolumePromises {
  readonly listers: Listers
  readonly #nodes = new Map<string, NodeInfo>()
  readonly #pods = new Map<string, PlacedPod>()
  readonly #withAffinity = new Set<NodeInfo>()
  readonly #imageNodes = new Map<string, number>()
  /** Claims of pods that are being bound: the node of each, and the claim of each volume. */
  readonly #claimNodes = new Map<string, string>()
  readonly #volumeClaims = new Map<string, string>()
  /** What `nodes` gives, until the set of nodes or a zone changes. */
  #order: readonly NodeInfo[] | undefined

  constructor(listers: Listers) {
    this.listers = listers
  }

  get nodes(): readonly NodeInfo[] {
    this.#order ??= interleaveZones([...this.#nodes.values()].filter(({ isPresent }) => isPresent))
    return this.#order
  }

  get nodesWithAffinityPods(): ReadonlySet<NodeInfo> {
    return this.#withAffinity
  }

  get volumePromises(): VolumePromises {
    return this
  }

  imageSpread(image: string): number {
    return this.#imageNodes.get(image) ?? 0
  }

  nodeOf(claimKey: string): string | undefined {
    return this.#claimNodes.get(claimKey)
  }

  claimOf(volume: string): string | undefined {
    return this.#volumeClaims.get(volume)
  }

  /** Undefined when the node is not there. */
  node(name: string): NodeInfo | undefined {
    const info = this.#nodes.get(name)
    return info?.isPresent === true ? info : undefined
  }

  setNode(node: Node): void {
    const info = this.#nodeInfo(node.metadata.name)
    const wasPresent = info.isPresent
    const zoneBefore = zoneOf(info)
    this.#countImages(info, -1)
    info.setNode(node)
    this.#countImages(info, 1)
    if (!wasPresent || zoneBefore !== zoneOf(info)) this.#order = undefined
  }

  /** Its pods are kept: the API server tells of their end, or of the node's return. */
  removeNode(name: string): void {
    const info = this.#nodes.get(name)
    if (info === undefined) return
    this.#countImages(info, -1)
    info.setNode(undefined)
    this.#order = undefined
    this.#dropIfEmpty(info)
  }

  /** The pod is on the node that it names, whatever was assumed. */
  setPod(pod: PodInfo): void {
    const node = pod.pod.spec.nodeName ?? ''
    this.removePod(pod.uid)
    this.#place({ pod, node, isAssumed: false })
  }

  removePod(uid: string): void {
    const placed = this.#pods.get(uid)
    if (placed === undefined) return
    this.#pods.delete(uid)
    const info = this.#nodeInfo(placed.node)
    info.remove(uid)
    this.#afterPodChange(info)
    this.#dropIfEmpty(info)
  }

  /** Counts the pod as if it were on the node already, so that the next pod sees it. */
  assume(pod: PodInfo, node: string): void {
    invariant(!this.#pods.has(pod.uid), `pod ${pod.key} is assumed once`)
    this.#place({ pod, node, isAssumed: true })
  }

  /** Takes an assumption back; false when the API server has told of the pod meanwhile, and it stays. */
  forget(uid: string): boolean {
    if (this.#pods.get(uid)?.isAssumed !== true) return false
    this.removePod(uid)
    return true
  }

  /** True when the pod has a node, told or assumed. */
  has(uid: string): boolean {
    return this.#pods.has(uid)
  }

  /** Until `forgetVolumes`, other pods see where the plan's claims go. */
  assumeVolumes({ node, matches, provisions }: VolumePlan): void {
    for (const claim of provisions) this.#claimNodes.set(objectKey(claim), node)
    for (const { claim, volume } of matches) {
      this.#claimNodes.set(objectKey(claim), node)
      this.#volumeClaims.set(volume.metadata.name, objectKey(claim))
    }
  }

  forgetVolumes({ matches, provisions }: VolumePlan): void {
    for (const claim of provisions) this.#claimNodes.delete(objectKey(claim))
    for (const { claim, volume } of matches) {
      this.#claimNodes.delete(objectKey(claim))
      this.#volumeClaims.delete(volume.metadata.name)
    }
  }

  #place(placed: PlacedPod): void {
    this.#pods.set(placed.pod.uid, placed)
    const info = this.#nodeInfo(placed.node)
    info.add(placed.pod)
    this.#afterPodChange(info)
  }

  #afterPodChange(info: NodeInfo): void {
    if (info.podsWithAffinity.size > 0 && info.isPresent) this.#withAffinity.add(info)
    else this.#withAffinity.delete(info)
  }

  #nodeInfo(name: string): NodeInfo {
    let info = this.#nodes.get(name)
    if (info === undefined) {
      info = new NodeInfo(name)
      this.#nodes.set(name, info)
    }
    return info
  }

  #dropIfEmpty(info: NodeInfo): void {
    if (info.isPresent || info.pods.size > 0) return
    this.#nodes.delete(info.name)
    this.#withAffinity.delete(info)
  }

  #countImages(info: NodeInfo, change: 1 | -1): void {
    this.#afterPodChange(info)
    for (const image of info.images.keys()) {
      const count = this.imageSpread(image) + change
      if (count > 0) this.#imageNodes.set(image, count)
      else this.#imageNodes.delete(image)
    }
  }
}

const zoneOf = ({ labels }: NodeInfo): string =>
  `${labels['topology.kubernetes.io/region'] ?? ''}/${labels['topology.kubernetes.io/zone'] ?? ''}`

/** One of each zone, then the next of each: whoever looks at some of the nodes sees all zones. */
function interleaveZones(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
  const zones = [...Map.groupBy(nodes, zoneOf).values()]
  const order: NodeInfo[] = []
  for (let index = 0; order.length < nodes.length; index++)
    for (const zone of zones) {
      const node = zone[index]
      if (node !== undefined) order.push(node)
    }
  return order
}
