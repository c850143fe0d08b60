import { isRejection, type Cluster, type FilterCheck, type Plugin, type Rejection, type TrialCheck } from './framework.ts'
import type { NodeInfo } from './node-info.ts'
import type { Nominations } from './nominations.ts'
import type { PodInfo } from './pod-info.ts'

/** All plugins' checks of one pod. */
export interface Filters {
  readonly checks: readonly FilterCheck[]
  /** The only nodes that can be right, when a plugin knows them, and which plugins those are. */
  readonly nodeNames: ReadonlySet<string> | undefined
  readonly restrictedBy: readonly string[]
}

/** Runs PreFilter: a Rejection when a plugin has no node for the pod. */
export function prepareFilters(pod: PodInfo, cluster: Cluster, plugins: readonly Plugin[]): Filters | Rejection {
  const checks: FilterCheck[] = []
  let nodeNames: ReadonlySet<string> | undefined
  const restrictedBy: string[] = []
  for (const plugin of plugins) {
    const result = plugin.prepareFilter?.(pod, cluster)
    if (result === undefined) continue
    if (isRejection(result)) return result
    checks.push(result)
    if (result.nodeNames === undefined) continue
    nodeNames = nodeNames === undefined ? result.nodeNames : nodeNames.intersection(result.nodeNames)
    restrictedBy.push(plugin.name)
  }
  return { checks, nodeNames, restrictedBy }
}

/** The first plugin's rejection of the node. */
export function runChecks(checks: readonly FilterCheck[], node: NodeInfo): Rejection | undefined {
  for (const check of checks) {
    const rejection = check.check(node)
    if (rejection !== undefined) return rejection
  }
  return undefined
}

/** A copy of a node, and of what the checks know of it, to try pods on. */
export class Trial {
  readonly node: NodeInfo
  readonly #checks: readonly FilterCheck[]
  readonly #trials: readonly TrialCheck[]

  constructor(node: NodeInfo, checks: readonly FilterCheck[]) {
    this.node = node.clone()
    const forks = checks.map((check) => ({ check, trial: check.fork?.() }))
    this.#checks = forks.map(({ check, trial }) => trial ?? check)
    this.#trials = forks.flatMap(({ trial }) => trial ?? [])
  }

  add(pod: PodInfo): void {
    this.node.add(pod)
    for (const trial of this.#trials) trial.podAdded(pod, this.node)
  }

  remove(pod: PodInfo): void {
    this.node.remove(pod.uid)
    for (const trial of this.#trials) trial.podRemoved(pod, this.node)
  }

  check(): Rejection | undefined {
    return runChecks(this.#checks, this.node)
  }
}

/**
 * Whether the pod fits on the node, also when the pods come that preemption makes room for there: those of at least its priority count as if they
 * were on it. They may not come, so the pod must fit without them, too (it may need one of them near).
 */
export function checkNode(pod: PodInfo, node: NodeInfo, checks: readonly FilterCheck[], nominations: Nominations): Rejection | undefined {
  const nominated = nominations.before(pod, node.name)
  if (nominated.length > 0) {
    const trial = new Trial(node, checks)
    for (const other of nominated) trial.add(other)
    const rejection = trial.check()
    if (rejection !== undefined) return rejection
  }
  return runChecks(checks, node)
}
