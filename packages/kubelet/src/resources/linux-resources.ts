import { quantityMilli, quantityValue } from '@k3s/api'
import type { Container, Pod } from '@k3s/api/types/core/v1'
import { isCriticalPod, qosClassOf } from '../pods/pod-facts.ts'
import { podAmounts } from './amounts.ts'

/** Limits as the kernel takes them. 0 means unlimited, except `cpuShares`, which is never below 2. */
export interface CpuMemoryLimits {
  readonly cpuShares: number
  /** Microseconds. */
  readonly cpuPeriod: number
  /** Microseconds of each period; 0 is unlimited. */
  readonly cpuQuota: number
  /** Bytes; 0 is unlimited. */
  readonly memoryLimit: number
}

const cpuPeriod = 100_000

/** cgroup v1 cpu.shares of a request, between the kernel's bounds of 2 and 262144. */
export function sharesOf(cpuMilli: number): number {
  return Math.min(262_144, Math.max(2, Math.floor((cpuMilli * 1024) / 1000)))
}

/** CFS quota in microseconds of a 100 ms period; 0 for no limit, else at least the kernel's 1000. */
export function quotaOf(cpuMilli: number): number {
  return cpuMilli === 0 ? 0 : Math.max(1000, Math.floor((cpuMilli * cpuPeriod) / 1000))
}

export function podLimits(pod: Pod): CpuMemoryLimits {
  const { requests, limits } = podAmounts(pod)
  return {
    cpuShares: sharesOf(requests.cpuMilli),
    cpuPeriod,
    cpuQuota: quotaOf(limits.cpuMilli),
    memoryLimit: limits.memoryBytes,
  }
}

export interface ContainerLinuxResources extends CpuMemoryLimits {
  readonly oomScoreAdj: number
}

/**
 * @param memoryCapacity of the node, bytes.
 * @param minOomScoreAdj the lowest value that this process may give to another: lower ones are raised to it.
 */
export function containerResources(
  pod: Pod,
  container: Container,
  memoryCapacity: number,
  minOomScoreAdj: number,
): ContainerLinuxResources {
  const { limits, requests } = container.resources ?? {}
  const cpuRequest = quantityMilli(requests?.['cpu'] ?? limits?.['cpu'])
  return {
    cpuShares: sharesOf(cpuRequest),
    cpuPeriod,
    cpuQuota: quotaOf(quantityMilli(limits?.['cpu'])),
    memoryLimit: quantityValue(limits?.['memory']),
    oomScoreAdj: Math.max(minOomScoreAdj, oomScoreAdj(pod, container, memoryCapacity)),
  }
}

/** How eagerly the kernel kills a container when memory is short: follows upstream's policy of QoS and share of memory. */
export function oomScoreAdj(pod: Pod, container: Container, memoryCapacity: number): number {
  if (isCriticalPod(pod)) return -997
  const qos = qosClassOf(pod)
  if (qos === 'Guaranteed') return -997
  if (qos === 'BestEffort') return 1000
  const request = quantityValue(container.resources?.requests?.['memory'] ?? container.resources?.limits?.['memory'])
  const score = Math.trunc(1000 - (1000 * request) / memoryCapacity)
  // 2 and below would outrank Guaranteed pods, 1000 would be no better than BestEffort.
  if (score < 3) return 3
  return score === 1000 ? 999 : score
}
