import { groupResourceOf, resourcePath, type KubernetesObject, type ResourceType } from '@k3s/api'
import { createInformerFactory, type Informer } from '@k3s/client'
import type { Clock } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { loggerOf } from '../kit/controller.ts'

export interface MonitorSink {
  observe(type: ResourceType, object: KubernetesObject): void
  forget(object: KubernetesObject): void
}

/** Groups that never go away: their informers are shared with other controllers. Those of all others are our own, to be stopped. */
const permanentGroups = new Set([
  '',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'apps',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'flowcontrol.apiserver.k8s.io',
  'networking.k8s.io',
  'node.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'resource.k8s.io',
  'scheduling.k8s.io',
  'storage.k8s.io',
])

/** Events are many, short-lived and own nothing. */
const ignored = new Set(['events', 'events.events.k8s.io'])

/** What makes new resources: a change of one of these is a reason to look at discovery again. */
const definitions = new Set(['customresourcedefinitions.apiextensions.k8s.io', 'apiservices.apiregistration.k8s.io'])
/** A new definition is served a little after it was written. */
const settleMs = 1000

interface Monitor {
  readonly informer: Informer<KubernetesObject>
  readonly stop: () => void
}

/** Informers of all resources that can be collected. */
export class ResourceMonitors {
  readonly #context: ControllerContext
  readonly #sink: MonitorSink
  readonly #monitors = new Map<string, Monitor>()
  /** Factories of our own that run, and those that wait for {@link run}. */
  readonly #running = new Set<Promise<void>>()
  readonly #failed = Promise.withResolvers<void>()
  #changed = Promise.withResolvers<void>()

  constructor(context: ControllerContext, sink: MonitorSink) {
    this.#context = context
    this.#sink = sink
    // Looked at by `run`, which may begin after it was rejected.
    this.#failed.promise.catch(() => {})
  }

  /** Watches exactly these resources from now on; those that are watched already stay, and all do when the list is not complete. */
  watch(types: readonly ResourceType[], isComplete: boolean): void {
    const wanted = new Map(types.filter((type) => !ignored.has(groupResourceOf(type))).map((type) => [resourcePath(type), type]))
    if (isComplete) {
      for (const [path, monitor] of this.#monitors) {
        if (wanted.has(path)) continue
        monitor.stop()
        this.#monitors.delete(path)
      }
    }
    for (const [path, type] of wanted) if (!this.#monitors.has(path)) this.#monitors.set(path, this.#start(type))
  }

  /** Resolves when every resource that is watched now was listed once, or after `timeoutMs`. */
  async synced(clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const onAbort = (): void => stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const settled = Promise.all([...this.#monitors.values()].map(({ informer }) => informer.synced(stop.signal)))
    const timeout = clock.sleep(timeoutMs, stop.signal)
    try {
      await Promise.race([settled, timeout])
    } finally {
      signal.removeEventListener('abort', onAbort)
      stop.abort()
      // Whichever lost the race is rejected by the abort.
      await Promise.allSettled([settled, timeout])
    }
  }

  /** Resolves after `periodMs`, or soon after a definition of resources changed. */
  async resourcesChanged(clock: Clock, periodMs: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const onAbort = (): void => stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([clock.sleep(periodMs, stop.signal), this.#changed.promise])
      this.#changed = Promise.withResolvers()
    } finally {
      signal.removeEventListener('abort', onAbort)
      stop.abort()
    }
    await clock.sleep(settleMs, signal)
  }

  /** Rejects when an informer fails; resolves when all have ended after an abort. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>()
    const onAbort = (): void => aborted.resolve()
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([aborted.promise, this.#failed.promise])
      this.stop()
      await Promise.all(this.#running)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  stop(): void {
    for (const { stop } of this.#monitors.values()) stop()
    this.#monitors.clear()
  }

  #start(type: ResourceType): Monitor {
    const isPermanent = permanentGroups.has(type.group)
    const { client, clock } = this.#context
    const abort = new AbortController()
    const factory = isPermanent
      ? this.#context.informers
      : createInformerFactory(client, { clock, logger: loggerOf(this.#context, 'garbage-collector') })
    const informer = factory.informer(type)
    const isDefinition = definitions.has(groupResourceOf(type))
    const onChange = (): void => {
      if (isDefinition) this.#changed.resolve()
    }
    const remove = informer.addHandler({
      add: (object) => {
        this.#sink.observe(type, object)
        onChange()
      },
      update: (previous, object) => {
        // Deleted and made again under its name between two looks.
        if (previous.metadata.uid !== object.metadata.uid) this.#sink.forget(previous)
        this.#sink.observe(type, object)
        onChange()
      },
      delete: (object) => {
        this.#sink.forget(object)
        onChange()
      },
    })
    if (!isPermanent) {
      const running: Promise<void> = factory
        .run({ signal: abort.signal, ready() {} })
        .catch((error: unknown) => this.#failed.reject(error))
        .finally(() => this.#running.delete(running))
      this.#running.add(running)
    }
    return {
      informer,
      stop: () => {
        remove()
        abort.abort()
        // Nobody tells of their deletion any more.
        if (!isPermanent) for (const object of informer.lister.list()) this.#sink.forget(object)
      },
    }
  }
}
