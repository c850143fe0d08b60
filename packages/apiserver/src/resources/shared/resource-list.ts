import { addQuantities, canonicalQuantity, compareQuantities, isQuantity, quantityMilli } from '@k3s/api'
import type { Container, Pod, PodSpec } from '@k3s/api/types/core/v1'

/** Amounts by resource name. */
export type ResourceList = Record<string, string>

/** Brings every amount to the text that upstream stores, rounded up to thousandths. What is no quantity stays for validation to refuse. */
export function canonicalizeResources(list: ResourceList | undefined): void {
  if (list === undefined) return
  for (const [name, amount] of Object.entries(list)) {
    if (!isQuantity(amount)) continue
    const canonical = canonicalQuantity(amount)
    list[name] = /[nu]$/.test(canonical) ? canonicalQuantity(`${quantityMilli(canonical)}m`) : canonical
  }
}

export const isHugePages = (name: string): boolean => name.startsWith('hugepages-')
/** Resources of Kubernetes itself: without a domain, or in one of `kubernetes.io`. */
export const isNativeResource = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')
/** A resource that a device plugin or administrator names. */
export const isExtendedResource = (name: string): boolean => !isNativeResource(name) && !name.startsWith('requests.')
/** Whether requests may be lower than limits. */
export const isOvercommitAllowed = (name: string): boolean => isNativeResource(name) && !isHugePages(name)

/** Adds `amounts` to `total` in place. */
export function addTo(total: ResourceList, amounts: Readonly<ResourceList> | undefined): void {
  for (const [name, amount] of Object.entries(amounts ?? {})) {
    const known = total[name]
    total[name] = known === undefined ? amount : addQuantities(known, amount)
  }
}

/** Raises `total` in place to at least `amounts`. */
export function raiseTo(total: ResourceList, amounts: Readonly<ResourceList>): void {
  for (const [name, amount] of Object.entries(amounts)) {
    const known = total[name]
    if (known === undefined || compareQuantities(amount, known) > 0) total[name] = amount
  }
}

/** What all containers of a pod take together, in requests or limits: sidecars run all the time, other init containers one by one before. */
export function aggregateContainers(spec: PodSpec, kind: 'requests' | 'limits'): ResourceList {
  const total: ResourceList = {}
  for (const container of spec.containers ?? []) addTo(total, container.resources?.[kind])
  const sidecars: ResourceList = {}
  const initPeak: ResourceList = {}
  for (const container of spec.initContainers ?? []) {
    const amounts = container.resources?.[kind] ?? {}
    if (container.restartPolicy === 'Always') {
      addTo(total, amounts)
      addTo(sidecars, amounts)
      raiseTo(initPeak, sidecars)
    } else {
      const now: ResourceList = { ...sidecars }
      addTo(now, amounts)
      raiseTo(initPeak, now)
    }
  }
  raiseTo(total, initPeak)
  return total
}

/** What a pod takes for scheduling and quota: its containers, or what the pod as a whole asks for, plus overhead. Limits get overhead only where there is a limit. */
export function podResources(spec: PodSpec, kind: 'requests' | 'limits'): ResourceList {
  const total = aggregateContainers(spec, kind)
  for (const [name, amount] of Object.entries(spec.resources?.[kind] ?? {})) if (isPodLevelResource(name)) total[name] = amount
  for (const [name, amount] of Object.entries(spec.overhead ?? {})) {
    const known = total[name]
    if (known !== undefined) total[name] = addQuantities(known, amount)
    else if (kind === 'requests') total[name] = amount
  }
  return total
}

/** Resources that may be given for a pod as a whole. */
export const isPodLevelResource = (name: string): boolean => name === 'cpu' || name === 'memory' || isHugePages(name)

/** Fills what follows from pod-level limits: requests from the containers or from the limits, huge page limits from the containers. */
export function defaultPodLevelResources(spec: PodSpec): void {
  const { resources } = spec
  if (resources === undefined) return
  const hasAny = Object.keys(resources.limits ?? {}).length > 0 || Object.keys(resources.requests ?? {}).length > 0
  if (hasAny) {
    const limits = { ...resources.limits }
    for (const [name, amount] of Object.entries(aggregateContainers(spec, 'limits'))) {
      if (isHugePages(name) && resources.requests?.[name] === undefined) limits[name] ??= amount
    }
    if (Object.keys(limits).length > 0) resources.limits = limits
  }
  if (Object.keys(resources.limits ?? {}).length === 0) return
  const requests = { ...resources.requests }
  for (const [name, amount] of Object.entries(aggregateContainers(spec, 'requests'))) {
    if (isPodLevelResource(name) && isOvercommitAllowed(name)) requests[name] ??= amount
  }
  for (const [name, amount] of Object.entries(resources.limits ?? {})) if (isPodLevelResource(name)) requests[name] ??= amount
  if (Object.keys(requests).length > 0) resources.requests = requests
}

const positiveOf = (list: ResourceList | undefined): ResourceList =>
  Object.fromEntries(
    Object.entries(list ?? {}).filter(([name, amount]) => (name === 'cpu' || name === 'memory') && compareQuantities(amount, '0') > 0),
  )

/** Guaranteed, Burstable or BestEffort, from what the spec asks for. */
export function computeQosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const requests: ResourceList = {}
  const limits: ResourceList = {}
  let isGuaranteed = true
  const parts: readonly Pick<Container, 'resources'>[] =
    pod.spec.resources === undefined
      ? [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])]
      : [{ resources: pod.spec.resources }]
  for (const { resources } of parts) {
    addTo(requests, positiveOf(resources?.requests))
    const own = positiveOf(resources?.limits)
    addTo(limits, own)
    if (own['cpu'] === undefined || own['memory'] === undefined) isGuaranteed = false
  }
  const names = Object.keys(requests)
  if (names.length === 0 && Object.keys(limits).length === 0) return 'BestEffort'
  isGuaranteed &&=
    names.length === Object.keys(limits).length &&
    names.every((name) => compareQuantities(requests[name] ?? '0', limits[name] ?? '0') === 0)
  return isGuaranteed ? 'Guaranteed' : 'Burstable'
}
