import { hasReason } from '@k3s/api'
import { certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import type { Service } from '@k3s/lifecycle'
import { certificateEnd } from '@k3s/pki'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { endOf } from './request-rules.ts'

/** Deletes certificate requests that nobody will look at again. Unlike upstream, which looks once an hour, each goes when its time has come. */
export function createCertificateCleanerController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const informer = informers.informer(certificatesigningrequests)
  return controllerService({
    name: 'certificatesigningrequest-cleaner',
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, ({ metadata }) => [metadata.name])],
    async reconcile(key, signal, queue) {
      const request = informer.lister.get(key)
      if (request === undefined) return
      const { certificate } = request.status ?? {}
      const end = endOf(request, certificate ? certificateEnd(Buffer.from(certificate, 'base64').toString()) : undefined)
      if (end === undefined) return
      const left = end - clock.now()
      if (left >= 0) return queue.addAfter(key, left + 1)
      try {
        await client.resource(certificatesigningrequests).delete(key, { preconditions: { uid: request.metadata.uid }, signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error
      }
    },
  })
}
