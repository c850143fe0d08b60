import { matchesSelector, objectKey, selectorOf } from '@k3s/api'
import { controllerrevisions, daemonsets, type DaemonSet } from '@k3s/api/types/apps/v1'
import { nodes, pods, type Node, type Pod } from '@k3s/api/types/core/v1'
import type { Workqueue } from '@k3s/client'
import { leastOf, type Service } from '@k3s/lifecycle'
import { claim } from '../kit/claim.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { Expectations } from '../kit/expectations.ts'
import { deleteRevisions, planHistory, revisionHash, revisionHashLabel, revisionsBeyondLimit, saveRevision } from '../kit/history.ts'
import { ownerKeyOf, watchOwnedPods } from '../kit/owned-pods.ts'
import { byController, controllerIndex, orphanKey } from '../kit/owners.ts'
import { isNamespaceTerminating, PodControl } from '../kit/pod-control.ts'
import { nextAvailabilityMs } from '../kit/pods.ts'
import { slowStart } from '../kit/slow-start.ts'
import { daemonPod, targetNodeOf } from './daemon-pod.ts'
import { daemonStatus, planDaemons, type DaemonPlan } from './plan.ts'

// Upstream's bounds of the delay before a pod that failed on a node is replaced: kubelets may refuse it again at once.
const firstFailureDelayMs = 1000
const maxFailureDelayMs = 15 * 60_000
// Upstream's BurstReplicas of DaemonSets.
const maxPodsPerStep = 250

/** Keeps one pod of each DaemonSet on every node that it fits, and rolls its template out. */
export function createDaemonSetController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'daemonset-controller')
  const control = new PodControl(client, recorder)
  const setInformer = informers.informer(daemonsets)
  const podInformer = informers.informer(pods)
  const nodeInformer = informers.informer(nodes)
  const revisionInformer = informers.informer(controllerrevisions)
  podInformer.addIndex(controllerIndex, byController)
  revisionInformer.addIndex(controllerIndex, byController)
  const expectations = new Expectations(clock)
  /** When and how often in a row a pod failed on a node, by DaemonSet's uid and node. */
  const failures = new Map<string, { readonly delayMs: number; readonly atMs: number }>()

  /** The plan without ended pods whose replacement must wait, and how long it must. */
  const holdBack = (set: DaemonSet, plan: DaemonPlan): { readonly plan: DaemonPlan; readonly waitMs: number | undefined } => {
    const waits: number[] = []
    const held = plan.ended.filter((pod) => {
      if (pod.status?.phase !== 'Failed') return false
      const key = `${set.metadata.uid}/${targetNodeOf(pod)}`
      const last = failures.get(key)
      const now = clock.monotonic()
      if (last !== undefined && now - last.atMs < last.delayMs) {
        waits.push(last.delayMs - (now - last.atMs))
        return true
      }
      // A node that has been quiet for twice the delay starts over.
      const isFresh = last === undefined || now - last.atMs > 2 * last.delayMs
      failures.set(key, { atMs: now, delayMs: isFresh ? firstFailureDelayMs : Math.min(maxFailureDelayMs, last.delayMs * 2) })
      return false
    })
    const isHeld = (pod: Pod): boolean => held.includes(pod)
    return {
      plan: { ...plan, remove: plan.remove.filter((pod) => !isHeld(pod)), ended: plan.ended.filter((pod) => !isHeld(pod)) },
      waitMs: waits.length === 0 ? undefined : leastOf(waits),
    }
  }

  const act = async (key: string, set: DaemonSet, plan: DaemonPlan, hash: string, signal: AbortSignal): Promise<void> => {
    const create = plan.create.slice(0, maxPodsPerStep)
    const remove = plan.remove.slice(0, maxPodsPerStep)
    if (create.length + remove.length === 0) return
    for (const pod of plan.ended) {
      const { name, namespace } = pod.metadata
      if (pod.status?.phase === 'Failed') {
        const message = `Found failed daemon pod ${namespace}/${name} on node ${targetNodeOf(pod)}, will try to kill it`
        recorder.event(set, 'Warning', 'FailedDaemonPod', message)
      } else {
        const message = `Found succeeded daemon pod ${namespace}/${name} on node ${targetNodeOf(pod)}, will try to delete it`
        recorder.event(set, 'Normal', 'SucceededDaemonPod', message)
      }
    }
    const uid = (pod: Pod): string => pod.metadata.uid ?? ''
    expectations.expect(key, create.length, remove.map(uid))
    const [made, removed] = await Promise.all([
      slowStart(create.length, async (i) => {
        const pod = await control.create(daemonPod(set, create[i] ?? '', hash), set, signal)
        if (pod === undefined) expectations.creationObserved(key)
      }),
      Promise.allSettled(
        remove.map(async (pod) => {
          const isSeen = await control.delete(pod, set, signal).catch((error: unknown) => {
            expectations.deletionObserved(key, uid(pod))
            throw error
          })
          if (!isSeen) expectations.deletionObserved(key, uid(pod))
        }),
      ),
    ])
    for (let i = made.succeeded; i < create.length; i++) expectations.creationObserved(key)
    const failure = made.error ?? removed.find((result) => result.status === 'rejected')?.reason
    if (failure !== undefined && !isNamespaceTerminating(failure)) throw failure
  }

  const sync = async (key: string, set: DaemonSet, signal: AbortSignal, queue: Workqueue): Promise<void> => {
    const selector = selectorOf(set.spec.selector)
    if (selector === undefined || selector.length === 0) {
      recorder.event(set, 'Warning', 'SelectingAll', 'This daemon set is selecting all pods. A non-empty selector is required.')
      return
    }
    if (set.metadata.deletionTimestamp !== undefined) return
    const isComplete = expectations.isFulfilled(key)
    const { uid = '', namespace = '' } = set.metadata
    const owner = { client, owner: set, ownerType: daemonsets, selector, signal }
    const orphans = orphanKey(namespace)
    const revisions = await claim({ ...owner, type: controllerrevisions }, [
      ...revisionInformer.lister.byIndex(controllerIndex, uid),
      ...revisionInformer.lister.byIndex(controllerIndex, orphans),
    ])
    const history = planHistory({
      owner: set,
      ownerType: daemonsets,
      template: set.spec.template,
      collisionCount: set.status?.collisionCount,
      revisions,
    })
    const saved = await saveRevision(client, history, signal)
    if (saved === undefined) {
      const collisionCount = (set.status?.collisionCount ?? 0) + 1
      const counts = { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 }
      const status = { ...counts, ...set.status, collisionCount }
      await client.resource(daemonsets).update({ ...set, status }, { subresource: 'status', signal })
      return queue.addRateLimited(key)
    }
    const hash = revisionHash(saved)
    const owned = await claim({ ...owner, type: pods }, [
      ...podInformer.lister.byIndex(controllerIndex, uid),
      ...podInformer.lister.byIndex(controllerIndex, orphans),
    ])
    const nowMs = clock.now()
    const input = { set, nodes: nodeInformer.lister.list(), pods: owned, hash, nowMs }
    let failure: unknown
    if (isComplete) {
      const { plan, waitMs } = holdBack(set, planDaemons(input))
      if (waitMs !== undefined) queue.addAfter(key, waitMs)
      try {
        await act(key, set, plan, hash, signal)
      } catch (error) {
        signal.throwIfAborted()
        failure = error
      }
      const inUse = new Set(owned.map(({ metadata }) => metadata.labels?.[revisionHashLabel] ?? ''))
      await deleteRevisions(client, revisionsBeyondLimit(history.old, inUse, set.spec.revisionHistoryLimit ?? 10), signal)
    }
    const status = daemonStatus(input)
    if (!isSemanticallyEqual(set.status, status))
      await client.resource(daemonsets).update({ ...set, status }, { subresource: 'status', signal })
    if (failure !== undefined) throw failure
    const next = nextAvailabilityMs(owned, set.spec.minReadySeconds ?? 0, nowMs)
    if (next !== undefined) queue.addAfter(key, next)
  }

  return controllerService({
    name: 'daemonset',
    context,
    recorder,
    informers: [setInformer, podInformer, nodeInformer, revisionInformer],
    watch: (queue) => {
      const enqueueAll = (): void => {
        for (const set of setInformer.lister.list()) queue.add(objectKey(set))
      }
      return [
        enqueueOn(setInformer, queue, (set) => [objectKey(set)]),
        setInformer.addHandler({
          delete(set) {
            expectations.forget(objectKey(set))
            for (const key of failures.keys()) if (key.startsWith(`${set.metadata.uid}/`)) failures.delete(key)
          },
        }),
        nodeInformer.addHandler({
          add: enqueueAll,
          update: (previous, node) => {
            if (!isSemanticallyEqual(placement(previous), placement(node))) enqueueAll()
          },
          delete: enqueueAll,
        }),
        revisionInformer.addHandler({
          delete(revision) {
            const key = ownerKeyOf(setInformer, daemonsets, revision)
            if (key !== undefined) queue.add(key)
          },
        }),
        watchOwnedPods({
          owners: setInformer,
          ownerType: daemonsets,
          podInformer,
          queue,
          expectations,
          adopters: (pod) =>
            setInformer.lister
              .inNamespace(pod.metadata.namespace ?? '')
              .filter(({ spec }) => matchesSelector(selectorOf(spec.selector) ?? [], pod.metadata.labels))
              .map(objectKey),
        }),
      ]
    },
    async reconcile(key, signal, queue) {
      const set = setInformer.lister.get(key)
      if (set === undefined) expectations.forget(key)
      else await sync(key, set, signal, queue)
    },
  })
}

/** What of a node decides whether daemon pods fit. */
const placement = ({ metadata, spec }: Node): unknown => [
  metadata.labels,
  spec.taints?.map(({ key, value, effect }) => ({ key, value, effect })),
]
