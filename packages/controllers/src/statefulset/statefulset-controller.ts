import { hasReason, matchesSelector, objectKey, selectorOf } from '@k3s/api'
import { controllerrevisions, statefulsets, type ControllerRevision, type StatefulSet } from '@k3s/api/types/apps/v1'
import { persistentvolumeclaims, pods, type Pod } from '@k3s/api/types/core/v1'
import type { Workqueue } from '@k3s/client'
import type { Service } from '@k3s/lifecycle'
import { claim } from '../kit/claim.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { deleteRevisions, planHistory, revisionHashLabel, revisionsBeyondLimit, saveRevision, templateOf } from '../kit/history.ts'
import { ownerKeyOf, watchOwnedPods } from '../kit/owned-pods.ts'
import { byController, controllerIndex, isControlledBy, orphanKey } from '../kit/owners.ts'
import { isNamespaceTerminating, messageOf } from '../kit/pod-control.ts'
import { planStatefulSet } from './plan.ts'
import { claimOwners, claimsOf, ordinalOf, statefulPod } from './stateful-pod.ts'

/** Keeps the pods of StatefulSets, each with its name and its storage, and rolls their template out in order. */
export function createStatefulSetController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'statefulset-controller')
  const setInformer = informers.informer(statefulsets)
  const podInformer = informers.informer(pods)
  const claimInformer = informers.informer(persistentvolumeclaims)
  const revisionInformer = informers.informer(controllerrevisions)
  podInformer.addIndex(controllerIndex, byController)
  revisionInformer.addIndex(controllerIndex, byController)

  const tell = (set: StatefulSet, verb: string, what: string, error?: unknown): void => {
    const [type, end, reason] =
      error === undefined
        ? (['Normal', 'successful', 'Successful'] as const)
        : (['Warning', `failed error: ${messageOf(error)}`, 'Failed'] as const)
    const name = verb === 'create' ? 'Create' : 'Delete'
    recorder.event(set, type, `${reason}${name}`, `${verb} ${what} in StatefulSet ${set.metadata.name} ${end}`)
  }

  const createClaims = async (set: StatefulSet, ordinal: number, signal: AbortSignal): Promise<void> => {
    const pod = `${set.metadata.name}-${ordinal}`
    for (const wanted of claimsOf(set, ordinal)) {
      const existing = claimInformer.lister.get(objectKey(wanted))
      if (existing?.metadata.deletionTimestamp !== undefined)
        throw new Error(`Claim "${wanted.metadata.name}" is being deleted and must be gone before pod "${pod}" is made`)
      if (existing !== undefined) continue
      const owners = claimOwners(set, wanted, undefined)
      const owned = owners === undefined ? wanted : { ...wanted, metadata: { ...wanted.metadata, ownerReferences: [...owners] } }
      const what = `Claim ${wanted.metadata.name} Pod ${pod}`
      try {
        await client.resource(persistentvolumeclaims).create(owned, { signal })
        tell(set, 'create', what)
      } catch (error) {
        if (hasReason(error, 'AlreadyExists')) continue
        if (!signal.aborted) tell(set, 'create', what, error)
        throw error
      }
    }
  }

  const createPod = async (set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> => {
    const { name, namespace } = pod.metadata
    try {
      await client.resource(pods).create(pod, { signal })
      tell(set, 'create', `Pod ${name}`)
    } catch (error) {
      if (hasReason(error, 'AlreadyExists')) {
        const live = await client.resource(pods).get(name, { namespace, signal })
        // Ours: the cache is only behind.
        if (isControlledBy(live, set)) return
      }
      if (!signal.aborted && !isNamespaceTerminating(error)) tell(set, 'create', `Pod ${name}`, error)
      throw error
    }
  }

  const removePod = async (set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> => {
    const { name, namespace, uid } = pod.metadata
    try {
      await client.resource(pods).delete(name, { namespace, preconditions: { uid }, signal })
      tell(set, 'delete', `Pod ${name}`)
    } catch (error) {
      if (hasReason(error, 'NotFound', 'Conflict')) return
      if (!signal.aborted) tell(set, 'delete', `Pod ${name}`, error)
      throw error
    }
  }

  /** Lets claims go with the set or their pod, as the retention policy says. */
  const reownClaims = async (set: StatefulSet, owned: readonly Pod[], condemned: readonly Pod[], signal: AbortSignal): Promise<void> => {
    for (const pod of owned) {
      const ordinal = ordinalOf(set, pod)
      if (ordinal === undefined) continue
      for (const wanted of claimsOf(set, ordinal)) {
        const existing = claimInformer.lister.get(objectKey(wanted))
        if (existing === undefined) continue
        const ownerReferences = claimOwners(set, existing, condemned.includes(pod) ? pod : undefined)
        if (ownerReferences === undefined) continue
        await client
          .resource(persistentvolumeclaims)
          .update({ ...existing, metadata: { ...existing.metadata, ownerReferences: [...ownerReferences] } }, { signal })
      }
    }
  }

  const sync = async (key: string, set: StatefulSet, signal: AbortSignal, queue: Workqueue): Promise<void> => {
    const selector = selectorOf(set.spec.selector)
    if (selector === undefined || selector.length === 0) return
    const { uid = '', namespace = '' } = set.metadata
    const owner = { client, owner: set, ownerType: statefulsets, selector, signal }
    const orphans = orphanKey(namespace)
    const revisions = await claim({ ...owner, type: controllerrevisions }, [
      ...revisionInformer.lister.byIndex(controllerIndex, uid),
      ...revisionInformer.lister.byIndex(controllerIndex, orphans),
    ])
    const { template } = set.spec
    const history = planHistory({ owner: set, ownerType: statefulsets, template, collisionCount: set.status?.collisionCount, revisions })
    const update = await saveRevision(client, history, signal)
    if (update === undefined) {
      const status = { replicas: 0, ...set.status, collisionCount: (set.status?.collisionCount ?? 0) + 1 }
      await client.resource(statefulsets).update({ ...set, status }, { subresource: 'status', signal })
      return queue.addRateLimited(key)
    }
    const current = revisions.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update
    const candidates = [...podInformer.lister.byIndex(controllerIndex, uid), ...podInformer.lister.byIndex(controllerIndex, orphans)]
    const owned = await claim(
      { ...owner, type: pods },
      candidates.filter((pod) => ordinalOf(set, pod) !== undefined),
    )
    const plan = planStatefulSet({
      set,
      pods: owned,
      currentRevision: current.metadata.name,
      updateRevision: update.metadata.name,
      nowMs: clock.now(),
    })
    let failure: unknown
    try {
      await reownClaims(set, owned, plan.condemned, signal)
      for (const { ordinal, revision } of plan.create) {
        await createClaims(set, ordinal, signal)
        await createPod(set, statefulPod(set, templateFor(revision, [current, update]) ?? template, revision, ordinal), signal)
      }
      for (const pod of plan.ended) {
        const message = `StatefulSet ${namespace}/${set.metadata.name} is recreating ${pod.status?.phase} Pod ${pod.metadata.name}`
        recorder.event(set, 'Warning', pod.status?.phase === 'Failed' ? 'RecreatingFailedPod' : 'RecreatingTerminatedPod', message)
      }
      for (const pod of plan.remove) await removePod(set, pod, signal)
    } catch (error) {
      signal.throwIfAborted()
      failure = error
    }
    if (!isSemanticallyEqual(set.status, plan.status))
      await client.resource(statefulsets).update({ ...set, status: plan.status }, { subresource: 'status', signal })
    if (failure !== undefined && !isNamespaceTerminating(failure)) throw failure
    const inUse = new Set([current.metadata.name, ...owned.map(({ metadata }) => metadata.labels?.[revisionHashLabel] ?? '')])
    await deleteRevisions(client, revisionsBeyondLimit(history.old, inUse, set.spec.revisionHistoryLimit ?? 10), signal)
    if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs)
  }

  return controllerService({
    name: 'statefulset',
    context,
    recorder,
    informers: [setInformer, podInformer, claimInformer, revisionInformer],
    watch: (queue) => [
      enqueueOn(setInformer, queue, (set) => [objectKey(set)]),
      revisionInformer.addHandler({
        delete(revision) {
          const key = ownerKeyOf(setInformer, statefulsets, revision)
          if (key !== undefined) queue.add(key)
        },
      }),
      watchOwnedPods({
        owners: setInformer,
        ownerType: statefulsets,
        podInformer,
        queue,
        adopters: (pod) =>
          setInformer.lister
            .inNamespace(pod.metadata.namespace ?? '')
            .filter((set) => ordinalOf(set, pod) !== undefined && matchesSelector(selectorOf(set.spec.selector) ?? [], pod.metadata.labels))
            .map(objectKey),
      }),
    ],
    async reconcile(key, signal, queue) {
      const set = setInformer.lister.get(key)
      if (set !== undefined) await sync(key, set, signal, queue)
    },
  })
}

const templateFor = (name: string, revisions: readonly ControllerRevision[]) => {
  const revision = revisions.find(({ metadata }) => metadata.name === name)
  return revision === undefined ? undefined : templateOf(revision)
}
