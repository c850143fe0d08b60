import { hasReason, matchesSelector, objectKey, selectorOf } from '@k3s/api'
import { deployments, replicasets, statefulsets } from '@k3s/api/types/apps/v1'
import { pods, replicationcontrollers, type Pod } from '@k3s/api/types/core/v1'
import { poddisruptionbudgets } from '@k3s/api/types/policy/v1'
import type { Service } from '@k3s/lifecycle'
import { withCondition } from '../kit/conditions.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { discoverResources, type Discovery } from '../kit/discovery.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { controllerOf } from '../kit/owners.ts'
import { isPodReady } from '../kit/pods.ts'
import { formatTime } from '../kit/time.ts'
import { needsScale, planBudget, untilStaleMs } from './plan.ts'

export interface DisruptionControllerOptions {
  /** Lists the server's resources, to find the scale of custom controllers; default: its discovery documents. */
  readonly discover?: ((signal: AbortSignal) => Promise<Discovery>) | undefined
}

const stalePrefix = '!'

/** Keeps the status of PodDisruptionBudgets, which evictions are granted by, and clears marks of disruptions that did not happen. */
export function createDisruptionController(context: ControllerContext, options: DisruptionControllerOptions = {}): Service {
  const { client, informers } = context
  const { discover = (signal) => discoverResources(client.transport, signal) } = options
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'controllermanager')
  const budgetInformer = informers.informer(poddisruptionbudgets)
  const podInformer = informers.informer(pods)
  const known = [
    informers.informer(replicasets),
    informers.informer(replicationcontrollers),
    informers.informer(statefulsets),
    informers.informer(deployments),
  ] as const

  /** The number of pods that the controller of a pod wants; the uid tells controllers apart. */
  const scaleOf = async (pod: Pod, signal: AbortSignal): Promise<{ readonly uid: string; readonly replicas: number } | undefined> => {
    const owner = controllerOf(pod)
    if (owner === undefined) return undefined
    const { namespace = '' } = pod.metadata
    for (const informer of known) {
      if (informer.type.kind !== owner.kind) continue
      const object = informer.lister.get(`${namespace}/${owner.name}`)
      if (object?.metadata.uid !== owner.uid) continue
      const parent = controllerOf(object)
      const deployment = parent?.kind === 'Deployment' ? known[3].lister.get(`${namespace}/${parent.name}`) : undefined
      if (deployment !== undefined && parent !== undefined && deployment.metadata.uid === parent.uid)
        return { uid: parent.uid, replicas: deployment.spec.replicas ?? 1 }
      return { uid: owner.uid, replicas: object.spec.replicas ?? 1 }
    }
    const group = owner.apiVersion.includes('/') ? (owner.apiVersion.split('/')[0] ?? '') : ''
    const type = (await discover(signal)).resources.find((one) => one.group === group && one.kind === owner.kind)
    if (type === undefined) throw new Error(`found no controller ref for pod "${pod.metadata.name}"`)
    try {
      const scale = await client
        .resource(type)
        .getSubresource<{ readonly metadata: { readonly uid?: string }; readonly spec?: { readonly replicas?: number } }>(
          owner.name,
          'scale',
          { namespace, signal },
        )
      return { uid: scale.metadata.uid ?? owner.uid, replicas: scale.spec?.replicas ?? 0 }
    } catch (error) {
      if (hasReason(error, 'NotFound', 'MethodNotAllowed'))
        throw new Error(`${type.resource}.${type.group} does not implement the scale subresource`, { cause: error })
      throw error
    }
  }

  const totalScale = async (selected: readonly Pod[], signal: AbortSignal): Promise<number | { readonly error: string }> => {
    const scales = new Map<string, number>()
    try {
      for (const pod of selected) {
        const uid = controllerOf(pod)?.uid
        if (uid === undefined || scales.has(uid)) continue
        const scale = await scaleOf(pod, signal)
        if (scale !== undefined) scales.set(scale.uid, scale.replicas)
      }
    } catch (error) {
      signal.throwIfAborted()
      return { error: error instanceof Error ? error.message : String(error) }
    }
    return [...scales.values()].reduce((sum, replicas) => sum + replicas, 0)
  }

  const clearStale = async (key: string, signal: AbortSignal): Promise<number | undefined> => {
    const pod = podInformer.lister.get(key)
    const waitMs = pod === undefined ? undefined : untilStaleMs(pod, clock.now())
    if (pod === undefined || waitMs === undefined || waitMs > 0) return waitMs
    const condition = { type: 'DisruptionTarget', status: 'False', lastTransitionTime: formatTime(clock.now()) }
    const status = { ...pod.status, conditions: withCondition(pod.status?.conditions, condition) }
    await client.resource(pods).update({ ...pod, status }, { subresource: 'status', signal })
    return undefined
  }

  return controllerService({
    name: 'disruption',
    context,
    recorder,
    informers: [budgetInformer, podInformer, ...known],
    watch: (queue) => {
      const budgetsOf = (pod: Pod): readonly string[] =>
        budgetInformer.lister
          .inNamespace(pod.metadata.namespace ?? '')
          .filter(({ spec }) => spec.selector !== undefined && matchesSelector(selectorOf(spec.selector) ?? [], pod.metadata.labels))
          .map(objectKey)
      // Budgets in percent follow the size of workloads.
      const enqueueNamespace = (namespace: string | undefined): void => {
        for (const budget of budgetInformer.lister.inNamespace(namespace ?? '')) if (needsScale(budget)) queue.add(objectKey(budget))
      }
      const onScale = {
        update(
          previous: { readonly spec: { readonly replicas?: number | undefined } },
          object: {
            readonly metadata: { readonly namespace?: string | undefined }
            readonly spec: { readonly replicas?: number | undefined }
          },
        ) {
          if (previous.spec.replicas !== object.spec.replicas) enqueueNamespace(object.metadata.namespace)
        },
      }
      return [
        enqueueOn(budgetInformer, queue, (budget) => [objectKey(budget)]),
        podInformer.addHandler({
          add: (pod) => budgetsOf(pod).forEach((key) => queue.add(key)),
          update(previous, pod) {
            const relevant = (one: Pod): unknown => [
              one.metadata.labels,
              one.metadata.deletionTimestamp === undefined,
              isPodReady(one),
              controllerOf(one)?.uid,
            ]
            if (!isSemanticallyEqual(relevant(previous), relevant(pod)))
              for (const key of [...budgetsOf(previous), ...budgetsOf(pod)]) queue.add(key)
          },
          delete: (pod) => budgetsOf(pod).forEach((key) => queue.add(key)),
        }),
        enqueueOn(podInformer, queue, (pod) => (untilStaleMs(pod, clock.now()) === undefined ? [] : [`${stalePrefix}${objectKey(pod)}`])),
        ...known.map((informer) => informer.addHandler(onScale)),
      ]
    },
    async reconcile(key, signal, queue) {
      if (key.startsWith(stalePrefix)) {
        const waitMs = await clearStale(key.slice(stalePrefix.length), signal)
        if (waitMs !== undefined) queue.addAfter(key, waitMs)
        return
      }
      const budget = budgetInformer.lister.get(key)
      if (budget === undefined) return
      const selector = selectorOf(budget.spec.selector)
      const selected =
        selector === undefined
          ? []
          : podInformer.lister
              .inNamespace(budget.metadata.namespace ?? '')
              .filter(({ metadata }) => matchesSelector(selector, metadata.labels))
      if (selected.length === 0) recorder.event(budget, 'Normal', 'NoPods', 'No matching pods found')
      const scale = needsScale(budget) ? await totalScale(selected, signal) : selected.length
      if (typeof scale === 'object')
        recorder.event(
          budget,
          'Warning',
          'CalculateExpectedPodCountFailed',
          `Failed to calculate the number of expected pods: ${scale.error}`,
        )
      const { status, againMs } = planBudget({ budget, pods: selected, scale, nowMs: clock.now() })
      if (!isSemanticallyEqual(budget.status, status))
        await client.resource(poddisruptionbudgets).update({ ...budget, status }, { subresource: 'status', signal })
      if (againMs !== undefined) queue.addAfter(key, againMs)
    },
  })
}
