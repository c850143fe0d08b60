import { matchesSelector, selectorOf } from '@k3s/api'
import type { PodDisruptionBudget } from '@k3s/api/types/policy/v1'
import { leastOf } from '@k3s/lifecycle'
import { Trial, type Filters } from './filters.ts'
import { fitMessage } from './fit-message.ts'
import type { NotFound } from './find-node.ts'
import type { Cluster } from './framework.ts'
import type { NodeInfo } from './node-info.ts'
import type { Nominations } from './nominations.ts'
import type { PodInfo } from './pod-info.ts'

export interface Victims {
  readonly node: NodeInfo
  /** More important ones first. */
  readonly pods: readonly PodInfo[]
  /** How many of them a PodDisruptionBudget would keep. */
  readonly violations: number
}

export type Preemption =
  /** Room can be made. */
  | { readonly victims: Victims }
  /** It cannot, or not now. `keepsNomination` is true while victims of an earlier preemption still end. */
  | { readonly victims: undefined; readonly message: string; readonly keepsNomination: boolean }

// Upstream's DefaultPreemptionArgs.
const minCandidatePercentage = 10
const minCandidates = 100

/** Decides which pods of lower priority must go so that the pod fits on some node, follows upstream's DefaultPreemption. Changes nothing. */
export function planPreemption(
  pod: PodInfo,
  cluster: Cluster,
  { filters, rejections }: NotFound,
  { nominations, random, nowMs }: { readonly nominations: Nominations; readonly random: () => number; readonly nowMs: number },
): Preemption {
  const { pod: object } = pod
  if (object.spec.preemptionPolicy === 'Never')
    return { victims: undefined, message: 'not eligible due to preemptionPolicy=Never.', keepsNomination: true }
  const nominated = cluster.nodes.find(({ name }) => name === nominations.nodeOf(pod.uid))
  if (nominated !== undefined && rejections.get(nominated)?.isResolvable !== false && hasEndingVictim(nominated, pod))
    return { victims: undefined, message: 'not eligible due to a terminating pod on the nominated node.', keepsNomination: true }

  const candidates = filters === undefined ? [] : [...rejections].filter(([, { isResolvable }]) => isResolvable).map(([node]) => node)
  const reasons = new Map<NodeInfo, readonly string[]>()
  const found = filters === undefined ? [] : findCandidates(pod, candidates, filters, cluster, { nominations, random, nowMs, reasons })
  const best = pickVictims(found, nowMs)
  if (best !== undefined) return { victims: best }
  const told = cluster.nodes.flatMap((node) => reasons.get(node) ?? ['Preemption is not helpful for scheduling'])
  return { victims: undefined, message: fitMessage({ nodes: cluster.nodes.length, reasons: told }), keepsNomination: false }
}

/** True while a pod that preemption deleted is still ending there. */
function hasEndingVictim(node: NodeInfo, { priority }: PodInfo): boolean {
  for (const { pod, priority: other } of node.pods.values()) {
    if (other >= priority || pod.metadata.deletionTimestamp === undefined) continue
    const condition = pod.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')
    if (condition?.status === 'True' && condition.reason === 'PreemptionByScheduler') return true
  }
  return false
}

interface CandidateOptions {
  readonly nominations: Nominations
  readonly random: () => number
  readonly nowMs: number
  /** Filled with what keeps the pod from nodes on which removing pods does not help. */
  readonly reasons: Map<NodeInfo, readonly string[]>
}

/** Looks at enough nodes from a random one on: one without violations ends the search early. */
function findCandidates(
  pod: PodInfo,
  nodes: readonly NodeInfo[],
  filters: Filters,
  cluster: Cluster,
  options: CandidateOptions,
): readonly Victims[] {
  const enough = Math.min(nodes.length, Math.max(minCandidates, Math.trunc((nodes.length * minCandidatePercentage) / 100)))
  const offset = Math.trunc(options.random() * nodes.length)
  const budgets = cluster.listers.poddisruptionbudgets.list()
  const found: Victims[] = []
  let isClean = false
  for (let index = 0; index < nodes.length && !(isClean && found.length >= enough); index++) {
    const node = nodes[(offset + index) % nodes.length]
    if (node === undefined) break
    const victims = selectVictims(pod, node, filters, budgets, options)
    if (victims === undefined) continue
    found.push(victims)
    isClean ||= victims.violations === 0
  }
  return found
}

/** The fewest and least important pods that must go from the node; undefined when that does not help, with the reasons noted. */
function selectVictims(
  pod: PodInfo,
  node: NodeInfo,
  { checks }: Filters,
  budgets: readonly PodDisruptionBudget[],
  { nominations, nowMs, reasons }: CandidateOptions,
): Victims | undefined {
  const lower = [...node.pods.values()].filter(({ priority }) => priority < pod.priority)
  if (lower.length === 0) {
    reasons.set(node, ['No preemption victims found for incoming pod'])
    return undefined
  }
  const trial = new Trial(node, checks)
  const nominated = nominations.before(pod, node.name)
  const check = (): readonly string[] | undefined => {
    for (const other of nominated) trial.add(other)
    const withNominated = trial.check()
    for (const other of nominated) trial.remove(other)
    return (withNominated ?? trial.check())?.reasons
  }
  for (const victim of lower) trial.remove(victim)
  const stillMissing = check()
  if (stillMissing !== undefined) {
    reasons.set(node, stillMissing)
    return undefined
  }
  const byImportance = lower.toSorted((a, b) => compareImportance(a, b, nowMs))
  const { violating, others } = splitByBudget(byImportance, budgets)
  const pods: PodInfo[] = []
  let violations = 0
  // Give back what need not go: first those that a budget protects, more important ones before others.
  for (const victim of [...violating, ...others]) {
    trial.add(victim)
    if (check() === undefined) continue
    trial.remove(victim)
    pods.push(victim)
    if (violating.includes(victim)) violations++
  }
  return pods.length === 0 ? undefined : { node, pods: pods.toSorted((a, b) => compareImportance(a, b, nowMs)), violations }
}

const startOf = ({ pod }: PodInfo, nowMs: number): number =>
  pod.status?.startTime === undefined ? nowMs : Date.parse(pod.status.startTime)

/** Negative when `a` is more important: of higher priority, or running longer. */
function compareImportance(a: PodInfo, b: PodInfo, nowMs: number): number {
  return b.priority - a.priority || startOf(a, nowMs) - startOf(b, nowMs)
}

/** Pods beyond what their budgets allow to go, in the order given, and the others. */
export function splitByBudget(
  pods: readonly PodInfo[],
  budgets: readonly PodDisruptionBudget[],
): { readonly violating: readonly PodInfo[]; readonly others: readonly PodInfo[] } {
  const allowed = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]))
  const violating: PodInfo[] = []
  const others: PodInfo[] = []
  for (const pod of pods) {
    const { labels = {}, name, namespace } = pod.pod.metadata
    let isViolated = false
    for (const budget of budgets) {
      const selector = selectorOf(budget.spec.selector) ?? []
      if (budget.metadata.namespace !== namespace || Object.keys(labels).length === 0) continue
      if (selector.length === 0 || !matchesSelector(selector, labels)) continue
      // Its disruption is counted already.
      if (budget.status?.disruptedPods?.[name] !== undefined) continue
      const left = (allowed.get(budget) ?? 0) - 1
      allowed.set(budget, left)
      isViolated ||= left < 0
    }
    ;(isViolated ? violating : others).push(pod)
  }
  return { violating, others }
}

/**
 * The candidate that hurts least: fewest violated budgets, then lowest highest priority, lowest sum of priorities, fewest pods, latest start of its
 * most important pods; then the first.
 */
export function pickVictims(candidates: readonly Victims[], nowMs: number): Victims | undefined {
  const measures: readonly ((victims: Victims) => number)[] = [
    ({ violations }) => violations,
    ({ pods }) => pods[0]?.priority ?? 0,
    // All priorities are made positive, so that many pods of negative priority do not look better than one.
    ({ pods }) => pods.reduce((sum, { priority }) => sum + priority + 2 ** 31, 0),
    ({ pods }) => pods.length,
    ({ pods }) => -leastOf(pods.filter(({ priority }) => priority === pods[0]?.priority).map((pod) => startOf(pod, nowMs))),
  ]
  let best = candidates
  for (const measure of measures) {
    if (best.length <= 1) break
    const least = leastOf(best.map(measure))
    best = best.filter((candidate) => measure(candidate) === least)
  }
  return best[0]
}
