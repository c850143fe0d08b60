import { objectKey } from '@k3s/api'
import { endpoints, services } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { Expectations } from '../kit/expectations.ts'
import type { EndpointSliceOptions } from './endpointslice-controller.ts'
import { isMirrored, mirrorManager, planMirror } from './mirror-plan.ts'
import { sliceKeysOf, writeSlices } from './write-slices.ts'

const keysOf = sliceKeysOf(mirrorManager)

/** Keeps EndpointSlices in step with Endpoints that are written by hand for Services without selector. */
export function createEndpointSliceMirroringController(context: ControllerContext, options: EndpointSliceOptions = {}): Service {
  const { client, informers } = context
  const { maxEndpointsPerSlice = 1000 } = options
  const [serviceInformer, endpointsInformer, sliceInformer] = [
    informers.informer(services),
    informers.informer(endpoints),
    informers.informer(endpointslices),
  ]
  const index = 'mirror'
  sliceInformer.addIndex(index, keysOf)
  const expectations = new Expectations(clockOf(context))
  return controllerService({
    name: 'endpointslicemirroring',
    context,
    informers: [serviceInformer, endpointsInformer, sliceInformer],
    watch: (queue) => [
      enqueueOn(serviceInformer, queue, (service) => [objectKey(service)]),
      enqueueOn(endpointsInformer, queue, (object) => [objectKey(object)]),
      sliceInformer.addHandler({ add: (slice) => keysOf(slice).forEach((key) => expectations.creationObserved(key)) }),
      enqueueOn(sliceInformer, queue, keysOf),
    ],
    async reconcile(key, signal) {
      if (!expectations.isFulfilled(key)) return
      const object = endpointsInformer.lister.get(key)
      const slices = sliceInformer.lister.byIndex(index, key)
      const isWanted = object !== undefined && isMirrored(object, serviceInformer.lister.get(key))
      const plan = isWanted ? planMirror(object, slices, maxEndpointsPerSlice) : { create: [], update: [], remove: slices }
      await writeSlices(client, plan, expectations, key, signal)
    },
  })
}
