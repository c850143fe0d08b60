import { hasReason } from '@k3s/api'
import { nodes, type Node } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { recorderOf } from '../kit/events.ts'
import { CidrPool } from './cidr-pool.ts'

export interface NodeIpamOptions {
  /** One for each address family, in the order in which nodes list theirs: `10.42.0.0/16`. */
  readonly clusterCidrs: readonly string[]
  /** Length of a node's IPv4 range; default 24. */
  readonly nodeMaskSizeIpv4?: number | undefined
  /** Length of a node's IPv6 range; default 64. */
  readonly nodeMaskSizeIpv6?: number | undefined
  /** Service CIDRs, from which no node gets addresses. */
  readonly excludedCidrs?: readonly string[] | undefined
}

const cidrsOf = ({ spec }: Node): readonly string[] => spec.podCIDRs ?? (spec.podCIDR === undefined ? [] : [spec.podCIDR])

/** Gives every node its range of pod addresses, once and for all. Throws when a CIDR cannot be divided. */
export function createNodeIpamController(context: ControllerContext, options: NodeIpamOptions): Service {
  const { client, informers } = context
  const { clusterCidrs, nodeMaskSizeIpv4 = 24, nodeMaskSizeIpv6 = 64, excludedCidrs = [] } = options
  const recorder = recorderOf(context, 'cidrAllocator')
  const informer = informers.informer(nodes)
  const pools = clusterCidrs.map((cidr) => new CidrPool(cidr, cidr.includes(':') ? nodeMaskSizeIpv6 : nodeMaskSizeIpv4))
  for (const cidr of excludedCidrs) for (const pool of pools) pool.occupy(cidr)
  /** What each node has or was promised, by uid. */
  const held = new Map<string, readonly string[]>()

  const hold = (uid: string, cidrs: readonly string[]): void => {
    for (const cidr of held.get(uid) ?? []) for (const pool of pools) pool.release(cidr)
    for (const cidr of cidrs) for (const pool of pools) pool.occupy(cidr)
    if (cidrs.length === 0) held.delete(uid)
    else held.set(uid, cidrs)
  }

  return controllerService({
    name: 'node-ipam',
    context,
    recorder,
    // One at a time: a range must not be promised twice.
    concurrency: 1,
    informers: [informer],
    watch: (queue) => {
      const note = (node: Node): void => {
        if (cidrsOf(node).length > 0) hold(node.metadata.uid ?? '', cidrsOf(node))
      }
      return [
        informer.addHandler({
          add: note,
          update: (_, node) => note(node),
          delete: (node) => hold(node.metadata.uid ?? '', []),
        }),
        enqueueOn(informer, queue, ({ metadata, spec }) => (spec.podCIDR === undefined ? [metadata.name] : [])),
      ]
    },
    async reconcile(name, signal) {
      const node = informer.lister.get(name)
      if (node === undefined || cidrsOf(node).length > 0 || node.metadata.deletionTimestamp !== undefined) return
      const uid = node.metadata.uid ?? ''
      let cidrs = held.get(uid)
      if (cidrs === undefined) {
        const free = pools.map((pool) => pool.next())
        if (free.some((cidr) => cidr === undefined)) {
          recorder.event(node, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`)
          throw new Error(`Cannot give node "${name}" pod addresses: the cluster CIDR is used up`)
        }
        cidrs = free.filter((cidr) => cidr !== undefined)
        hold(uid, cidrs)
      }
      try {
        const patch = { metadata: { uid }, spec: { podCIDR: cidrs[0], podCIDRs: cidrs } }
        await client.resource(nodes).patch(name, patch, { type: 'merge', signal })
      } catch (error) {
        // Refused means that somebody else was first: the cache will tell.
        if (hasReason(error, 'NotFound', 'Invalid', 'Conflict')) hold(uid, [])
        if (!hasReason(error, 'NotFound', 'Invalid')) throw error
      }
    },
  })
}
