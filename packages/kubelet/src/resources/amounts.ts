import { quantityMilli, quantityValue, type Quantity } from '@k3s/api'
import type { Container, Pod } from '@k3s/api/types/core/v1'
import { isRestartableInit } from '../pods/pod-facts.ts'

export interface Amounts {
  readonly cpuMilli: number
  readonly memoryBytes: number
}

export interface PodAmounts {
  readonly requests: Amounts
  /** 0 means that at least one container has no limit. */
  readonly limits: Amounts
}

const requestOf = (container: Container, name: string): Quantity | undefined =>
  container.resources?.requests?.[name] ?? container.resources?.limits?.[name]

function effective(pod: Pod, value: (container: Container) => number): number {
  // The larger of: what runs together, and the largest init step with the sidecars that run beside it.
  let sidecars = 0
  let initPeak = 0
  for (const container of pod.spec.initContainers ?? []) {
    const amount = value(container)
    if (isRestartableInit(container)) {
      sidecars += amount
      initPeak = Math.max(initPeak, sidecars)
    } else initPeak = Math.max(initPeak, sidecars + amount)
  }
  const together = pod.spec.containers.reduce((sum, container) => sum + value(container), sidecars)
  return Math.max(initPeak, together)
}

/** What a pod asks for of one resource, overhead included; upstream's PodRequests. */
export function podRequest(pod: Pod, resource: string): number {
  const read = resource === 'cpu' ? quantityMilli : quantityValue
  const podLevel = pod.spec.resources?.requests?.[resource] ?? pod.spec.resources?.limits?.[resource]
  const base = podLevel !== undefined ? read(podLevel) : effective(pod, (container) => read(requestOf(container, resource)))
  return base + read(pod.spec.overhead?.[resource])
}

function podLimit(pod: Pod, resource: string): number {
  const read = resource === 'cpu' ? quantityMilli : quantityValue
  const podLevel = pod.spec.resources?.limits?.[resource]
  if (podLevel !== undefined) return read(podLevel) + read(pod.spec.overhead?.[resource])
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  if (all.some((container) => read(container.resources?.limits?.[resource]) === 0)) return 0
  return effective(pod, (container) => read(container.resources?.limits?.[resource])) + read(pod.spec.overhead?.[resource])
}

export function podAmounts(pod: Pod): PodAmounts {
  return {
    requests: { cpuMilli: podRequest(pod, 'cpu'), memoryBytes: podRequest(pod, 'memory') },
    limits: { cpuMilli: podLimit(pod, 'cpu'), memoryBytes: podLimit(pod, 'memory') },
  }
}
