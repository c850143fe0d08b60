import { maxScore, type Plugin, type Rejection } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import { parseResources, type Resources } from '../pod-resources.ts'

const scoredResources = ['cpu', 'memory'] as const

/** What the node lacks, in upstream's words; empty when the pod fits. */
export function insufficientResources(
  { requests }: PodInfo,
  node: NodeInfo,
): readonly { readonly reason: string; readonly isResolvable: boolean }[] {
  const missing: { readonly reason: string; readonly isResolvable: boolean }[] = []
  if (node.pods.size + 1 > node.allowedPods) missing.push({ reason: 'Too many pods', isResolvable: true })
  for (const [name, amount] of requests) {
    if (amount === 0) continue
    const allocatable = node.allocatable.get(name) ?? 0
    if (amount > allocatable - (node.requested.get(name) ?? 0))
      missing.push({ reason: `Insufficient ${name}`, isResolvable: amount <= allocatable })
  }
  return missing
}

/** Free part of the node's CPU and memory with the pod on it, 0 to 100: spreads pods. */
export function leastAllocatedScore({ nonZeroRequests }: PodInfo, { allocatable, nonZeroRequested }: NodeInfo): number {
  let sum = 0
  let count = 0
  for (const name of scoredResources) {
    const capacity = allocatable.get(name) ?? 0
    if (capacity === 0) continue
    const requested = (nonZeroRequested.get(name) ?? 0) + (nonZeroRequests.get(name) ?? 0)
    sum += requested > capacity ? 0 : Math.trunc(((capacity - requested) * maxScore) / capacity)
    count++
  }
  return count === 0 ? 0 : Math.trunc(sum / count)
}

/** Pods fit by their requests and the number of pods; emptier nodes are better. */
export const nodeResourcesFit: Plugin = {
  name: 'NodeResourcesFit',
  prepareFilter: (pod) => ({
    check(node): Rejection | undefined {
      const missing = insufficientResources(pod, node)
      if (missing.length === 0) return undefined
      return {
        plugin: 'NodeResourcesFit',
        reasons: missing.map(({ reason }) => reason),
        isResolvable: missing.every(({ isResolvable }) => isResolvable),
      }
    },
  }),
  prepareScore: (pod) => ({ score: (node) => leastAllocatedScore(pod, node) }),
  isWorthRetrying(pod, event) {
    if (event.kind === 'podDeleted') return true
    // A pod that was resized down leaves room.
    if (event.kind === 'podChanged') return event.previous !== undefined && isLess(event.pod.requests, event.previous.requests)
    if (event.kind !== 'nodeChanged') return false
    const allocatable = parseResources(event.node.status?.allocatable)
    for (const [name, amount] of pod.requests) if (amount > (allocatable.get(name) ?? 0)) return false
    return (allocatable.get('pods') ?? 0) > 0
  },
}

function isLess(now: Resources, before: Resources): boolean {
  for (const [name, amount] of before) if ((now.get(name) ?? 0) < amount) return true
  return false
}

/** How even the node's use of CPU and memory is: 100 when equal, 50 when one is full and the other unused. */
function balance(requested: readonly number[], allocatable: readonly number[]): number {
  const fractions = allocatable.flatMap((capacity, index) => (capacity === 0 ? [] : [Math.min(1, (requested[index] ?? 0) / capacity)]))
  const [first, second] = fractions
  const deviation = first === undefined || second === undefined ? 0 : Math.abs(first - second) / 2
  return Math.trunc((1 - deviation) * maxScore)
}

/** How much the pod improves the balance: around 75 when it changes nothing, 50 to 100. */
export function balancedAllocationScore({ requests }: PodInfo, { allocatable, requested }: NodeInfo): number {
  const capacity = scoredResources.map((name) => allocatable.get(name) ?? 0)
  const before = scoredResources.map((name) => requested.get(name) ?? 0)
  const after = scoredResources.map((name, index) => (before[index] ?? 0) + (requests.get(name) ?? 0))
  return maxScore / 2 + Math.trunc((maxScore / 2 + balance(after, capacity) - balance(before, capacity)) / 2)
}

/** Prefers nodes on which CPU and memory are used evenly. Pods that request neither do not care. */
export const balancedAllocation: Plugin = {
  name: 'NodeResourcesBalancedAllocation',
  prepareScore(pod) {
    if (scoredResources.every((name) => (pod.requests.get(name) ?? 0) === 0)) return undefined
    return { score: (node) => balancedAllocationScore(pod, node) }
  },
}
