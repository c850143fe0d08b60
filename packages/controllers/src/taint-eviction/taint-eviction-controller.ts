import { objectKey } from '@k3s/api'
import { nodes, pods, type Node, type Taint } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { disruptPod } from '../kit/disruption.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { byNodeName, nodeIndex } from '../node-lifecycle/node-lifecycle-controller.ts'
import { evictionTime } from './plan.ts'

/** Deletes pods from nodes with NoExecute taints that they do not tolerate, or no longer. */
export function createTaintEvictionController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'taint-eviction-controller')
  const nodeInformer = informers.informer(nodes)
  const podInformer = informers.informer(pods)
  podInformer.addIndex(nodeIndex, byNodeName)
  /** When taints without a time of their own were first seen, by node, key and value. */
  const firstSeen = new Map<string, Map<string, number>>()
  /** Pods whose eviction is due later, for telling that it was called off. */
  const scheduled = new Set<string>()

  const noExecute = (node: Node | undefined): readonly Taint[] => (node?.spec.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
  const taintKey = ({ key, value = '' }: Taint): string => `${key}=${value}`

  const note = (node: Node): void => {
    const before = firstSeen.get(node.metadata.name)
    const taints = noExecute(node)
    if (taints.length === 0) return void firstSeen.delete(node.metadata.name)
    firstSeen.set(node.metadata.name, new Map(taints.map((taint) => [taintKey(taint), before?.get(taintKey(taint)) ?? clock.now()])))
  }

  return controllerService({
    name: 'taint-eviction',
    context,
    recorder,
    concurrency: 8,
    informers: [nodeInformer, podInformer],
    watch: (queue) => {
      const enqueuePods = (node: Node): void => {
        note(node)
        for (const pod of podInformer.lister.byIndex(nodeIndex, node.metadata.name)) queue.add(objectKey(pod))
      }
      return [
        nodeInformer.addHandler({
          add: enqueuePods,
          update(previous, node) {
            if (!isSemanticallyEqual(noExecute(previous), noExecute(node))) enqueuePods(node)
          },
          delete: ({ metadata }) => void firstSeen.delete(metadata.name),
        }),
        enqueueOn(podInformer, queue, (pod) =>
          noExecute(nodeInformer.lister.get(pod.spec.nodeName ?? '')).length > 0 ? [objectKey(pod)] : [],
        ),
        podInformer.addHandler({ delete: (pod) => void scheduled.delete(objectKey(pod)) }),
      ]
    },
    async reconcile(key, signal, queue) {
      const pod = podInformer.lister.get(key)
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return
      const { nodeName = '' } = pod.spec
      const taints = noExecute(nodeInformer.lister.get(nodeName))
      const seen = firstSeen.get(nodeName)
      const atMs = evictionTime(pod, taints, (taint) => seen?.get(taintKey(taint)) ?? clock.now())
      if (atMs === undefined) {
        if (scheduled.delete(key)) recorder.event(pod, 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`)
        return
      }
      const waitMs = atMs - clock.now()
      if (waitMs > 0) {
        scheduled.add(key)
        return queue.addAfter(key, waitMs)
      }
      recorder.event(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`)
      scheduled.delete(key)
      const message = 'Taint manager: deleting due to NoExecute taint'
      await disruptPod(pod, { client, signal, nowMs: clock.now(), reason: 'DeletionByTaintManager', message })
    },
  })
}
