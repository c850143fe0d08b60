import { matchesSelector, objectKey, selectorOf } from '@k3s/api'
import type { Pod, Service } from '@k3s/api/types/core/v1'
import type { Informer, Workqueue } from '@k3s/client'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { selectsPods } from './pod-endpoint.ts'

/** What of a pod decides about its endpoints. */
const relevant = ({ metadata, spec, status }: Pod): unknown => [
  metadata.labels,
  metadata.deletionTimestamp === undefined,
  metadata.uid,
  spec.nodeName,
  spec.hostname,
  spec.subdomain,
  status?.phase,
  status?.podIP,
  status?.podIPs,
  status?.conditions?.find(({ type }) => type === 'Ready')?.status,
]

/** Queues the Services that select a pod when the pod comes, goes or changes in a way that endpoints show. Gives how to stop. */
export function watchServicePods(serviceInformer: Informer<Service>, podInformer: Informer<Pod>, queue: Workqueue): () => void {
  const enqueue = (pod: Pod): void => {
    for (const service of serviceInformer.lister.inNamespace(pod.metadata.namespace ?? '')) {
      if (!selectsPods(service)) continue
      const selector = selectorOf({ matchLabels: service.spec.selector ?? {} }) ?? []
      if (matchesSelector(selector, pod.metadata.labels)) queue.add(objectKey(service))
    }
  }
  return podInformer.addHandler({
    add: enqueue,
    update(previous, pod) {
      if (isSemanticallyEqual(relevant(previous), relevant(pod))) return
      enqueue(previous)
      enqueue(pod)
    },
    delete: enqueue,
  })
}
