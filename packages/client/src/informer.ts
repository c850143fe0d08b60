import { setImmediate } from 'node:timers/promises'
import type { KubernetesObject, ResourceType } from '@k3s/api'
import { invariant, noLogger, systemClock, type Clock, type Logger } from '@k3s/lifecycle'
import type { Client } from './client.ts'
import type { EventHandler, IndexFunction, Informer, InformerFactory, InformerOptions, Lister } from './informer-contract.ts'
import { Reflector, type ReflectorSink } from './reflector.ts'
import { Store } from './store.ts'

export interface InformerFactoryOptions {
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
  /** Uniform in [0, 1); default `Math.random`. */
  readonly random?: (() => number) | undefined
  /** False for servers that cannot begin a watch with all objects; default true, which falls back by itself at the cost of one refused request. */
  readonly watchList?: boolean | undefined
}

/** Objects of a relist that handlers are told of between two turns of the event loop. */
const callsPerTurn = 250

class CachingInformer<T extends KubernetesObject> implements Informer<T>, ReflectorSink<T> {
  readonly type: ResourceType<T>
  readonly #store = new Store<T>()
  /** Replaced, never changed: who iterates over it sees those that were there when it began. */
  #handlers: readonly Registration<T>[] = []
  readonly #firstSync = Promise.withResolvers<void>()
  #isSynced = false

  constructor(type: ResourceType<T>) {
    this.type = type
  }

  get lister(): Lister<T> {
    return this.#store
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  synced(signal: AbortSignal): Promise<void> {
    return untilAbort(this.#firstSync.promise, signal)
  }

  addHandler(handler: EventHandler<T>): () => void {
    // No await between reading the cache and joining the handlers: the handler is told of each object and each later event exactly once.
    const registration = { handler, isActive: true }
    this.#handlers = [...this.#handlers, registration]
    for (const object of this.#store.list()) handler.add?.(object, true)
    return () => {
      registration.isActive = false
      this.#handlers = this.#handlers.filter((other) => other !== registration)
    }
  }

  addIndex(name: string, index: IndexFunction<T>): void {
    this.#store.addIndex(name, index)
  }

  async replace(objects: Map<string, T>): Promise<void> {
    const isFirst = !this.#isSynced
    // Handlers that join from here on see the new content at once and must not hear of it again.
    const handlers = this.#handlers
    const previous = this.#store.replace(objects)
    let calls = 0
    const tell = async (call: (handler: EventHandler<T>) => void): Promise<void> => {
      dispatch(handlers, call)
      if (++calls % callsPerTurn === 0) await setImmediate()
    }
    for (const [key, object] of previous) if (!objects.has(key)) await tell((handler) => handler.delete?.(object))
    // The store owns the map now, but changes it only through this reflector, which waits for us.
    for (const [key, object] of objects) {
      const old = previous.get(key)
      if (old === undefined) await tell((handler) => handler.add?.(object, isFirst))
      else if (!isSame(old, object)) await tell((handler) => handler.update?.(old, object))
    }
    if (!isFirst) return
    this.#isSynced = true
    this.#firstSync.resolve()
  }

  set(key: string, object: T): void {
    const old = this.#store.get(key)
    if (old !== undefined && isSame(old, object)) return
    this.#store.set(key, object)
    dispatch(this.#handlers, (handler) => (old === undefined ? handler.add?.(object, false) : handler.update?.(old, object)))
  }

  delete(key: string, object: T): void {
    if (this.#store.delete(key) === undefined) return
    dispatch(this.#handlers, (handler) => handler.delete?.(object))
  }
}

/** The same version of the same object, which no handler needs to hear of twice. */
function isSame(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion &&
    a.metadata.uid === b.metadata.uid
  )
}

interface Registration<T> {
  readonly handler: EventHandler<T>
  isActive: boolean
}

function dispatch<T>(registrations: readonly Registration<T>[], call: (handler: EventHandler<T>) => void): void {
  for (const { handler, isActive } of registrations) if (isActive) call(handler)
}

/** Rejects with the signal's reason if that comes first; the promise itself goes on. */
function untilAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason)
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort))
}

class SharedInformerFactory implements InformerFactory {
  readonly name = 'informers'
  readonly #client: Client
  readonly #options: InformerFactoryOptions
  readonly #informers = new Map<
    string,
    { readonly informer: Informer<KubernetesObject>; readonly run: (signal: AbortSignal) => Promise<void> }
  >()
  /** Set while the factory runs. */
  #start: ((run: (signal: AbortSignal) => Promise<void>) => void) | undefined

  constructor(client: Client, options: InformerFactoryOptions) {
    this.#client = client
    this.#options = options
  }

  informer<T extends KubernetesObject>(type: ResourceType<T>, select: InformerOptions = {}): Informer<T> {
    const { namespace = '', labelSelector = '', fieldSelector = '' } = select
    const id = JSON.stringify([type.group, type.version, type.resource, namespace, labelSelector, fieldSelector])
    const known = this.#informers.get(id)
    if (known !== undefined) return known.informer as unknown as Informer<T> // made below for the type with this id
    const informer = new CachingInformer<T>(type)
    const reflector = new Reflector({
      resource: this.#client.resource(type),
      select,
      sink: informer,
      clock: this.#options.clock ?? systemClock,
      logger: this.#options.logger ?? noLogger,
      random: this.#options.random ?? Math.random,
      watchList: this.#options.watchList ?? true,
    })
    const run = (signal: AbortSignal): Promise<void> => reflector.run(signal)
    this.#informers.set(id, { informer, run })
    this.#start?.(run)
    return informer
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map(({ informer }) => informer.synced(signal)))
  }

  async run({ signal, ready }: { readonly signal: AbortSignal; readonly ready: () => void }): Promise<void> {
    invariant(this.#start === undefined, 'informers run once at a time')
    const stop = new AbortController()
    const onAbort = (): void => stop.abort(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const running = new Set<Promise<void>>()
    const failures: unknown[] = []
    const ended = Promise.withResolvers<void>()
    stop.signal.addEventListener('abort', () => ended.resolve(), { once: true })
    if (stop.signal.aborted) ended.resolve()
    this.#start = (run) => {
      const promise = run(stop.signal)
        .catch((error: unknown) => {
          failures.push(error)
          stop.abort(error)
        })
        .finally(() => running.delete(promise))
      running.add(promise)
    }
    for (const { run } of this.#informers.values()) this.#start(run)
    ready()
    await ended.promise
    this.#start = undefined
    await Promise.all(running)
    signal.removeEventListener('abort', onAbort)
    if (failures.length > 0) throw failures[0]
  }
}

/**
 * Makes a factory of informers on one client. It is a service: informers that were asked for start with it, later ones at once. It is ready as
 * soon as it runs; use `synced` to wait for content. Objects in caches are deeply frozen and carry `apiVersion` and `kind`.
 * A handler or index function that throws ends the service with that error.
 */
export function createInformerFactory(client: Client, options: InformerFactoryOptions = {}): InformerFactory {
  return new SharedInformerFactory(client, options)
}
