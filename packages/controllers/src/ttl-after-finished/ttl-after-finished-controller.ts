import { hasReason, objectKey, splitKey } from '@k3s/api'
import { jobs, type Job } from '@k3s/api/types/batch/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { parseTime } from '../kit/time.ts'

/** When a finished Job is due for deletion, in milliseconds since the epoch; `undefined` while it runs or when it has no TTL. */
export function expiryOf({ metadata, spec, status }: Job): number | undefined {
  const ended = status?.conditions?.find((condition) => ['Complete', 'Failed'].includes(condition.type) && condition.status === 'True')
  const endedMs = parseTime(ended?.lastTransitionTime)
  if (spec.ttlSecondsAfterFinished === undefined || endedMs === undefined || metadata.deletionTimestamp !== undefined) return undefined
  return endedMs + spec.ttlSecondsAfterFinished * 1000
}

/** Deletes finished Jobs, with their pods, `ttlSecondsAfterFinished` after their end. */
export function createTtlAfterFinishedController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const informer = informers.informer(jobs)
  return controllerService({
    name: 'ttl-after-finished',
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, (job) => (expiryOf(job) === undefined ? [] : [objectKey(job)]))],
    async reconcile(key, signal, queue) {
      const cached = informer.lister.get(key)
      const expiry = cached === undefined ? undefined : expiryOf(cached)
      if (expiry === undefined) return
      if (expiry > clock.now()) return queue.addAfter(key, expiry - clock.now())
      const { namespace, name } = splitKey(key)
      try {
        // Live, because the TTL may have been raised in the last moment.
        const job = await client.resource(jobs).get(name, { namespace, signal })
        const live = expiryOf(job)
        if (live === undefined || live > clock.now()) return
        const { uid, resourceVersion } = job.metadata
        const preconditions = { uid, resourceVersion }
        await client.resource(jobs).delete(name, { namespace, propagationPolicy: 'Foreground', preconditions, signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    },
  })
}
