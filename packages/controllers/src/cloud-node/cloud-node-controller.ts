import { hasReason } from '@k3s/api'
import { nodes, type Node, type NodeAddress } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'

const uninitialized = 'node.cloudprovider.kubernetes.io/uninitialized'
const instanceType = 'node.kubernetes.io/instance-type'

/** What a node lacks of what a cloud would tell of it; `undefined` when it lacks nothing. */
export interface CloudNodePlan {
  /** Merge patch of the node. */
  readonly patch: object | undefined
  /** `undefined` leaves them. */
  readonly addresses: readonly NodeAddress[] | undefined
}

/** Reads a node as K3s' own cloud provider does: addresses come from annotations that its agent writes. */
export function planCloudNode(node: Node): CloudNodePlan {
  const { name, labels = {}, annotations = {} } = node.metadata
  const taints = node.spec.taints ?? []
  const isNew = taints.some(({ key }) => key === uninitialized)
  const listOf = (annotation: string): readonly string[] =>
    (annotations[`k3s.io/${annotation}`] ?? '').split(',').filter((item) => item !== '')
  const wanted: NodeAddress[] = [
    ...listOf('internal-ip').map((address) => ({ type: 'InternalIP', address })),
    ...listOf('external-ip').map((address) => ({ type: 'ExternalIP', address })),
    ...listOf('internal-dns').map((address) => ({ type: 'InternalDNS', address })),
    ...listOf('external-dns').map((address) => ({ type: 'ExternalDNS', address })),
    { type: 'Hostname', address: listOf('hostname')[0] ?? name },
  ]
  const knowsAddresses = wanted.some(({ type }) => type === 'InternalIP')
  const addresses = knowsAddresses && !isSemanticallyEqual(node.status?.addresses, wanted) ? wanted : undefined
  // A provider ID never changes once it is there.
  const providerID = (node.spec.providerID ?? '') === '' ? { providerID: `k3s://${name}` } : {}
  const needsPatch = isNew || 'providerID' in providerID || labels[instanceType] === undefined
  const patch = {
    metadata: {
      // Taints are one list: nobody else's must be lost.
      ...(isNew ? { resourceVersion: node.metadata.resourceVersion } : {}),
      ...(labels[instanceType] === undefined ? { labels: { [instanceType]: 'k3s' } } : {}),
    },
    spec: { ...providerID, ...(isNew ? { taints: taints.filter(({ key }) => key !== uninitialized) } : {}) },
  }
  return { patch: needsPatch ? patch : undefined, addresses }
}

/** Does for nodes what the cloud controller of K3s does: provider ID, instance type, addresses, and the end of the `uninitialized` taint. */
export function createCloudNodeController(context: ControllerContext): Service {
  const { client, informers } = context
  const informer = informers.informer(nodes)
  return controllerService({
    name: 'cloud-node',
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, ({ metadata }) => [metadata.name])],
    async reconcile(name, signal) {
      const node = informer.lister.get(name)
      if (node === undefined || node.metadata.deletionTimestamp !== undefined) return
      const plan = planCloudNode(node)
      const resource = client.resource(nodes)
      try {
        // Addresses first: once the taint is gone, pods come and ask for them.
        if (plan.addresses !== undefined) {
          const patch = { metadata: { resourceVersion: node.metadata.resourceVersion }, status: { addresses: plan.addresses } }
          await resource.patch(name, patch, { type: 'merge', subresource: 'status', signal })
          // The change comes back as an event, with the version that the taints are then removed from.
          if (plan.patch !== undefined) return
        }
        if (plan.patch !== undefined) await resource.patch(name, plan.patch, { type: 'merge', signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    },
  })
}
