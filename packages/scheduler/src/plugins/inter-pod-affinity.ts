import { greatestOf, leastOf } from '@k3s/lifecycle'
import { maxScore, type Cluster, type Plugin, type Rejection, type TrialCheck } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import { termMatches, type AffinityTerm, type NamespaceLabels, type PodInfo } from '../pod-info.ts'

/** Numbers by topology key, then by its value on a node. */
class TopologyCounts {
  readonly #counts = new Map<string, Map<string, number>>()

  static copyOf(other: TopologyCounts): TopologyCounts {
    const copy = new TopologyCounts()
    for (const [key, values] of other.#counts) copy.#counts.set(key, new Map(values))
    return copy
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0
  }

  /** Does nothing when the node has no such label. */
  add(node: NodeInfo, key: string, amount: number): void {
    const value = node.labels[key]
    if (value === undefined) return
    const values = this.#counts.get(key) ?? new Map<string, number>()
    const count = (values.get(value) ?? 0) + amount
    if (count === 0) values.delete(value)
    else values.set(value, count)
    if (values.size === 0) this.#counts.delete(key)
    else this.#counts.set(key, values)
  }

  /** 0 when the node has no such label. */
  at(node: NodeInfo, key: string): number {
    const value = node.labels[key]
    return value === undefined ? 0 : (this.#counts.get(key)?.get(value) ?? 0)
  }

  /** Sum over all keys. */
  sumAt(node: NodeInfo): number {
    let sum = 0
    for (const key of this.#counts.keys()) sum += this.at(node, key)
    return sum
  }
}

const name = 'InterPodAffinity'
const affinityRejection: Rejection = { plugin: name, reasons: ["node(s) didn't match pod affinity rules"], isResolvable: false }
const antiAffinityRejection: Rejection = { plugin: name, reasons: ["node(s) didn't match pod anti-affinity rules"], isResolvable: true }
const existingRejection: Rejection = {
  plugin: name,
  reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"],
  isResolvable: true,
}

const namespaceLabelsOf =
  ({ listers }: Cluster): NamespaceLabels =>
  (namespace) =>
    listers.namespaces.get(namespace)?.metadata.labels

/** What the required terms of the pod and of those that run say of each topology. */
class RequiredTerms implements TrialCheck {
  readonly #pod: PodInfo
  readonly #namespaceLabels: NamespaceLabels
  /** Pods that match all of our affinity terms. */
  readonly #affinity: TopologyCounts
  /** Pods that match one of our anti-affinity terms. */
  readonly #antiAffinity: TopologyCounts
  /** Pods one of whose anti-affinity terms we match. */
  readonly #existing: TopologyCounts

  constructor(pod: PodInfo, namespaceLabels: NamespaceLabels, from?: RequiredTerms) {
    this.#pod = pod
    this.#namespaceLabels = namespaceLabels
    this.#affinity = from === undefined ? new TopologyCounts() : TopologyCounts.copyOf(from.#affinity)
    this.#antiAffinity = from === undefined ? new TopologyCounts() : TopologyCounts.copyOf(from.#antiAffinity)
    this.#existing = from === undefined ? new TopologyCounts() : TopologyCounts.copyOf(from.#existing)
  }

  /** True when no node can be refused. */
  get isTrivial(): boolean {
    return this.#existing.isEmpty && this.#pod.requiredAffinity.length === 0 && this.#pod.requiredAntiAffinity.length === 0
  }

  fork(): TrialCheck {
    return new RequiredTerms(this.#pod, this.#namespaceLabels, this)
  }

  podAdded(pod: PodInfo, node: NodeInfo): void {
    this.#count(pod, node, 1)
  }

  podRemoved(pod: PodInfo, node: NodeInfo): void {
    this.#count(pod, node, -1)
  }

  check(node: NodeInfo): Rejection | undefined {
    if (!this.#isAffinityMet(node)) return affinityRejection
    if (this.#pod.requiredAntiAffinity.some(({ topologyKey }) => this.#antiAffinity.at(node, topologyKey) > 0)) return antiAffinityRejection
    return this.#existing.sumAt(node) > 0 ? existingRejection : undefined
  }

  #isAffinityMet(node: NodeInfo): boolean {
    const terms = this.#pod.requiredAffinity
    if (terms.some(({ topologyKey }) => node.labels[topologyKey] === undefined)) return false
    if (terms.every(({ topologyKey }) => this.#affinity.at(node, topologyKey) > 0)) return true
    // The first of a group that wants to be together: nobody matches yet, but it would match itself.
    return this.#affinity.isEmpty && this.#matchesAll(this.#pod)
  }

  #matchesAll(pod: PodInfo): boolean {
    const terms = this.#pod.requiredAffinity
    return terms.length > 0 && terms.every((term) => termMatches(term, pod, this.#namespaceLabels))
  }

  #count(pod: PodInfo, node: NodeInfo, sign: 1 | -1): void {
    if (this.#matchesAll(pod)) for (const { topologyKey } of this.#pod.requiredAffinity) this.#affinity.add(node, topologyKey, sign)
    for (const term of this.#pod.requiredAntiAffinity)
      if (termMatches(term, pod, this.#namespaceLabels)) this.#antiAffinity.add(node, term.topologyKey, sign)
    for (const term of pod.requiredAntiAffinity)
      if (termMatches(term, this.#pod, this.#namespaceLabels)) this.#existing.add(node, term.topologyKey, sign)
  }
}

/** Upstream's HardPodAffinityWeight: what a running pod's required affinity for us counts. */
const hardAffinityWeight = 1

function preferences(pod: PodInfo, cluster: Cluster): TopologyCounts {
  const namespaceLabels = namespaceLabelsOf(cluster)
  const counts = new TopologyCounts()
  const hasPreferences = pod.preferredAffinity.length > 0 || pod.preferredAntiAffinity.length > 0
  const addAll = (terms: readonly AffinityTerm[], of: PodInfo, node: NodeInfo, factor: (weight: number) => number): void => {
    for (const term of terms) if (termMatches(term, of, namespaceLabels)) counts.add(node, term.topologyKey, factor(term.weight))
  }
  for (const node of hasPreferences ? cluster.nodes : cluster.nodesWithAffinityPods) {
    for (const existing of hasPreferences ? node.pods.values() : node.podsWithAffinity) {
      addAll(pod.preferredAffinity, existing, node, (weight) => weight)
      addAll(pod.preferredAntiAffinity, existing, node, (weight) => -weight)
      addAll(existing.requiredAffinity, pod, node, () => hardAffinityWeight)
      addAll(existing.preferredAffinity, pod, node, (weight) => weight)
      addAll(existing.preferredAntiAffinity, pod, node, (weight) => -weight)
    }
  }
  return counts
}

/** Pods near or far from pods, required and preferred. */
export const interPodAffinity: Plugin = {
  name,
  weight: 2,
  prepareFilter(pod, cluster) {
    const terms = new RequiredTerms(pod, namespaceLabelsOf(cluster))
    // Without terms of our own only those of others count.
    const hasTerms = pod.requiredAffinity.length > 0 || pod.requiredAntiAffinity.length > 0
    for (const node of hasTerms ? cluster.nodes : cluster.nodesWithAffinityPods)
      for (const existing of hasTerms ? node.pods.values() : node.podsWithRequiredAntiAffinity) terms.podAdded(existing, node)
    return terms.isTrivial ? undefined : terms
  },
  prepareScore(pod, _nodes, cluster) {
    const counts = preferences(pod, cluster)
    if (counts.isEmpty) return undefined
    return {
      score: (node) => counts.sumAt(node),
      normalize(scores) {
        const least = leastOf(scores)
        const range = greatestOf(scores) - least
        for (const [index, score] of scores.entries()) scores[index] = range === 0 ? 0 : Math.trunc((maxScore * (score - least)) / range)
      },
    }
  },
  isWorthRetrying: (_pod, event) =>
    event.kind === 'podChanged' || event.kind === 'podDeleted' || event.kind === 'nodeChanged' || event.kind === 'namespaceChanged',
}
