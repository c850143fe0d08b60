import type { DaemonSet, DaemonSetStatus } from '@k3s/api/types/apps/v1'
import type { Node, Pod } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { revisionHashLabel } from '../kit/history.ts'
import { byCreation } from '../kit/owners.ts'
import { isPodAvailable, isPodReady } from '../kit/pods.ts'
import { scaledValue } from '../kit/scale.ts'
import { fitOf, targetNodeOf } from './daemon-pod.ts'

export interface DaemonInput {
  readonly set: DaemonSet
  readonly nodes: readonly Node[]
  /** Pods that the DaemonSet controls, ended and deleted ones too. */
  readonly pods: readonly Pod[]
  /** Of the present template. */
  readonly hash: string
  readonly nowMs: number
}

export interface DaemonPlan {
  /** Names of nodes that need a pod. */
  readonly create: readonly string[]
  readonly remove: readonly Pod[]
  /** Pods among `remove` that have ended, which users should hear of. */
  readonly ended: readonly Pod[]
}

const isGoing = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined
const isUpdated = (pod: Pod, hash: string): boolean => pod.metadata.labels?.[revisionHashLabel] === hash

function podsByNode(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const byNode = new Map<string, Pod[]>()
  for (const pod of pods.toSorted(
    (a, b) => Number((b.spec.nodeName ?? '') !== '') - Number((a.spec.nodeName ?? '') !== '') || byCreation(a, b),
  ))
    (byNode.get(targetNodeOf(pod)) ?? byNode.set(targetNodeOf(pod), []).get(targetNodeOf(pod)))?.push(pod)
  return byNode
}

const isRolling = ({ spec }: DaemonSet): boolean => (spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate'

function surgeOf(set: DaemonSet, desired: number): number {
  return isRolling(set) ? scaledValue(set.spec.updateStrategy?.rollingUpdate?.maxSurge, desired, 'up') : 0
}

function maxUnavailableOf(set: DaemonSet, desired: number): number {
  const unavailable = scaledValue(set.spec.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, desired, 'up')
  return unavailable === 0 && surgeOf(set, desired) === 0 ? 1 : unavailable
}

/** Which nodes lack a pod and which pods must go: first what nodes ask for, and when that is met, the next step of a rollout. */
export function planDaemons(input: DaemonInput): DaemonPlan {
  const presence = planPresence(input)
  if (presence.create.length + presence.remove.length > 0 || !isRolling(input.set)) return presence
  const desired = input.nodes.filter((node) => fitOf(input.set, node).shouldRun).length
  const surge = surgeOf(input.set, desired)
  return surge > 0 ? planSurge(input, surge, desired) : planReplacement(input, maxUnavailableOf(input.set, desired))
}

function planPresence({ set, nodes, pods, hash, nowMs }: DaemonInput): DaemonPlan {
  const byNode = podsByNode(pods)
  const allowsTwo = surgeOf(set, 1) > 0
  const minReady = set.spec.minReadySeconds ?? 0
  const [create, remove, ended]: [string[], Pod[], Pod[]] = [[], [], []]
  for (const node of nodes) {
    const { name } = node.metadata
    const { shouldRun, mayStay } = fitOf(set, node)
    const here = byNode.get(name) ?? []
    if (here.length === 0) {
      if (shouldRun) create.push(name)
      continue
    }
    const staying = here.filter((pod) => !isGoing(pod))
    if (!mayStay) {
      append(remove, staying)
      continue
    }
    const over = staying.filter(({ status }) => status?.phase === 'Failed' || status?.phase === 'Succeeded')
    append(remove, over)
    append(ended, over)
    const running = staying.filter((pod) => !over.includes(pod))
    if (!allowsTwo) {
      append(remove, running.slice(1))
      continue
    }
    if (running.length === 0 && over.length === 0 && shouldRun) create.push(name)
    if (running.length <= 1) continue
    // An old pod stays beside a new one only while it is available and the new one is not.
    const newest = running.find((pod) => isUpdated(pod, hash))
    const oldest = running.find((pod) => !isUpdated(pod, hash))
    const keepsBoth =
      newest !== undefined && oldest !== undefined && isPodAvailable(oldest, minReady, nowMs) && !isPodAvailable(newest, minReady, nowMs)
    const kept = keepsBoth ? [newest, oldest] : [newest ?? oldest]
    append(
      remove,
      running.filter((pod) => !kept.includes(pod)),
    )
  }
  const known = new Set(nodes.map(({ metadata }) => metadata.name))
  // A pod made for a node that went away before it was bound would wait for ever.
  append(
    remove,
    pods.filter((pod) => (pod.spec.nodeName ?? '') === '' && !isGoing(pod) && !known.has(targetNodeOf(pod))),
  )
  return { create, remove, ended }
}

/** The new and the old pod of each node; `undefined` for one with more than one of either. */
function pairsByNode(pods: readonly Pod[], hash: string): ReadonlyMap<string, { readonly fresh?: Pod; readonly old?: Pod } | undefined> {
  const pairs = new Map<string, { readonly fresh?: Pod; readonly old?: Pod } | undefined>()
  for (const [node, here] of podsByNode(pods)) {
    const alive = here.filter((pod) => !isGoing(pod))
    const fresh = alive.filter((pod) => isUpdated(pod, hash))
    const old = alive.filter((pod) => !isUpdated(pod, hash))
    pairs.set(
      node,
      fresh.length > 1 || old.length > 1 ? undefined : { ...(fresh[0] && { fresh: fresh[0] }), ...(old[0] && { old: old[0] }) },
    )
  }
  return pairs
}

/** Deletes old pods, those that are not available at once and others as far as `maxUnavailable` allows; new ones follow. */
function planReplacement({ set, pods, hash, nowMs }: DaemonInput, maxUnavailable: number): DaemonPlan {
  const minReady = set.spec.minReadySeconds ?? 0
  const [useless, candidates]: [Pod[], Pod[]] = [[], []]
  let unavailable = 0
  for (const pair of pairsByNode(pods, hash).values()) {
    if (pair?.old === undefined || pair.fresh !== undefined) {
      if (pair?.fresh === undefined || pair.old !== undefined || !isPodAvailable(pair.fresh, minReady, nowMs)) unavailable++
    } else if (isPodAvailable(pair.old, minReady, nowMs)) {
      candidates.push(pair.old)
    } else {
      useless.push(pair.old)
      unavailable++
    }
  }
  return { create: [], remove: [...useless, ...candidates.slice(0, Math.max(0, maxUnavailable - unavailable))], ended: [] }
}

/** Starts new pods beside old ones, `surge` at a time, and deletes an old pod when its successor is available. */
function planSurge({ set, nodes, pods, hash, nowMs }: DaemonInput, surge: number, desired: number): DaemonPlan {
  const minReady = set.spec.minReadySeconds ?? 0
  const nodeOf = new Map(nodes.map((node) => [node.metadata.name, node]))
  const [remove, homeless, urgent, candidates]: [Pod[], Pod[], string[], string[]] = [[], [], [], []]
  let [surging, available] = [0, 0]
  for (const [name, pair] of pairsByNode(pods, hash)) {
    if (pair === undefined) {
      surging++
      continue
    }
    const { fresh, old } = pair
    const counted = old ?? fresh
    if (counted !== undefined && isPodAvailable(counted, minReady, nowMs)) available++
    if (old === undefined) continue
    if (fresh !== undefined) {
      if (isPodAvailable(fresh, minReady, nowMs)) remove.push(old)
      else surging++
      continue
    }
    const node = nodeOf.get(name)
    const shouldRun = node !== undefined && fitOf(set, node).shouldRun
    const isServing = isPodAvailable(old, minReady, nowMs)
    if (!shouldRun) (isServing ? homeless : remove).push(old)
    else (isServing ? candidates : urgent).push(name)
  }
  // A pod whose node is no longer wanted goes only when another one serves in its place.
  append(remove, homeless.slice(0, Math.max(0, available - desired)))
  return { create: [...urgent, ...candidates.slice(0, Math.max(0, surge - surging))], remove, ended: [] }
}

/** The status to report. */
export function daemonStatus({ set, nodes, pods, hash, nowMs }: DaemonInput): DaemonSetStatus {
  const byNode = podsByNode(pods)
  const minReady = set.spec.minReadySeconds ?? 0
  let [desired, current, misscheduled, ready, updated, available] = [0, 0, 0, 0, 0, 0]
  for (const node of nodes) {
    const here = byNode.get(node.metadata.name) ?? []
    if (!fitOf(set, node).shouldRun) {
      if (here.length > 0) misscheduled++
      continue
    }
    desired++
    const pod = here.toSorted(byCreation)[0]
    if (pod === undefined) continue
    current++
    if (isPodReady(pod)) ready++
    if (isPodAvailable(pod, minReady, nowMs)) available++
    if (isUpdated(pod, hash)) updated++
  }
  return {
    ...set.status,
    observedGeneration: set.metadata.generation ?? 0,
    desiredNumberScheduled: desired,
    currentNumberScheduled: current,
    numberMisscheduled: misscheduled,
    numberReady: ready,
    updatedNumberScheduled: updated,
    numberAvailable: available,
    numberUnavailable: desired - available,
  }
}
