import { matchesSelector, selectorOf, type Requirement, type Selector } from '@k3s/api'
import type { Pod } from '@k3s/api/types/core/v1'
import type { Listers } from '../framework.ts'

const equal = (labels: Readonly<Record<string, string>>): Selector =>
  Object.entries(labels).map(([key, value]): Requirement => ({ key, operator: 'in', values: [value] }))

/** Selects the pods that belong with this one: by the Services that select it and by its controller. Empty when there is none. */
export function ownerSelector(pod: Pod, listers: Listers): Selector {
  const { namespace = '', labels, ownerReferences = [] } = pod.metadata
  const selectors: Selector[] = []
  for (const { spec } of listers.services.inNamespace(namespace)) {
    const selector = equal(spec.selector ?? {})
    if (selector.length > 0 && matchesSelector(selector, labels)) selectors.push(selector)
  }
  const owner = ownerReferences.find(({ controller }) => controller === true)
  const key = `${namespace}/${owner?.name ?? ''}`
  switch (`${owner?.apiVersion ?? ''}/${owner?.kind ?? ''}`) {
    case 'v1/ReplicationController':
      selectors.push(equal(listers.replicationcontrollers.get(key)?.spec.selector ?? {}))
      break
    case 'apps/v1/ReplicaSet':
      selectors.push(selectorOf(listers.replicasets.get(key)?.spec.selector) ?? [])
      break
    case 'apps/v1/StatefulSet':
      selectors.push(selectorOf(listers.statefulsets.get(key)?.spec.selector) ?? [])
      break
    default:
  }
  return selectors.flat()
}
