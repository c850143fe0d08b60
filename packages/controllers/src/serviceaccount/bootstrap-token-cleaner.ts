import { hasReason, objectKey, splitKey } from '@k3s/api'
import { secrets, type Secret } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { parseTime } from '../kit/time.ts'

/** When a bootstrap token ends, in milliseconds since the epoch; `undefined` when it does not, or the Secret holds none. */
function tokenExpiry({ type, data }: Secret): number | undefined {
  const expiration = data?.['expiration']
  if (type !== 'bootstrap.kubernetes.io/token' || expiration === undefined) return undefined
  // A time that cannot be read counts as past, as it does upstream.
  return parseTime(Buffer.from(expiration, 'base64').toString()) ?? 0
}

/** Deletes bootstrap tokens (Secrets in `kube-system`) when they have expired. */
export function createBootstrapTokenCleaner(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const informer = informers.informer(secrets, { namespace: 'kube-system', fieldSelector: 'type=bootstrap.kubernetes.io/token' })
  return controllerService({
    name: 'token-cleaner',
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, (secret) => [objectKey(secret)])],
    async reconcile(key, signal, queue) {
      const secret = informer.lister.get(key)
      const expiry = secret === undefined ? undefined : tokenExpiry(secret)
      if (secret === undefined || expiry === undefined) return
      if (expiry > clock.now()) return queue.addAfter(key, expiry - clock.now())
      const { namespace, name } = splitKey(key)
      try {
        await client.resource(secrets).delete(name, { namespace, preconditions: { uid: secret.metadata.uid }, signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error
      }
    },
  })
}
