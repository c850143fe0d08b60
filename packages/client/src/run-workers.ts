import { hasReason } from '@k3s/api'
import { noLogger, type Logger } from '@k3s/lifecycle'
import type { WorkSource } from './workqueue.ts'

export interface WorkerOptions {
  readonly queue: WorkSource
  /** How many keys are worked on at once; at least 1. */
  readonly concurrency: number
  /** Level-triggered and idempotent. When it throws, the key is retried with back-off; when it resolves, the back-off is forgotten. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<void>
  readonly logger?: Logger | undefined
  /** Stops the workers: no key is begun any more, and those begun see it abort. */
  readonly signal: AbortSignal
}

/** Works on the keys of a queue until `signal` aborts; resolves when the last `reconcile` has ended, and closes the queue. Never rejects. */
export async function runWorkers(options: WorkerOptions): Promise<void> {
  const { queue, signal } = options
  const onAbort = (): void => queue.close()
  if (signal.aborted) queue.close()
  signal.addEventListener('abort', onAbort, { once: true })
  await Promise.all(Array.from({ length: Math.max(1, options.concurrency) }, () => work(options)))
  signal.removeEventListener('abort', onAbort)
}

async function work({ queue, reconcile, logger = noLogger, signal }: WorkerOptions): Promise<void> {
  // The queue is closed by the abort, so that a waiting worker gets undefined; this signal never fires.
  const never = new AbortController().signal
  for (;;) {
    const key = await queue.take(never)
    if (key === undefined) return
    try {
      await reconcile(key, signal)
      queue.forget(key)
    } catch (err) {
      if (!signal.aborted) {
        const fields = { queue: queue.name, key, failures: queue.failures(key), err }
        // A conflict means that the cache is behind: the retry finds it newer.
        if (hasReason(err, 'Conflict')) logger.debug(fields, 'Reconcile met a conflict and will be retried')
        else logger.error(fields, 'Reconcile failed and will be retried')
        queue.addRateLimited(key)
      }
    } finally {
      queue.done(key)
    }
  }
}
