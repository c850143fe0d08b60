import { hasReason, objectKey } from '@k3s/api'
import { nodes, pods, services } from '@k3s/api/types/core/v1'
import { endpointslices, type EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { Expectations } from '../kit/expectations.ts'
import { isNamespaceTerminating } from '../kit/pod-control.ts'
import { selectsPods } from './pod-endpoint.ts'
import { watchServicePods } from './service-pods.ts'
import { managedByLabel, planSlices, serviceNameLabel, sliceManager } from './slices-plan.ts'

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
      const resource = client.resource(endpointslices)
      expectations.expectCreations(key, plan.create.length)
      const results = await Promise.allSettled(plan.create.map((slice) => resource.create(slice, { signal })))
      for (const result of results) {
        if (result.status === 'fulfilled') continue
        expectations.creationObserved(key)
        if (!isNamespaceTerminating(result.reason)) throw result.reason
      }
      for (const slice of plan.update) await resource.update(slice, { signal })
      for (const { metadata } of plan.remove) {
        const { name, uid } = metadata
        await resource.delete(name, { namespace, preconditions: { uid }, signal }).catch((error: unknown) => {
          if (!hasReason(error, 'NotFound', 'Conflict')) throw error
        })
      }
    },
  })
}

function serviceKeysOf({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.[serviceNameLabel]
  if (name === undefined || metadata.labels?.[managedByLabel] !== sliceManager) return []
  return [`${metadata.namespace ?? ''}/${name}`]
}

const isOwnedBy = (slice: EndpointSlice, uid: string | undefined): boolean =>
  slice.metadata.ownerReferences === undefined || slice.metadata.ownerReferences.some((owner) => owner.uid === uid)
