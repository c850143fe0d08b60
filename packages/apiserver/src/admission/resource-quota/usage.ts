import { groupResourceOf, type KubernetesObject, type ResourceType } from '@k3s/api'
import {
  type PersistentVolumeClaim,
  persistentvolumeclaims,
  type Pod,
  pods,
  type ResourceQuota,
  type ScopedResourceSelectorRequirement,
  type Service,
  services,
} from '@k3s/api/types/core/v1'
import { computeQosClass, isExtendedResource, isHugePages, podResources, type ResourceList } from '../../resources/shared/resource-list.ts'

/** Kinds that quotas count under an old name too. */
const oldNames = new Set(['configmaps', 'resourcequotas', 'replicationcontrollers', 'secrets'])

const countName = (type: ResourceType): string => `count/${groupResourceOf(type)}`

function podUsage(pod: Pod, nowMs: number): ResourceList {
  const usage: ResourceList = { [countName(pods)]: '1' }
  if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return usage
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata
  // A pod that should be gone by now hangs on a lost node: it is not charged.
  if (deletionTimestamp !== undefined && nowMs > Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000) return usage
  usage['pods'] = '1'
  for (const [name, amount] of Object.entries(podResources(pod.spec, 'requests'))) {
    if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || isHugePages(name)) usage[name] = amount
    if (usage[name] !== undefined || isExtendedResource(name)) usage[`requests.${name}`] = amount
  }
  for (const [name, amount] of Object.entries(podResources(pod.spec, 'limits'))) {
    if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage') usage[`limits.${name}`] = amount
  }
  return usage
}

function serviceUsage({ spec }: Service): ResourceList {
  const ports = spec.ports ?? []
  const isBalancer = spec.type === 'LoadBalancer'
  const counted = isBalancer && spec.allocateLoadBalancerNodePorts === false ? ports.filter(({ nodePort }) => nodePort) : ports
  return {
    [countName(services)]: '1',
    services: '1',
    'services.loadbalancers': isBalancer ? '1' : '0',
    'services.nodeports': isBalancer || spec.type === 'NodePort' ? String(counted.length) : '0',
  }
}

function claimUsage({ spec, metadata }: PersistentVolumeClaim): ResourceList {
  const usage: ResourceList = { [countName(persistentvolumeclaims)]: '1', persistentvolumeclaims: '1' }
  const storage = spec.resources?.requests?.['storage']
  if (storage !== undefined) usage['requests.storage'] = storage
  const className = spec.storageClassName ?? metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? ''
  if (className !== '') {
    usage[`${className}.storageclass.storage.k8s.io/persistentvolumeclaims`] = '1'
    if (storage !== undefined) usage[`${className}.storageclass.storage.k8s.io/requests.storage`] = storage
  }
  return usage
}

/** What an object takes of a quota. */
export function usageOf(type: ResourceType, object: KubernetesObject, nowMs: number): ResourceList {
  // The type says what the object is.
  switch (groupResourceOf(type)) {
    case 'pods':
      return podUsage(object as Pod, nowMs)
    case 'services':
      return serviceUsage(object as Service)
    case 'persistentvolumeclaims':
      return claimUsage(object as PersistentVolumeClaim)
    default:
      return { [countName(type)]: '1', ...(type.group === '' && oldNames.has(type.resource) ? { [type.resource]: '1' } : {}) }
  }
}

const isTerminating = ({ spec }: Pod): boolean => spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds >= 0
const isBestEffort = (pod: Pod): boolean => computeQosClass(pod) === 'BestEffort'

function usesOtherNamespaces({ spec }: Pod): boolean {
  return (['podAffinity', 'podAntiAffinity'] as const).some((kind) => {
    const group = spec.affinity?.[kind]
    const terms = [
      ...(group?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(group?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
    ]
    return terms.some(({ namespaces, namespaceSelector }) => (namespaces ?? []).length > 0 || namespaceSelector !== undefined)
  })
}

function podInScope(pod: Pod, { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement): boolean {
  switch (scopeName) {
    case 'Terminating':
      return isTerminating(pod)
    case 'NotTerminating':
      return !isTerminating(pod)
    case 'BestEffort':
      return isBestEffort(pod)
    case 'NotBestEffort':
      return !isBestEffort(pod)
    case 'PriorityClass': {
      const name = pod.spec.priorityClassName ?? ''
      if (operator === 'Exists') return name !== ''
      if (operator === 'DoesNotExist') return name === ''
      return operator === 'In' ? values.includes(name) : !values.includes(name)
    }
    case 'CrossNamespacePodAffinity':
      return usesOtherNamespaces(pod)
    default:
      return false
  }
}

function claimInScope({ spec }: PersistentVolumeClaim, { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement): boolean {
  if (scopeName !== 'VolumeAttributesClass') return false
  const name = spec.volumeAttributesClassName ?? ''
  if (operator === 'Exists') return name !== ''
  if (operator === 'DoesNotExist') return name === ''
  return operator === 'In' ? values.includes(name) : !values.includes(name)
}

/** Whether all scopes of a quota hold for an object. Kinds without scopes are outside of every scoped quota. */
export function isInScopes(quota: ResourceQuota, type: ResourceType, object: KubernetesObject): boolean {
  const scopes: readonly ScopedResourceSelectorRequirement[] = [
    ...(quota.spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(quota.spec.scopeSelector?.matchExpressions ?? []),
  ]
  return scopes.every((scope) => {
    // As above.
    if (groupResourceOf(type) === 'pods') return podInScope(object as Pod, scope)
    return groupResourceOf(type) === 'persistentvolumeclaims' && claimInScope(object as PersistentVolumeClaim, scope)
  })
}
