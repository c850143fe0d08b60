import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { Pod } from '@k3s/api/types/core/v1'
import type { Informer, Workqueue } from '@k3s/client'
import type { Expectations } from './expectations.ts'
import { controllerOf } from './owners.ts'

export interface OwnedPods<T extends KubernetesObject> {
  readonly owners: Informer<T>
  readonly ownerType: ResourceType<T>
  readonly podInformer: Informer<Pod>
  readonly queue: Workqueue
  readonly expectations?: Expectations | undefined
  /** Keys of owners in the pod's namespace that would adopt it. */
  readonly adopters: (pod: Pod) => readonly string[]
}

/** The key of the pod's controller when that is an object of the owners' kind which the cache holds. */
export function ownerKeyOf<T extends KubernetesObject>(
  owners: Informer<T>,
  type: ResourceType<T>,
  pod: KubernetesObject,
): string | undefined {
  const owner = controllerOf(pod)
  if (owner?.kind !== type.kind) return undefined
  const key = `${pod.metadata.namespace ?? ''}/${owner.name}`
  return owners.lister.get(key)?.metadata.uid === owner.uid ? key : undefined
}

/**
 * Queues owners when their pods come, change or go, meets expectations by what was seen, and offers pods without a controller to whom would
 * adopt them. A pod that is being deleted counts as deleted. Gives how to stop.
 */
export function watchOwnedPods<T extends KubernetesObject>(options: OwnedPods<T>): () => void {
  const { owners, ownerType, podInformer, queue, expectations, adopters } = options
  const ownerKey = (pod: Pod): string | undefined => ownerKeyOf(owners, ownerType, pod)
  const offer = (pod: Pod): void => {
    if (controllerOf(pod) === undefined) for (const key of adopters(pod)) queue.add(key)
  }
  const onGone = (pod: Pod): void => {
    const key = ownerKey(pod)
    if (key === undefined) return
    expectations?.deletionObserved(key, pod.metadata.uid ?? '')
    queue.add(key)
  }
  return podInformer.addHandler({
    add(pod) {
      if (pod.metadata.deletionTimestamp !== undefined) return onGone(pod)
      const key = ownerKey(pod)
      if (key === undefined) return offer(pod)
      expectations?.creationObserved(key)
      queue.add(key)
    },
    update(previous, pod) {
      const [before, now] = [ownerKey(previous), ownerKey(pod)]
      if (before !== undefined && before !== now) queue.add(before)
      if (pod.metadata.deletionTimestamp !== undefined) return onGone(pod)
      if (now === undefined) offer(pod)
      else queue.add(now)
    },
    delete: onGone,
  })
}
