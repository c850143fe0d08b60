import { matchesSelector, selectorOf, type Selector } from '@k3s/api'
import type { TopologySpreadConstraint } from '@k3s/api/types/core/v1'
import { greatestOf, leastOf } from '@k3s/lifecycle'
import { maxScore, type Cluster, type Plugin, type Rejection, type Scorer, type TrialCheck } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import { nodeAffinityMatches } from './node-affinity.ts'
import { untoleratedTaint } from './node-plugins.ts'
import { ownerSelector } from './owner-selector.ts'

interface Constraint {
  readonly maxSkew: number
  readonly topologyKey: string
  /** Undefined selects no pod. */
  readonly selector: Selector | undefined
  readonly minDomains: number
  readonly honorsAffinity: boolean
  readonly honorsTaints: boolean
}

const name = 'PodTopologySpread'
const hostname = 'kubernetes.io/hostname'
const zone = 'topology.kubernetes.io/zone'
const skewRejection: Rejection = { plugin: name, reasons: ["node(s) didn't match pod topology spread constraints"], isResolvable: true }
const labelRejection: Rejection = {
  plugin: name,
  reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
  isResolvable: false,
}

/** For pods that say nothing: those of one owner or Service are spread, softly. */
const defaultConstraints: readonly Pick<Constraint, 'maxSkew' | 'topologyKey'>[] = [
  { topologyKey: hostname, maxSkew: 3 },
  { topologyKey: zone, maxSkew: 5 },
]

function parseConstraints({ pod }: PodInfo, action: 'DoNotSchedule' | 'ScheduleAnyway'): readonly Constraint[] {
  const labels = pod.metadata.labels ?? {}
  return (pod.spec.topologySpreadConstraints ?? [])
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === action)
    .map((constraint: TopologySpreadConstraint) => {
      const selector = selectorOf(constraint.labelSelector)
      const sameValues = (constraint.matchLabelKeys ?? []).flatMap((key) => {
        const value = labels[key]
        return value === undefined ? [] : [{ key, operator: 'in' as const, values: [value] }]
      })
      return {
        maxSkew: constraint.maxSkew,
        topologyKey: constraint.topologyKey,
        selector: selector === undefined ? undefined : [...sameValues, ...selector],
        minDomains: constraint.minDomains ?? 1,
        honorsAffinity: constraint.nodeAffinityPolicy !== 'Ignore',
        honorsTaints: constraint.nodeTaintsPolicy === 'Honor',
      }
    })
}

/** True when the pods of a node count for the constraint. */
function includes({ honorsAffinity, honorsTaints }: Constraint, { pod }: PodInfo, { node }: NodeInfo): boolean {
  if (honorsAffinity && !nodeAffinityMatches(pod, node)) return false
  return !honorsTaints || untoleratedTaint(node, pod.spec.tolerations) === undefined
}

const hasAllKeys = ({ labels }: NodeInfo, constraints: readonly Constraint[]): boolean =>
  constraints.every(({ topologyKey }) => labels[topologyKey] !== undefined)

const isSelected = (selector: Selector | undefined, { pod }: PodInfo): boolean =>
  selector !== undefined && matchesSelector(selector, pod.metadata.labels)

/** Pods on the node that count: those of the namespace that are not being deleted. Follows upstream: a selector of everything counts none. */
function countPods(node: NodeInfo, selector: Selector | undefined, namespace: string): number {
  if (selector === undefined || selector.length === 0) return 0
  let count = 0
  for (const other of node.pods.values())
    if (other.namespace === namespace && other.pod.metadata.deletionTimestamp === undefined && isSelected(selector, other)) count++
  return count
}

/** The hard constraints of a pod, with the number of matching pods in each domain. */
class SpreadCheck implements TrialCheck {
  readonly #pod: PodInfo
  readonly #constraints: readonly Constraint[]
  /** By constraint, then by topology value. */
  readonly #counts: readonly Map<string, number>[]
  /** The least of each constraint's counts, until they change. */
  #least: (number | undefined)[] = []

  constructor(pod: PodInfo, constraints: readonly Constraint[], counts: readonly Map<string, number>[]) {
    this.#pod = pod
    this.#constraints = constraints
    this.#counts = counts
  }

  fork(): TrialCheck {
    return new SpreadCheck(
      this.#pod,
      this.#constraints,
      this.#counts.map((counts) => new Map(counts)),
    )
  }

  podAdded(pod: PodInfo, node: NodeInfo): void {
    this.#change(pod, node, 1)
  }

  podRemoved(pod: PodInfo, node: NodeInfo): void {
    this.#change(pod, node, -1)
  }

  check(node: NodeInfo): Rejection | undefined {
    for (const [index, constraint] of this.#constraints.entries()) {
      const value = node.labels[constraint.topologyKey]
      if (value === undefined) return labelRejection
      const matching = this.#counts[index]?.get(value) ?? 0
      const own = isSelected(constraint.selector, this.#pod) ? 1 : 0
      if (matching + own - this.#leastOf(index, constraint) > constraint.maxSkew) return skewRejection
    }
    return undefined
  }

  /** The fewest matching pods in a domain; 0 while there are fewer domains than wanted. */
  #leastOf(index: number, { minDomains }: Constraint): number {
    const counts = this.#counts[index]
    if (counts === undefined || counts.size < minDomains) return 0
    return (this.#least[index] ??= counts.size === 0 ? Infinity : leastOf(counts.values()))
  }

  #change(pod: PodInfo, node: NodeInfo, sign: 1 | -1): void {
    if (pod.namespace !== this.#pod.namespace || !hasAllKeys(node, this.#constraints)) return
    for (const [index, constraint] of this.#constraints.entries()) {
      const value = node.labels[constraint.topologyKey]
      if (value === undefined || !isSelected(constraint.selector, pod) || !includes(constraint, this.#pod, node)) continue
      this.#counts[index]?.set(value, (this.#counts[index]?.get(value) ?? 0) + sign)
    }
    this.#least = []
  }
}

/** Pods in each domain that a candidate is in; domains without a candidate are of no interest. */
function countDomains(
  pod: PodInfo,
  constraint: Constraint,
  candidates: readonly NodeInfo[],
  all: readonly NodeInfo[],
): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { labels } of candidates) counts.set(labels[constraint.topologyKey] ?? '', 0)
  for (const node of all) {
    const value = node.labels[constraint.topologyKey] ?? ''
    const count = counts.get(value)
    if (count !== undefined && value !== '' && includes(constraint, pod, node))
      counts.set(value, count + countPods(node, constraint.selector, pod.namespace))
  }
  return counts
}

function softScorer(pod: PodInfo, nodes: readonly NodeInfo[], cluster: Cluster): Scorer | undefined {
  const isOwn = (pod.pod.spec.topologySpreadConstraints ?? []).length > 0
  const constraints = isOwn ? parseConstraints(pod, 'ScheduleAnyway') : defaultsFor(pod, cluster)
  if (constraints.length === 0) return undefined
  // With constraints of its own a node must have all their labels; by default, a node without a zone is still spread by name.
  const isEligible = (node: NodeInfo): boolean => !isOwn || hasAllKeys(node, constraints)
  const eligible = nodes.filter(isEligible)
  const all = isOwn ? cluster.nodes.filter(isEligible) : cluster.nodes
  const measures = constraints.map((constraint) => {
    const { topologyKey, selector, maxSkew } = constraint
    const counts = topologyKey === hostname ? undefined : countDomains(pod, constraint, eligible, all)
    // Fewer domains have larger counts: the weight lets both constraints be heard.
    const weight = Math.log((counts?.size ?? eligible.length) + 2)
    return (node: NodeInfo): number => {
      const value = node.labels[topologyKey]
      if (value === undefined) return 0
      return (counts === undefined ? countPods(node, selector, pod.namespace) : (counts.get(value) ?? 0)) * weight + (maxSkew - 1)
    }
  })
  return {
    score: (node) => (isEligible(node) ? Math.round(measures.reduce((sum, measure) => sum + measure(node), 0)) : 0),
    normalize(scores, scored) {
      const relevant = scores.filter((_score, index) => isEligible(scored[index] as NodeInfo)) // same length
      const least = leastOf(relevant)
      const most = Math.max(0, greatestOf(relevant))
      for (const [index, node] of scored.entries()) {
        if (!isEligible(node)) scores[index] = 0
        else scores[index] = most === 0 ? maxScore : Math.trunc((maxScore * (most + least - (scores[index] ?? 0))) / most)
      }
    },
  }
}

function defaultsFor(pod: PodInfo, cluster: Cluster): readonly Constraint[] {
  const selector = ownerSelector(pod.pod, cluster.listers)
  if (selector.length === 0) return []
  return defaultConstraints.map((constraint) => ({ ...constraint, selector, minDomains: 1, honorsAffinity: true, honorsTaints: false }))
}

/** Spreads pods over zones, nodes or what else labels name: hard constraints filter, soft ones score. */
export const podTopologySpread: Plugin = {
  name,
  weight: 2,
  prepareFilter(pod, cluster) {
    const constraints = parseConstraints(pod, 'DoNotSchedule')
    if (constraints.length === 0) return undefined
    const counts = constraints.map(() => new Map<string, number>())
    for (const node of cluster.nodes) {
      if (!hasAllKeys(node, constraints)) continue
      for (const [index, constraint] of constraints.entries()) {
        const value = node.labels[constraint.topologyKey]
        const domain = counts[index]
        if (value === undefined || domain === undefined || !includes(constraint, pod, node)) continue
        domain.set(value, (domain.get(value) ?? 0) + countPods(node, constraint.selector, pod.namespace))
      }
    }
    return new SpreadCheck(pod, constraints, counts)
  },
  prepareScore: softScorer,
  isWorthRetrying(pod, event) {
    if (event.kind === 'podChanged' || event.kind === 'podDeleted') return event.pod.namespace === pod.namespace
    return event.kind === 'nodeChanged' || event.kind === 'nodeDeleted'
  },
}
