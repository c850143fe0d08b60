import { objectKey } from '@k3s/api'
import { nodes, pods, services } from '@k3s/api/types/core/v1'
import { endpointslices, type EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { Expectations } from '../kit/expectations.ts'
import { selectsPods } from './pod-endpoint.ts'
import { watchServicePods } from './service-pods.ts'
import { planSlices, sliceManager } from './slices-plan.ts'
import { sliceKeysOf, writeSlices } from './write-slices.ts'

export interface EndpointSliceOptions {
  /** Endpoints of one slice, 1 to 1000; default 100. */
  readonly maxEndpointsPerSlice?: number | undefined
}

/** Keeps the EndpointSlices of Services in step with the pods that they select. */
export function createEndpointSliceController(context: ControllerContext, options: EndpointSliceOptions = {}): Service {
  const { client, informers } = context
  const { maxEndpointsPerSlice = 100 } = options
  const [serviceInformer, podInformer, nodeInformer, sliceInformer] = [
    informers.informer(services),
    informers.informer(pods),
    informers.informer(nodes),
    informers.informer(endpointslices),
  ]
  const index = 'service'
  /** A slice that was created but is not in the cache yet would be created twice. */
  const expectations = new Expectations(clockOf(context))
  sliceInformer.addIndex(index, serviceKeysOf)
  return controllerService({
    name: 'endpointslice',
    context,
    informers: [serviceInformer, podInformer, nodeInformer, sliceInformer],
    watch: (queue) => [
      enqueueOn(serviceInformer, queue, (service) => [objectKey(service)]),
      sliceInformer.addHandler({ add: (slice) => serviceKeysOf(slice).forEach((key) => expectations.creationObserved(key)) }),
      enqueueOn(sliceInformer, queue, serviceKeysOf),
      serviceInformer.addHandler({ delete: (service) => expectations.forget(objectKey(service)) }),
      watchServicePods(serviceInformer, podInformer, queue),
      nodeInformer.addHandler({
        update(previous, node) {
          const zone = 'topology.kubernetes.io/zone'
          if (previous.metadata.labels?.[zone] === node.metadata.labels?.[zone]) return
          for (const service of serviceInformer.lister.list()) queue.add(objectKey(service))
        },
      }),
    ],
    async reconcile(key, signal) {
      const service = serviceInformer.lister.get(key)
      if (service === undefined || !selectsPods(service) || service.metadata.deletionTimestamp !== undefined) return
      if (!expectations.isFulfilled(key)) return
      const { namespace = '' } = service.metadata
      const plan = planSlices({
        service,
        pods: podInformer.lister.inNamespace(namespace),
        nodeOf: (name) => nodeInformer.lister.get(name),
        // Slices of a Service that was deleted and made again under its name are not ours to change.
        slices: sliceInformer.lister.byIndex(index, key).filter((slice) => isOwnedBy(slice, service.metadata.uid)),
        maxEndpoints: maxEndpointsPerSlice,
      })
      await writeSlices(client, plan, expectations, key, signal)
    },
  })
}

const serviceKeysOf = sliceKeysOf(sliceManager)

const isOwnedBy = (slice: EndpointSlice, uid: string | undefined): boolean =>
  slice.metadata.ownerReferences === undefined || slice.metadata.ownerReferences.some((owner) => owner.uid === uid)
