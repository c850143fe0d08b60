import { hasReason } from '@k3s/api'
import { leases } from '@k3s/api/types/coordination/v1'
import { nodes, pods, type Node, type Pod, type Taint } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import { findCondition, withCondition } from '../kit/conditions.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn, every } from '../kit/controller.ts'
import { recorderOf } from '../kit/events.ts'
import { formatTime } from '../kit/time.ts'
import { evictionPeriodMs, nodeTaints, readinessTaint, unknownConditions, zoneOf } from './plan.ts'

export interface NodeLifecycleOptions {
  /** Silence after which a kubelet counts as gone, in milliseconds; default 50 s. */
  readonly gracePeriodMs?: number | undefined
  /** The same for one that never reported; default 60 s. */
  readonly startupGracePeriodMs?: number | undefined
  /** How often silence is looked for; default 5 s. */
  readonly monitorPeriodMs?: number | undefined
}

/** Index of pods by the node that they are bound to. */
export const nodeIndex = 'node' as const
export const byNodeName = ({ spec }: Pod): readonly string[] => ((spec.nodeName ?? '') === '' ? [] : [spec.nodeName ?? ''])

/** The last sign of life of a kubelet, by our clock: its own may differ. */
interface Heartbeat {
  readonly uid: string | undefined
  readonly mark: string
  readonly seenMs: number
}

/** Notices nodes that fell silent, marks them and their pods, and taints nodes by their conditions. */
export function createNodeLifecycleController(context: ControllerContext, options: NodeLifecycleOptions = {}): Service {
  const { client, informers } = context
  const { gracePeriodMs = 50_000, startupGracePeriodMs = 60_000, monitorPeriodMs = 5000 } = options
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'node-controller')
  const nodeInformer = informers.informer(nodes)
  const podInformer = informers.informer(pods)
  const leaseInformer = informers.informer(leases, { namespace: 'kube-node-lease' })
  podInformer.addIndex(nodeIndex, byNodeName)
  const heartbeats = new Map<string, Heartbeat>()
  /** When a node of each zone last began to lose its pods, by the monotonic clock. */
  const lastEvictionMs = new Map<string, number>()

  const isSilent = (node: Node): boolean => {
    const { name, uid } = node.metadata
    const ready = findCondition(node.status?.conditions, 'Ready')
    const renewed = leaseInformer.lister.get(`kube-node-lease/${name}`)?.spec.renewTime ?? ''
    const mark = `${renewed} ${ready?.lastHeartbeatTime ?? ''} ${ready?.status === 'Unknown' ? '' : (ready?.lastTransitionTime ?? '')}`
    const now = clock.monotonic()
    const last = heartbeats.get(name)
    // What we wrote ourselves, Unknown, is no sign of life.
    const isOurs = ready?.status === 'Unknown' && last !== undefined && last.mark.split(' ')[0] === renewed
    if (last === undefined || last.uid !== uid || (last.mark !== mark && !isOurs)) {
      heartbeats.set(name, { uid, mark, seenMs: now })
      return false
    }
    return now - last.seenMs > (ready === undefined ? startupGracePeriodMs : gracePeriodMs)
  }

  const monitor = async (signal: AbortSignal, enqueue: (name: string) => void): Promise<void> => {
    const all = nodeInformer.lister.list()
    const names = new Set(all.map(({ metadata }) => metadata.name))
    for (const name of heartbeats.keys()) if (!names.has(name)) heartbeats.delete(name)
    for (const node of all) {
      const conditions = isSilent(node) ? unknownConditions(node, clock.now()) : undefined
      if (conditions !== undefined) {
        try {
          await client.resource(nodes).update({ ...node, status: { ...node.status, conditions } }, { subresource: 'status', signal })
        } catch (error) {
          // It has just spoken, or is gone.
          if (!hasReason(error, 'Conflict', 'NotFound')) throw error
        }
      }
      if (readinessTaint(node) !== undefined) enqueue(node.metadata.name)
    }
  }

  const markPodsNotReady = async (name: string, signal: AbortSignal): Promise<void> => {
    for (const pod of podInformer.lister.byIndex(nodeIndex, name)) {
      const ready = findCondition(pod.status?.conditions, 'Ready')
      if (ready?.status !== 'True') continue
      const condition = { ...ready, status: 'False', lastTransitionTime: formatTime(clock.now()) }
      const status = { ...pod.status, conditions: withCondition(pod.status?.conditions, condition) }
      try {
        await client.resource(pods).update({ ...pod, status }, { subresource: 'status', signal })
        recorder.event(pod, 'Warning', 'NodeNotReady', 'Node is not ready')
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    }
  }

  return controllerService({
    name: 'node-lifecycle',
    context,
    recorder,
    informers: [nodeInformer, podInformer, leaseInformer],
    watch: (queue) => [
      enqueueOn(nodeInformer, queue, ({ metadata }) => [metadata.name]),
      nodeInformer.addHandler({
        update(previous, node) {
          if (readinessTaint(previous) === undefined && readinessTaint(node) !== undefined)
            recorder.event(node, 'Normal', 'NodeNotReady', `Node ${node.metadata.name} status is now: NodeNotReady`)
        },
      }),
    ],
    background: (signal, queue) =>
      every(context, 'node-lifecycle', monitorPeriodMs, signal, () => monitor(signal, (name) => queue.add(name))),
    async reconcile(name, signal, queue) {
      const node = nodeInformer.lister.get(name)
      if (node === undefined || node.metadata.deletionTimestamp !== undefined) return
      const zone = zoneOf(node)
      const periodMs = evictionPeriodMs(nodeInformer.lister.list(), zone)
      const sinceLast = clock.monotonic() - (lastEvictionMs.get(zone) ?? -Infinity)
      const mayEvict = periodMs !== undefined && sinceLast >= periodMs
      const taints = nodeTaints(node, mayEvict, clock.now())
      if (taints !== undefined) {
        const evicts = (list: readonly Taint[] | undefined): boolean => list?.some(({ effect }) => effect === 'NoExecute') === true
        // No await since the time of the last one was read: no two nodes of a zone can begin at once.
        if (mayEvict && evicts(taints) && !evicts(node.spec.taints)) lastEvictionMs.set(zone, clock.monotonic())
        const patch = { metadata: { uid: node.metadata.uid, resourceVersion: node.metadata.resourceVersion }, spec: { taints } }
        await client.resource(nodes).patch(name, patch, { type: 'merge', signal })
      }
      if (readinessTaint(node) === undefined) return
      if (findCondition(node.status?.conditions, 'Ready') !== undefined) await markPodsNotReady(name, signal)
      if (periodMs !== undefined && !mayEvict) queue.addAfter(name, periodMs - sinceLast)
    },
  })
}
