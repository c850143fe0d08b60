import type { PodInfo } from './pod-info.ts'

/** Pods for which preemption makes room on a node. */
export class Nominations {
  readonly #nodes = new Map<string, string>()
  readonly #pods = new Map<string, Map<string, PodInfo>>()

  /** A pod has one nomination at most: the last one. */
  set(pod: PodInfo, node: string): void {
    this.delete(pod.uid)
    this.#nodes.set(pod.uid, node)
    const pods = this.#pods.get(node) ?? new Map<string, PodInfo>()
    pods.set(pod.uid, pod)
    this.#pods.set(node, pods)
  }

  delete(uid: string): void {
    const node = this.#nodes.get(uid)
    if (node === undefined) return
    this.#nodes.delete(uid)
    const pods = this.#pods.get(node)
    pods?.delete(uid)
    if (pods?.size === 0) this.#pods.delete(node)
  }

  /** The node nominated for the pod. */
  nodeOf(uid: string): string | undefined {
    return this.#nodes.get(uid)
  }

  /** Others that are nominated for the node and go before `pod`, or beside it. */
  before(pod: PodInfo, node: string): readonly PodInfo[] {
    const pods = this.#pods.get(node)
    if (pods === undefined) return []
    return [...pods.values()].filter(({ uid, priority }) => uid !== pod.uid && priority >= pod.priority)
  }

  /** Those that are nominated for the node and must give way to `pod`. */
  after(pod: PodInfo, node: string): readonly PodInfo[] {
    return [...(this.#pods.get(node)?.values() ?? [])].filter(({ priority }) => priority < pod.priority)
  }
}
