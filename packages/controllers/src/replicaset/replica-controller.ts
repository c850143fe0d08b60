import { matchesSelector, objectKey, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { ReplicaSetStatus } from '@k3s/api/types/apps/v1'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import type { Informer, Workqueue } from '@k3s/client'
import type { Service } from '@k3s/lifecycle'
import { claim } from '../kit/claim.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { Expectations } from '../kit/expectations.ts'
import { watchOwnedPods } from '../kit/owned-pods.ts'
import { byController, controllerIndex, controllerOf, isControlledBy, orphanKey } from '../kit/owners.ts'
import { isNamespaceTerminating, messageOf, PodControl } from '../kit/pod-control.ts'
import { isPodActive, isPodTerminating, nextAvailabilityMs, podOfTemplate } from '../kit/pods.ts'
import { slowStart } from '../kit/slow-start.ts'
import { planReplicas, replicaStatus, type ReplicaSpec } from './plan.ts'

/** What differs between ReplicaSets and ReplicationControllers. */
export interface ReplicaFlavour<T extends KubernetesObject> {
  /** Of the service and its workqueue. */
  readonly name: string
  /** Upstream's name of the user and event source. */
  readonly component: string
  readonly type: ResourceType<T>
  readonly reportsTerminating: boolean
  /** Undefined for an object without selector, which controls nothing. */
  specOf(object: T): ReplicaSpec | undefined
  statusOf(object: T): ReplicaSetStatus | undefined
  withStatus(object: T, status: ReplicaSetStatus): T
}

/** Keeps the number of pods that each object of a kind asks for. */
export function replicaController<T extends KubernetesObject>(context: ControllerContext, flavour: ReplicaFlavour<T>): Service {
  const { client, informers } = context
  const { type } = flavour
  const clock = clockOf(context)
  const sets = informers.informer(type)
  const podInformer = informers.informer(pods)
  podInformer.addIndex(controllerIndex, byController)
  sets.addIndex(controllerIndex, byController)
  const expectations = new Expectations(clock)
  const recorder = recorderOf(context, flavour.component)
  const control = new PodControl(client, recorder)

  const adopters = (pod: Pod): readonly string[] =>
    sets.lister
      .inNamespace(pod.metadata.namespace ?? '')
      .filter((set) => {
        const spec = flavour.specOf(set)
        return spec !== undefined && matchesSelector(spec.selector, pod.metadata.labels)
      })
      .map(objectKey)

  const manage = async (key: string, set: T, spec: ReplicaSpec, active: readonly Pod[], signal: AbortSignal): Promise<void> => {
    const plan = planReplicas(spec.replicas, active, relatedPods(set, sets, podInformer), clock.now())
    if (plan.create > 0) {
      expectations.expectCreations(key, plan.create)
      const result = await slowStart(plan.create, async () => {
        const pod = await control.create(podOfTemplate(spec.template, set, type), set, signal)
        // Nothing more will come of a namespace that is going away.
        if (pod === undefined) expectations.creationObserved(key)
      })
      for (let i = result.succeeded; i < plan.create; i++) expectations.creationObserved(key)
      if (result.error !== undefined) throw result.error
      return
    }
    if (plan.remove.length === 0) return
    expectations.expectDeletions(
      key,
      plan.remove.map(({ metadata }) => metadata.uid ?? ''),
    )
    const results = await Promise.allSettled(
      plan.remove.map(async (pod) => {
        const isSeen = await control.delete(pod, set, signal).catch((error: unknown) => {
          expectations.deletionObserved(key, pod.metadata.uid ?? '')
          throw error
        })
        if (!isSeen) expectations.deletionObserved(key, pod.metadata.uid ?? '')
      }),
    )
    const failure = results.find((result) => result.status === 'rejected')
    if (failure !== undefined) throw failure.reason
  }

  const reconcile = async (key: string, signal: AbortSignal, queue: Workqueue): Promise<void> => {
    const set = sets.lister.get(key)
    if (set === undefined) return expectations.forget(key)
    const spec = flavour.specOf(set)
    if (spec === undefined) return
    // Read before the cache: an event between the two would make the count look complete when it is not.
    const isComplete = expectations.isFulfilled(key)
    const { namespace = '' } = set.metadata
    const candidates = [
      ...podInformer.lister.byIndex(controllerIndex, set.metadata.uid ?? ''),
      ...podInformer.lister.byIndex(controllerIndex, orphanKey(namespace)),
    ]
    const owned = { client, owner: set, ownerType: type, type: pods, selector: spec.selector, signal }
    const active = await claim(owned, candidates.filter(isPodActive))
    let failure: unknown
    if (isComplete && set.metadata.deletionTimestamp === undefined) {
      try {
        await manage(key, set, spec, active, signal)
      } catch (error) {
        signal.throwIfAborted()
        failure = error
      }
    }
    const nowMs = clock.now()
    const terminating = candidates.filter(
      (pod) => isPodTerminating(pod) && isControlledBy(pod, set) && matchesSelector(spec.selector, pod.metadata.labels),
    )
    const previous = flavour.statusOf(set)
    const status = replicaStatus({
      spec,
      generation: set.metadata.generation ?? 0,
      previous,
      active,
      terminating: flavour.reportsTerminating ? terminating : undefined,
      failure: failure === undefined ? undefined : messageOf(failure),
      nowMs,
    })
    if (!isSemanticallyEqual(previous, status))
      await client.resource(type).update(flavour.withStatus(set, status), { subresource: 'status', signal })
    if (failure !== undefined && !isNamespaceTerminating(failure)) throw failure
    const next = nextAvailabilityMs(active, spec.minReadySeconds, nowMs)
    if (next !== undefined) queue.addAfter(key, next)
  }

  return controllerService({
    name: flavour.name,
    context,
    recorder,
    informers: [sets, podInformer],
    reconcile,
    watch: (queue) => [
      enqueueOn(sets, queue, (set) => [objectKey(set)]),
      sets.addHandler({ delete: (set) => expectations.forget(objectKey(set)) }),
      watchOwnedPods({ owners: sets, ownerType: type, podInformer, queue, expectations, adopters }),
    ],
  })
}

/** Pods of all sets that the same controller owns, this one among them. */
function relatedPods<T extends KubernetesObject>(set: T, sets: Informer<T>, podInformer: Informer<Pod>): readonly Pod[] {
  const owner = controllerOf(set)
  const related = owner === undefined ? [set] : sets.lister.byIndex(controllerIndex, owner.uid)
  return related.flatMap(({ metadata }) => podInformer.lister.byIndex(controllerIndex, metadata.uid ?? ''))
}
