import type { KubernetesObject } from '@k3s/api'
import { createWorkqueue, runWorkers, type Informer, type Workqueue } from '@k3s/client'
import { noLogger, systemClock, type Clock, type Logger, type Service } from '@k3s/lifecycle'
import type { ControllerContext } from './context.ts'
import { isNamespaceTerminating } from './pod-control.ts'

/** A controller as its folder describes it; {@link controllerService} makes it run. */
export interface ControllerDefinition {
  /** Of the service, its workqueue and its log lines. */
  readonly name: string
  readonly context: ControllerContext
  /** Keys worked on at once; default 5, as upstream's workers. */
  readonly concurrency?: number | undefined
  /** Work begins when all of them are synced. */
  readonly informers: readonly { synced(signal: AbortSignal): Promise<void> }[]
  /** Adds the handlers that fill the queue; gives how to remove them. */
  watch(queue: Workqueue): readonly (() => void)[]
  /** Level-triggered; what it throws is retried with back-off. */
  reconcile(key: string, signal: AbortSignal, queue: Workqueue): Promise<void>
  /** Disposed when the service ends. */
  readonly recorder?: Disposable | undefined
  /** Runs beside the workers until `signal` aborts. */
  background?(signal: AbortSignal, queue: Workqueue): Promise<void>
}

/** Runs a controller: its handlers, then its workers when the caches are full. Ready when the workers start. */
export function controllerService(definition: ControllerDefinition): Service {
  const { name, context, informers, concurrency = 5 } = definition
  return {
    name,
    async run({ signal, ready }) {
      const source = createWorkqueue({ name, clock: context.clock, metrics: context.metrics })
      const queue = withBoundedDelays(source)
      const removers = definition.watch(queue)
      try {
        await Promise.all(informers.map((informer) => informer.synced(signal)))
        ready()
        const reconcile = async (key: string): Promise<void> => {
          try {
            await definition.reconcile(key, signal, queue)
          } catch (error) {
            // Whatever was to be made there, it cannot be any more, and what is there is being deleted.
            if (!isNamespaceTerminating(error)) throw error
          }
        }
        await Promise.all([
          runWorkers({ queue: source, concurrency, reconcile, logger: loggerOf(context, name), signal }),
          definition.background?.(signal, queue),
        ])
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        for (const remove of removers) remove()
        source.close()
        definition.recorder?.[Symbol.dispose]()
      }
    },
  }
}

// Timers of JavaScript end at 24.8 days. Who is woken early looks at the time and waits on.
const maxDelayMs = 24 * 60 * 60_000

function withBoundedDelays(queue: Workqueue): Workqueue {
  return {
    add: (key) => queue.add(key),
    addAfter: (key, delayMs) => queue.addAfter(key, Math.min(delayMs, maxDelayMs)),
    addRateLimited: (key) => queue.addRateLimited(key),
    forget: (key) => queue.forget(key),
    failures: (key) => queue.failures(key),
    get depth() {
      return queue.depth
    },
  }
}

export const clockOf = (context: ControllerContext): Clock => context.clock ?? systemClock
export const loggerOf = (context: ControllerContext, controller: string): Logger => (context.logger ?? noLogger).child({ controller })

/** Queues the keys of every object that comes, changes (before and after) or goes. Gives how to stop. */
export function enqueueOn<T extends KubernetesObject>(
  informer: Informer<T>,
  queue: Workqueue,
  keysOf: (object: T) => Iterable<string>,
): () => void {
  const addAll = (object: T): void => {
    for (const key of keysOf(object)) queue.add(key)
  }
  return informer.addHandler({
    add: addAll,
    update: (previous, object) => {
      addAll(previous)
      addAll(object)
    },
    delete: addAll,
  })
}

/** Calls `work` now and then every `periodMs` until `signal` aborts; failures are logged and do not end it. */
export async function every(
  context: ControllerContext,
  name: string,
  periodMs: number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const clock = clockOf(context)
  while (!signal.aborted) {
    try {
      await work()
    } catch (err) {
      if (signal.aborted) return
      loggerOf(context, name).warn({ err }, 'Periodic work failed and will be repeated')
    }
    try {
      await clock.sleep(periodMs, signal)
    } catch {
      return // only an abort rejects a sleep
    }
  }
}
