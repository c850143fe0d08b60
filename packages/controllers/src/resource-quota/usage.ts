import { addQuantities, canonicalQuantity, compareQuantities, groupResourceOf, type Quantity, type ResourceType } from '@k3s/api'
import type { Container, PersistentVolumeClaim, Pod, ResourceQuota, Service } from '@k3s/api/types/core/v1'
import { isPodTerminal } from '../kit/pods.ts'
import { parseTime } from '../kit/time.ts'

/** Amounts by resource name. */
export type Amounts = Readonly<Record<string, Quantity>>

export function addAmounts(a: Amounts, b: Amounts): Amounts {
  const sum: Record<string, Quantity> = { ...a }
  for (const [name, amount] of Object.entries(b)) sum[name] = sum[name] === undefined ? amount : addQuantities(sum[name], amount)
  return sum
}

function maxAmounts(a: Amounts, b: Amounts): Amounts {
  const most: Record<string, Quantity> = { ...a }
  for (const [name, amount] of Object.entries(b)) {
    const other = most[name]
    if (other === undefined || compareQuantities(amount, other) > 0) most[name] = amount
  }
  return most
}

/** What a pod asks for in all: its containers and sidecars together, or its largest initialization step, and the overhead. */
export function podAmounts({ spec }: Pod, kind: 'requests' | 'limits'): Amounts {
  const of = ({ resources }: Pick<Container, 'resources'>): Amounts => resources?.[kind] ?? {}
  let total: Amounts = spec.containers.map(of).reduce(addAmounts, {})
  let sidecars: Amounts = {}
  let largestStep: Amounts = {}
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') {
      sidecars = addAmounts(sidecars, of(container))
      largestStep = maxAmounts(largestStep, sidecars)
    } else largestStep = maxAmounts(largestStep, addAmounts(sidecars, of(container)))
  }
  total = maxAmounts(addAmounts(total, sidecars), largestStep)
  // What is set for the pod as a whole replaces what its containers add up to.
  total = { ...total, ...spec.resources?.[kind] }
  if (spec.overhead === undefined) return total
  const overhead = Object.entries(spec.overhead).filter(([name]) => kind === 'requests' || name in total)
  return addAmounts(total, Object.fromEntries(overhead))
}

/** What a pod is charged for; nothing but `count/pods` once it has ended or should have. */
export function podUsage(pod: Pod, nowMs: number): Amounts {
  const deletedMs = parseTime(pod.metadata.deletionTimestamp)
  if (isPodTerminal(pod) || (deletedMs !== undefined && deletedMs < nowMs)) return { 'count/pods': '1' }
  const usage: Record<string, Quantity> = { 'count/pods': '1', pods: '1' }
  for (const [name, amount] of Object.entries(podAmounts(pod, 'requests'))) {
    if (['cpu', 'memory', 'ephemeral-storage'].includes(name) || name.startsWith('hugepages-')) usage[name] = amount
    usage[`requests.${name}`] = amount
  }
  for (const [name, amount] of Object.entries(podAmounts(pod, 'limits')))
    if (['cpu', 'memory', 'ephemeral-storage'].includes(name)) usage[`limits.${name}`] = amount
  return usage
}

export function serviceUsage({ spec }: Service): Amounts {
  const ports = (spec.ports ?? []).length
  const allocates = spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
  const given = spec.type === 'LoadBalancer' && !allocates ? (spec.ports ?? []).filter(({ nodePort }) => (nodePort ?? 0) !== 0).length : 0
  return {
    services: '1',
    'count/services': '1',
    'services.nodeports': String(allocates ? ports : given),
    'services.loadbalancers': spec.type === 'LoadBalancer' ? '1' : '0',
  }
}

export function claimUsage(claim: PersistentVolumeClaim): Amounts {
  const storage = claim.spec.resources?.requests?.['storage']
  const name = claim.spec.storageClassName ?? claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? ''
  const prefix = `${name}.storageclass.storage.k8s.io/`
  return {
    persistentvolumeclaims: '1',
    'count/persistentvolumeclaims': '1',
    ...(storage === undefined ? {} : { 'requests.storage': storage }),
    ...(name === '' ? {} : { [`${prefix}persistentvolumeclaims`]: '1' }),
    ...(name === '' || storage === undefined ? {} : { [`${prefix}requests.storage`]: storage }),
  }
}

/** What any other object is charged for. */
export function countUsage(type: Pick<ResourceType, 'group' | 'resource'>): Amounts {
  const name = groupResourceOf(type)
  return { [`count/${name}`]: '1', ...(type.group === '' ? { [name]: '1' } : {}) }
}

/** True when the pod is of all scopes that the quota is limited to. */
export function isInScope({ spec }: ResourceQuota, pod: Pod): boolean {
  const requirements = [
    ...(spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists', values: undefined })),
    ...(spec.scopeSelector?.matchExpressions ?? []),
  ]
  return requirements.every(({ scopeName, operator, values }) => {
    switch (scopeName) {
      case 'Terminating':
        return pod.spec.activeDeadlineSeconds !== undefined
      case 'NotTerminating':
        return pod.spec.activeDeadlineSeconds === undefined
      case 'BestEffort':
        return isBestEffort(pod)
      case 'NotBestEffort':
        return !isBestEffort(pod)
      case 'PriorityClass':
        return matchesPriority(pod.spec.priorityClassName ?? '', operator, values ?? [])
      case 'CrossNamespacePodAffinity':
        return crossesNamespaces(pod)
      default:
        return false
    }
  })
}

function matchesPriority(name: string, operator: string, values: readonly string[]): boolean {
  if (operator === 'Exists') return name !== ''
  if (operator === 'DoesNotExist') return name === ''
  return operator === 'In' ? values.includes(name) : operator === 'NotIn' && !values.includes(name)
}

function isBestEffort({ spec }: Pod): boolean {
  const names = [...spec.containers, ...(spec.initContainers ?? []), { resources: spec.resources }]
  return names.every(({ resources }) =>
    [resources?.requests, resources?.limits].every((amounts) =>
      ['cpu', 'memory'].every((name) => amounts?.[name] === undefined || compareQuantities(amounts[name], '0') === 0),
    ),
  )
}

function crossesNamespaces({ spec }: Pod): boolean {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {}
  const terms = [podAffinity, podAntiAffinity].flatMap((affinity) => [
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
  ])
  return terms.some(({ namespaces, namespaceSelector }) => (namespaces ?? []).length > 0 || namespaceSelector !== undefined)
}

/** Of all usage, what the quota limits; 0 for what nobody uses. */
export function limitedUsage(hard: Amounts, usage: Amounts): Amounts {
  return Object.fromEntries(Object.keys(hard).map((name) => [name, canonicalQuantity(usage[name] ?? '0')]))
}

/** True when both have the same amounts, however they are written. */
export function isSameAmounts(a: Amounts | undefined, b: Amounts): boolean {
  const names = Object.keys(a ?? {})
  if (names.length !== Object.keys(b).length) return false
  return names.every((name) => b[name] !== undefined && compareQuantities(a?.[name] ?? '0', b[name]) === 0)
}
