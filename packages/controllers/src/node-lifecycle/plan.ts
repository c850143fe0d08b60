import type { Node, NodeCondition, Taint } from '@k3s/api/types/core/v1'
import { findCondition } from '../kit/conditions.ts'
import { formatTime } from '../kit/time.ts'

const prefix = 'node.kubernetes.io/'
const notReadyTaint = `${prefix}not-ready`
const unreachableTaint = `${prefix}unreachable`

/** Conditions that a silent kubelet can no longer vouch for. */
const kubeletConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']

/** Conditions other than `Ready` that keep pods away while they hold. */
const conditionTaints: Readonly<Record<string, string>> = {
  MemoryPressure: `${prefix}memory-pressure`,
  DiskPressure: `${prefix}disk-pressure`,
  PIDPressure: `${prefix}pid-pressure`,
  NetworkUnavailable: `${prefix}network-unavailable`,
}

/** Keys of the taints with effect NoSchedule that are ours to set and remove. */
const scheduleTaints = new Set([notReadyTaint, unreachableTaint, `${prefix}unschedulable`, ...Object.values(conditionTaints)])

/** The conditions of a node whose kubelet has been silent for too long; `undefined` when they say so already. */
export function unknownConditions(node: Node, nowMs: number): NodeCondition[] | undefined {
  const time = formatTime(nowMs)
  const conditions = [...(node.status?.conditions ?? [])]
  let hasChanged = false
  for (const type of kubeletConditions) {
    const index = conditions.findIndex((condition) => condition.type === type)
    const before = conditions[index]
    if (before === undefined) {
      hasChanged = true
      conditions.push({
        type,
        status: 'Unknown',
        reason: 'NodeStatusNeverUpdated',
        message: 'Kubelet never posted node status.',
        lastHeartbeatTime: node.metadata.creationTimestamp,
        lastTransitionTime: time,
      })
    } else if (before.status !== 'Unknown') {
      hasChanged = true
      conditions[index] = {
        ...before,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: time,
      }
    }
  }
  return hasChanged ? conditions : undefined
}

/** Which taint the node's readiness asks for; `undefined` when it is ready. */
export function readinessTaint(node: Node): string | undefined {
  const ready = findCondition(node.status?.conditions, 'Ready')
  if (ready?.status === 'True') return undefined
  return ready?.status === 'False' ? notReadyTaint : unreachableTaint
}

/**
 * The taints that the node should have. NoSchedule follows the conditions at once. NoExecute, which evicts, is removed at once, changes its
 * key at once, and is added only when `mayEvict`.
 *
 * @returns undefined when the node has them.
 */
export function nodeTaints(node: Node, mayEvict: boolean, nowMs: number): Taint[] | undefined {
  const taints = node.spec.taints ?? []
  const conditions = node.status?.conditions
  // A node that never reported has its kubelet's own taint.
  const readiness = findCondition(conditions, 'Ready') === undefined ? undefined : readinessTaint(node)
  const wanted = new Set<string>()
  if (readiness !== undefined) wanted.add(readiness)
  if (node.spec.unschedulable === true) wanted.add(`${prefix}unschedulable`)
  for (const [type, key] of Object.entries(conditionTaints)) if (findCondition(conditions, type)?.status === 'True') wanted.add(key)
  const isReadiness = ({ key }: Taint): boolean => key === notReadyTaint || key === unreachableTaint
  const isEvicting = taints.some((taint) => taint.effect === 'NoExecute' && isReadiness(taint))
  const isKnown = findCondition(conditions, 'Ready') !== undefined
  const evicting = readiness !== undefined && (mayEvict || isEvicting) ? readiness : undefined
  const kept = taints.filter((taint) => {
    if (taint.effect === 'NoSchedule' && scheduleTaints.has(taint.key)) return wanted.has(taint.key) || (!isKnown && isReadiness(taint))
    if (taint.effect === 'NoExecute' && isReadiness(taint)) return taint.key === evicting
    return true
  })
  const has = (key: string, effect: string): boolean => kept.some((taint) => taint.key === key && taint.effect === effect)
  const added: Taint[] = [...wanted]
    .filter((key) => !has(key, 'NoSchedule'))
    .map((key) => ({ key, effect: 'NoSchedule', timeAdded: formatTime(nowMs) }))
  if (evicting !== undefined && !has(evicting, 'NoExecute'))
    added.push({ key: evicting, effect: 'NoExecute', timeAdded: formatTime(nowMs) })
  return added.length === 0 && kept.length === taints.length ? undefined : [...kept, ...added]
}

type ZoneState = 'Normal' | 'PartialDisruption' | 'FullDisruption'

/** How a zone fares, by its nodes. Follows upstream: partial is more than two nodes and 55 % of all. */
function zoneState(nodes: readonly Node[]): ZoneState {
  const notReady = nodes.filter((node) => readinessTaint(node) !== undefined).length
  if (notReady > 0 && notReady === nodes.length) return 'FullDisruption'
  return notReady > 2 && notReady / nodes.length >= 0.55 ? 'PartialDisruption' : 'Normal'
}

export function zoneOf({ metadata }: Node): string {
  const { labels = {} } = metadata
  return `${labels['topology.kubernetes.io/region'] ?? ''}/${labels['topology.kubernetes.io/zone'] ?? ''}`
}

/** How long to wait between two nodes of a zone that begin to lose their pods, in milliseconds; `undefined`: none may. */
export function evictionPeriodMs(nodes: readonly Node[], zone: string): number | undefined {
  const zones = Map.groupBy(nodes, zoneOf)
  // When nothing answers anywhere, it is we who are cut off.
  if ([...zones.values()].every((members) => zoneState(members) === 'FullDisruption')) return undefined
  const members = zones.get(zone) ?? []
  // Upstream's eviction rates: 0.1 a second, 0.01 in large zones that are half down, none in small ones.
  if (zoneState(members) !== 'PartialDisruption') return 10_000
  return members.length > 50 ? 100_000 : undefined
}
