import type { Node } from '@k3s/api/types/core/v1'
import { anyIp, type HostPort, type PodInfo } from './pod-info.ts'
import { addResources, parseResources, type Resources } from './pod-resources.ts'

const noLabels: Readonly<Record<string, string>> = Object.freeze({})

/** A node with its pods and their sums. Every change of `pods` is a change of all sums, with no await between. */
export class NodeInfo {
  readonly name: string
  /** Undefined while only its pods are known. */
  #node: Node | undefined
  #allocatable: Resources = new Map()
  #allowedPods = 0
  #images: ReadonlyMap<string, number> = new Map()
  readonly #pods = new Map<string, PodInfo>()
  readonly #requested = new Map<string, number>()
  readonly #nonZeroRequested = new Map<string, number>()
  /** How many pods use an address, by `protocol/port`. */
  readonly #ports = new Map<string, Map<string, number>>()
  readonly #withAffinity = new Set<PodInfo>()
  readonly #withRequiredAntiAffinity = new Set<PodInfo>()

  constructor(name: string, node?: Node) {
    this.name = name
    if (node !== undefined) this.setNode(node)
  }

  get isPresent(): boolean {
    return this.#node !== undefined
  }

  get node(): Node | undefined {
    return this.#node
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#node?.metadata.labels ?? noLabels
  }

  get allocatable(): Resources {
    return this.#allocatable
  }

  get allowedPods(): number {
    return this.#allowedPods
  }

  /** Bytes by image name. */
  get images(): ReadonlyMap<string, number> {
    return this.#images
  }

  get pods(): ReadonlyMap<string, PodInfo> {
    return this.#pods
  }

  /** Sum of the pods' requests. */
  get requested(): Resources {
    return this.#requested
  }

  get nonZeroRequested(): Resources {
    return this.#nonZeroRequested
  }

  get podsWithAffinity(): ReadonlySet<PodInfo> {
    return this.#withAffinity
  }

  get podsWithRequiredAntiAffinity(): ReadonlySet<PodInfo> {
    return this.#withRequiredAntiAffinity
  }

  setNode(node: Node | undefined): void {
    this.#node = node
    this.#allocatable = parseResources(node?.status?.allocatable)
    this.#allowedPods = this.#allocatable.get('pods') ?? 0
    this.#images = new Map(
      (node?.status?.images ?? []).flatMap(({ names, sizeBytes = 0 }) => (names ?? []).map((name) => [name, sizeBytes] as const)),
    )
  }

  /** The pod must not be there. */
  add(pod: PodInfo): void {
    this.#pods.set(pod.uid, pod)
    addResources(this.#requested, pod.requests)
    addResources(this.#nonZeroRequested, pod.nonZeroRequests)
    for (const port of pod.hostPorts) this.#count(port, 1)
    if (pod.hasAffinity) this.#withAffinity.add(pod)
    if (pod.requiredAntiAffinity.length > 0) this.#withRequiredAntiAffinity.add(pod)
  }

  /** Does nothing when no such pod is there. */
  remove(uid: string): void {
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    this.#pods.delete(uid)
    addResources(this.#requested, pod.requests, -1)
    addResources(this.#nonZeroRequested, pod.nonZeroRequests, -1)
    for (const port of pod.hostPorts) this.#count(port, -1)
    this.#withAffinity.delete(pod)
    this.#withRequiredAntiAffinity.delete(pod)
  }

  /** True when the port is in use on the address, or on all of them. */
  isPortUsed({ protocol, port, ip }: HostPort): boolean {
    const addresses = this.#ports.get(`${protocol}/${port}`)
    if (addresses === undefined) return false
    return ip === anyIp || addresses.has(anyIp) || addresses.has(ip)
  }

  /** An independent copy, to try changes on. */
  clone(): NodeInfo {
    const copy = new NodeInfo(this.name, this.#node)
    for (const pod of this.#pods.values()) copy.add(pod)
    return copy
  }

  #count({ protocol, port, ip }: HostPort, change: 1 | -1): void {
    const key = `${protocol}/${port}`
    const addresses = this.#ports.get(key) ?? new Map<string, number>()
    const count = (addresses.get(ip) ?? 0) + change
    if (count > 0) addresses.set(ip, count)
    else addresses.delete(ip)
    if (addresses.size > 0) this.#ports.set(key, addresses)
    else this.#ports.delete(key)
  }
}
