import { hasReason, objectKey, splitKey } from '@k3s/api'
import { endpoints, pods, services } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { isNamespaceTerminating } from '../kit/pod-control.ts'
import { endpointsOf } from './endpoints-plan.ts'
import { selectsPods } from './pod-endpoint.ts'
import { watchServicePods } from './service-pods.ts'

/** Keeps the core/v1 Endpoints of Services, which older clients read, in step with the pods that they select. */
export function createEndpointsController(context: ControllerContext): Service {
  const { client, informers } = context
  const [serviceInformer, podInformer, endpointsInformer] = [
    informers.informer(services),
    informers.informer(pods),
    informers.informer(endpoints),
  ]
  return controllerService({
    name: 'endpoints',
    context,
    informers: [serviceInformer, podInformer, endpointsInformer],
    watch: (queue) => [
      enqueueOn(serviceInformer, queue, (service) => [objectKey(service)]),
      enqueueOn(endpointsInformer, queue, (one) => [objectKey(one)]),
      watchServicePods(serviceInformer, podInformer, queue),
    ],
    async reconcile(key, signal) {
      const resource = client.resource(endpoints)
      const service = serviceInformer.lister.get(key)
      const current = endpointsInformer.lister.get(key)
      const { namespace, name } = splitKey(key)
      if (service === undefined) {
        // Those of others, as leader election once kept them, have no Service either and must stay.
        if (current?.metadata.labels?.['endpoints.kubernetes.io/managed-by'] !== 'endpoint-controller') return
        return resource.delete(name, { namespace, preconditions: { uid: current.metadata.uid }, signal }).then(() => {}, ignoreGone)
      }
      if (!selectsPods(service) || service.metadata.deletionTimestamp !== undefined) return
      const wanted = endpointsOf(service, podInformer.lister.inNamespace(namespace), current)
      try {
        if (current === undefined) await resource.create(wanted, { signal })
        else if (!isSemanticallyEqual(comparable(current), comparable(wanted))) await resource.update(wanted, { signal })
      } catch (error) {
        // One that exists already is on its way to the cache, which will tell.
        if (!isNamespaceTerminating(error) && !hasReason(error, 'AlreadyExists')) throw error
      }
    },
  })
}

const comparable = ({ metadata, subsets }: Parameters<typeof objectKey>[0] & { subsets?: unknown }): unknown => [
  metadata.labels,
  Object.keys(metadata.annotations ?? {}).length === 0 ? [] : metadata.annotations,
  subsets,
]

function ignoreGone(error: unknown): void {
  if (!hasReason(error, 'NotFound', 'Conflict')) throw error
}
