import { checkNode, prepareFilters, type Filters } from './filters.ts'
import { isRejection, type Cluster, type Plugin, type Rejection } from './framework.ts'
import type { NodeInfo } from './node-info.ts'
import type { Nominations } from './nominations.ts'
import type { PodInfo } from './pod-info.ts'

export interface FindNodeOptions {
  readonly plugins: readonly Plugin[]
  readonly nominations: Nominations
  /** Part of the nodes to look for before scoring, 1 to 100; 0 adapts it to their number. */
  readonly percentageOfNodesToScore: number
  /** Where in the nodes' order to begin: moved on by every cycle, so that all nodes have their turn. */
  readonly startIndex: number
  /** Uniform in [0, 1): chooses among equally good nodes. */
  readonly random: () => number
}

export type Found = { readonly node: NodeInfo; readonly checkedNodes: number }

export interface NotFound {
  readonly node: undefined
  readonly checkedNodes: number
  /** Absent when a plugin rejected the pod for every node. */
  readonly filters: Filters | undefined
  /** The plugin's word on the pod, when no node was looked at. */
  readonly podRejection: Rejection | undefined
  /** Why each node that was looked at is not right. */
  readonly rejections: ReadonlyMap<NodeInfo, Rejection>
  /** What is said of nodes that were not looked at because a plugin knew that others are meant. */
  readonly unseenReason: string | undefined
}

// Upstream's minFeasibleNodesToFind and minFeasibleNodesPercentageToFind.
const minNodesToFind = 100
const minPercentage = 5

/** How many nodes that fit are enough: all of a small cluster, from half down to 5 % of a large one. */
export function nodesToFind(nodes: number, percentageOfNodesToScore: number): number {
  if (nodes < minNodesToFind) return nodes
  const percentage = percentageOfNodesToScore === 0 ? Math.max(minPercentage, 50 - Math.trunc(nodes / 125)) : percentageOfNodesToScore
  return Math.max(minNodesToFind, Math.trunc((nodes * percentage) / 100))
}

/** Filters and scores nodes for a pod. Pure but for `random`; blocks for some microseconds a node. */
export function findNode(pod: PodInfo, cluster: Cluster, options: FindNodeOptions): Found | NotFound {
  const { plugins, nominations, startIndex } = options
  const filters = prepareFilters(pod, cluster, plugins)
  if (isRejection(filters))
    return { node: undefined, checkedNodes: 0, filters: undefined, podRejection: filters, rejections: new Map(), unseenReason: undefined }
  const nominated = nominations.nodeOf(pod.uid)
  const preferred = nominated === undefined ? undefined : cluster.nodes.find(({ name }) => name === nominated)
  // Room was made for the pod there: nothing else is looked at while it fits.
  if (preferred !== undefined && (filters.nodeNames?.has(preferred.name) ?? true))
    if (checkNode(pod, preferred, filters.checks, nominations) === undefined) return { node: preferred, checkedNodes: 0 }

  const { nodeNames } = filters
  const nodes = nodeNames === undefined ? cluster.nodes : cluster.nodes.filter(({ name }) => nodeNames.has(name))
  const enough = nodesToFind(nodes.length, options.percentageOfNodesToScore)
  const feasible: NodeInfo[] = []
  const rejections = new Map<NodeInfo, Rejection>()
  for (let index = 0; index < nodes.length && feasible.length < enough; index++) {
    const node = nodes[(startIndex + index) % nodes.length]
    if (node === undefined) break
    const rejection = checkNode(pod, node, filters.checks, nominations)
    if (rejection === undefined) feasible.push(node)
    else rejections.set(node, rejection)
  }
  const checkedNodes = feasible.length + rejections.size
  if (feasible.length > 0) return { node: bestNode(pod, feasible, cluster, options), checkedNodes }
  const unseenReason = nodeNames === undefined ? undefined : `node(s) didn't satisfy plugin(s) [${filters.restrictedBy.join(' ')}]`
  return { node: undefined, checkedNodes, filters, podRejection: undefined, rejections, unseenReason }
}

function bestNode(pod: PodInfo, nodes: readonly NodeInfo[], cluster: Cluster, { plugins, random }: FindNodeOptions): NodeInfo {
  const [first] = nodes
  const totals = scoreNodes(pod, nodes, cluster, plugins)
  let best = first as NodeInfo // there is one at least
  let bestScore = -1
  let ties = 0
  for (const [index, node] of nodes.entries()) {
    const score = totals[index] ?? 0
    if (score > bestScore) {
      best = node
      bestScore = score
      ties = 1
    } else if (score === bestScore && random() < 1 / ++ties) best = node
  }
  return best
}

/** Weighted sums of all plugins' scores, in the order of `nodes`. */
export function scoreNodes(pod: PodInfo, nodes: readonly NodeInfo[], cluster: Cluster, plugins: readonly Plugin[]): readonly number[] {
  const totals = nodes.map(() => 0)
  if (nodes.length === 1) return totals
  for (const plugin of plugins) {
    const scorer = plugin.prepareScore?.(pod, nodes, cluster)
    if (scorer === undefined) continue
    const scores = nodes.map((node) => scorer.score(node))
    scorer.normalize?.(scores, nodes)
    for (const [index, score] of scores.entries()) totals[index] = (totals[index] ?? 0) + (plugin.weight ?? 1) * score
  }
  return totals
}
