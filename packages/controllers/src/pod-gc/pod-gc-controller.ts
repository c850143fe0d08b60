import { hasReason } from '@k3s/api'
import { nodes, pods, type Pod } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, every, loggerOf } from '../kit/controller.ts'
import { disruptPod } from '../kit/disruption.ts'
import { planPodGc } from './plan.ts'

export interface PodGcOptions {
  /** How many ended pods may stay; 0 keeps all; default 12500. */
  readonly terminatedPodThreshold?: number | undefined
  /** Default 20 s. */
  readonly periodMs?: number | undefined
  /** How long a node must be missing before its pods are removed, in milliseconds; default 40 s. */
  readonly quarantineMs?: number | undefined
}

/** Removes pods that no kubelet will: of nodes that are gone, never bound, or too many that have ended. */
export function createPodGcController(context: ControllerContext, options: PodGcOptions = {}): Service {
  const { client, informers } = context
  const { terminatedPodThreshold = 12_500, periodMs = 20_000, quarantineMs = 40_000 } = options
  const clock = clockOf(context)
  const logger = loggerOf(context, 'pod-gc')
  const nodeInformer = informers.informer(nodes)
  const podInformer = informers.informer(pods)
  /** Nodes that pods name and the cache lacks, and since when by the monotonic clock. */
  const missing = new Map<string, number>()

  const isGone = async (name: string, signal: AbortSignal): Promise<boolean> => {
    const since = missing.get(name) ?? clock.monotonic()
    missing.set(name, since)
    if (clock.monotonic() - since < quarantineMs) return false
    try {
      await client.resource(nodes).get(name, { signal })
      return false
    } catch (error) {
      if (hasReason(error, 'NotFound')) return true
      throw error
    }
  }

  const lost = (pod: Pod, message: string, signal: AbortSignal): Promise<void> =>
    disruptPod(pod, { client, signal, nowMs: clock.now(), reason: 'DeletionByPodGC', message, isLost: true })

  const collect = async (signal: AbortSignal): Promise<void> => {
    const plan = planPodGc(podInformer.lister.list(), (name) => nodeInformer.lister.get(name), terminatedPodThreshold)
    const each = async (some: readonly Pod[], work: (pod: Pod) => Promise<void>): Promise<void> => {
      for (const pod of some) {
        try {
          await work(pod)
        } catch (err) {
          signal.throwIfAborted()
          logger.warn({ err, pod: `${pod.metadata.namespace}/${pod.metadata.name}` }, 'Cannot remove a pod and will try again')
        }
      }
    }
    const nodesOfOrphans = new Set(plan.orphaned.map(({ spec }) => spec.nodeName ?? ''))
    for (const name of missing.keys()) if (!nodesOfOrphans.has(name)) missing.delete(name)
    const gone = new Set<string>()
    for (const name of nodesOfOrphans) if (await isGone(name, signal)) gone.add(name)
    await each(plan.ended, (pod) => lost(pod, '', signal))
    await each(plan.outOfService, (pod) => lost(pod, 'PodGC: node is out of service', signal))
    await each(
      plan.orphaned.filter(({ spec }) => gone.has(spec.nodeName ?? '')),
      (pod) => lost(pod, 'PodGC: node no longer exists', signal),
    )
    await each(plan.unscheduled, async ({ metadata: { name, namespace, uid } }) => {
      try {
        await client.resource(pods).delete(name, { namespace, gracePeriodSeconds: 0, preconditions: { uid }, signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    })
  }

  return controllerService({
    name: 'pod-gc',
    context,
    informers: [nodeInformer, podInformer],
    watch: () => [],
    reconcile: async () => {},
    background: (signal) => every(context, 'pod-gc', periodMs, signal, () => collect(signal)),
  })
}
