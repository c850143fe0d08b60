import { groupResourceOf, objectKey, type KubernetesObject, type ResourceType } from '@k3s/api'
import { type Pod, persistentvolumeclaims, pods, resourcequotas, services } from '@k3s/api/types/core/v1'
import type { Informer, Workqueue } from '@k3s/client'
import { append, type Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService } from '../kit/controller.ts'
import { discoverResources, type Discovery } from '../kit/discovery.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import {
  addAmounts,
  claimUsage,
  countUsage,
  isInScope,
  isSameAmounts,
  limitedUsage,
  podUsage,
  serviceUsage,
  type Amounts,
} from './usage.ts'

export interface ResourceQuotaOptions {
  /** Lists the server's resources, to find what `count/…` names; default: its discovery documents. */
  readonly discover?: ((signal: AbortSignal) => Promise<Discovery>) | undefined
  /** How often everything is counted anew though nothing is known to have changed, in milliseconds; default 5 minutes. */
  readonly resyncMs?: number | undefined
}

/** Limits that are counted by one of the evaluators below. */
const special = new Set(['pods', 'services', 'persistentvolumeclaims', 'count/pods', 'count/services', 'count/persistentvolumeclaims'])

/** Keeps the status of ResourceQuotas: how much of each limit is used. */
export function createResourceQuotaController(context: ControllerContext, options: ResourceQuotaOptions = {}): Service {
  const { client, informers } = context
  const { discover = (signal) => discoverResources(client.transport, signal), resyncMs = 5 * 60_000 } = options
  const clock = clockOf(context)
  const [quotaInformer, podInformer, serviceInformer, claimInformer] = [
    informers.informer(resourcequotas),
    informers.informer(pods),
    informers.informer(services),
    informers.informer(persistentvolumeclaims),
  ]
  /** Informers of resources that some quota counts, and how to stop listening to them. */
  const counted = new Map<string, { readonly informer: Informer<KubernetesObject>; readonly remove: () => void }>()

  const enqueueNamespace = (queue: Workqueue, namespace: string | undefined): void => {
    for (const quota of quotaInformer.lister.inNamespace(namespace ?? '')) queue.add(objectKey(quota))
  }

  const watchCounted = (type: ResourceType, queue: Workqueue): Informer<KubernetesObject> => {
    const name = groupResourceOf(type)
    const known = counted.get(name)
    if (known !== undefined) return known.informer
    const informer = informers.informer<KubernetesObject>(type)
    const enqueue = ({ metadata }: KubernetesObject): void => enqueueNamespace(queue, metadata.namespace)
    counted.set(name, { informer, remove: informer.addHandler({ delete: enqueue }) })
    return informer
  }

  /** Usage of resources of which only the number counts. */
  const countOthers = async (hard: Amounts, namespace: string, queue: Workqueue, signal: AbortSignal): Promise<Amounts> => {
    const names = Object.keys(hard).filter((name) => !special.has(name) && (name.startsWith('count/') || /^[a-z]+$/.test(name)))
    if (names.length === 0) return {}
    const { resources } = await discover(signal)
    let usage: Amounts = {}
    for (const name of names) {
      const resource = name.replace(/^count\//, '')
      const type = resources.find((one) => one.namespaced && one.verbs.includes('list') && groupResourceOf(one) === resource)
      if (type === undefined) continue
      const informer = watchCounted(type, queue)
      await informer.synced(signal)
      const [one = ''] = Object.keys(countUsage(type))
      usage = { ...usage, [name.startsWith('count/') ? one : resource]: String(informer.lister.inNamespace(namespace).length) }
    }
    return usage
  }

  return controllerService({
    name: 'resourcequota',
    context,
    informers: [quotaInformer, podInformer, serviceInformer, claimInformer],
    watch: (queue) => {
      const enqueue = ({ metadata }: KubernetesObject): void => enqueueNamespace(queue, metadata.namespace)
      // What is created was charged by admission, maybe before it is seen here: counting at that moment would give its room away.
      const onRelease = <T extends KubernetesObject>(relevant: (object: T) => unknown) => ({
        update(previous: T, object: T) {
          if (!isSemanticallyEqual(relevant(previous), relevant(object))) enqueue(object)
        },
        delete: enqueue,
      })
      const isTerminal = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed'
      return [
        quotaInformer.addHandler({
          add: (quota) => queue.add(objectKey(quota)),
          update: (previous, quota) => {
            if (!isSemanticallyEqual(previous.spec, quota.spec) || !isSameAmounts(quota.status?.hard, quota.spec.hard ?? {}))
              queue.add(objectKey(quota))
          },
        }),
        podInformer.addHandler(onRelease((pod) => [pod.spec, isTerminal(pod), pod.metadata.deletionTimestamp])),
        serviceInformer.addHandler(onRelease(({ spec }) => spec)),
        claimInformer.addHandler(onRelease(({ spec }) => spec)),
        () => {
          for (const { remove } of counted.values()) remove()
          counted.clear()
        },
      ]
    },
    async reconcile(key, signal, queue) {
      const quota = quotaInformer.lister.get(key)
      if (quota === undefined) return
      const { namespace = '' } = quota.metadata
      const hard = quota.spec.hard ?? {}
      const isScoped = (quota.spec.scopes ?? []).length > 0 || quota.spec.scopeSelector !== undefined
      const nowMs = clock.now()
      const charges = podInformer.lister
        .inNamespace(namespace)
        .filter((pod) => isInScope(quota, pod))
        .map((pod) => podUsage(pod, nowMs))
      if (!isScoped) {
        append(charges, serviceInformer.lister.inNamespace(namespace).map(serviceUsage))
        append(charges, claimInformer.lister.inNamespace(namespace).map(claimUsage))
        charges.push(await countOthers(hard, namespace, queue, signal))
      }
      const used = limitedUsage(hard, charges.reduce(addAmounts, {}))
      queue.addAfter(key, resyncMs)
      if (isSameAmounts(quota.status?.hard, hard) && isSameAmounts(quota.status?.used, used)) return
      await client
        .resource(resourcequotas)
        .update({ ...quota, status: { hard: { ...hard }, used: { ...used } } }, { subresource: 'status', signal })
    },
  })
}
