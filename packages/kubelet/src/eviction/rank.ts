import { quantityValue } from '@k3s/api'
import type { Pod } from '@k3s/api/types/core/v1'
import { isCriticalPod, podUid } from '../pods/pod-facts.ts'
import { podRequest } from '../resources/amounts.ts'

export type EvictionSignal = 'memory.available' | 'nodefs.available' | 'nodefs.inodesFree' | 'pid.available'

/** `memory.available<100Mi` or `nodefs.available<10%`: below the value pods are evicted. */
export interface Threshold {
  readonly signal: EvictionSignal
  readonly quantity?: string | undefined
  /** 0 to 1 of the capacity. */
  readonly fraction?: number | undefined
}

export interface Observation {
  readonly available: number
  readonly capacity: number
}

/** Upstream's hard thresholds on Linux. */
export const defaultThresholds: readonly Threshold[] = [
  { signal: 'memory.available', quantity: '100Mi' },
  { signal: 'nodefs.available', fraction: 0.1 },
  { signal: 'nodefs.inodesFree', fraction: 0.05 },
]

/** Reads `memory.available<100Mi,nodefs.available<5%`. Throws on what is none. */
export function parseThresholds(text: string): Threshold[] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const [signal = '', value = ''] = part.split('<').map((piece) => piece.trim())
      if (signal !== 'memory.available' && signal !== 'nodefs.available' && signal !== 'nodefs.inodesFree' && signal !== 'pid.available')
        throw new Error(`Unknown eviction signal "${signal}"`)
      if (!value.endsWith('%')) {
        quantityValue(value)
        return { signal, quantity: value }
      }
      const fraction = Number(value.slice(0, -1)) / 100
      if (!(fraction >= 0 && fraction <= 1)) throw new Error(`Eviction threshold "${part}" is no percentage`)
      return { signal, fraction }
    })
}

/** The bytes, inodes or processes that have to stay available. */
export function thresholdValue({ quantity, fraction }: Threshold, capacity: number): number {
  return quantity === undefined ? Math.ceil((fraction ?? 0) * capacity) : quantityValue(quantity)
}

/** The thresholds that are not met now. */
export function unmet(thresholds: readonly Threshold[], observations: ReadonlyMap<EvictionSignal, Observation>): readonly Threshold[] {
  return thresholds.filter((threshold) => {
    const observation = observations.get(threshold.signal)
    return observation !== undefined && observation.available < thresholdValue(threshold, observation.capacity)
  })
}

/**
 * The order in which pods go when a resource is short: those that use more than they asked for first, then by priority, then by how far they are
 * above their request. Critical pods are not in it.
 *
 * @param usage bytes that a pod uses of the resource now.
 */
export function rankForEviction(
  pods: readonly Pod[],
  resource: 'memory' | 'ephemeral-storage',
  usage: ReadonlyMap<string, number>,
): readonly Pod[] {
  const score = (pod: Pod): { readonly exceeds: boolean; readonly priority: number; readonly above: number } => {
    const above = (usage.get(podUid(pod)) ?? 0) - podRequest(pod, resource)
    return { exceeds: above > 0, priority: pod.spec.priority ?? 0, above }
  }
  return pods
    .filter((pod) => !isCriticalPod(pod))
    .map((pod) => ({ pod, ...score(pod) }))
    .toSorted((a, b) => Number(b.exceeds) - Number(a.exceeds) || a.priority - b.priority || b.above - a.above)
    .map(({ pod }) => pod)
}
