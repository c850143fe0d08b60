import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { Service } from '@k3s/lifecycle'

/** What an informer tells of. Calls come one at a time, in the order of the events; they must not block or throw. */
export interface EventHandler<T> {
  /** `isInInitialList` is true for objects that were there when this handler was added or the informer started. */
  add?(object: T, isInInitialList: boolean): void
  /** Also called by a relist when nothing changed but the resourceVersion. */
  update?(previous: T, object: T): void
  /** `object` is the last state known; a deletion that a relist found may have missed updates before it. */
  delete?(object: T): void
}

/** Values under which an index files an object. */
export type IndexFunction<T> = (object: T) => readonly string[]

/** Reads from an informer's cache: no I/O. Objects are shared and frozen. Keys are `namespace/name`. */
export interface Lister<T> {
  get(key: string): T | undefined
  /** All objects, in no order. */
  list(): readonly T[]
  /** Objects of one namespace. */
  inNamespace(namespace: string): readonly T[]
  /** Objects that the named index files under `value`; throws when there is no such index. */
  byIndex(index: string, value: string): readonly T[]
}

/** One reflector and its cache, shared by everyone in the process that wants this resource. */
export interface Informer<T extends KubernetesObject> {
  readonly type: ResourceType<T>
  readonly lister: Lister<T>
  /** True when the first list is in the cache and its handlers were called. */
  readonly isSynced: boolean
  /** Resolves when {@link isSynced}; rejects on abort. */
  synced(signal: AbortSignal): Promise<void>
  /** Objects that are already cached are told of at once as `add`. Returns how to remove the handler. */
  addHandler(handler: EventHandler<T>): () => void
  /** Must be called before the informer starts, or while it runs (then existing objects are indexed at once). Adding a name again with the same function is harmless. */
  addIndex(name: string, index: IndexFunction<T>): void
}

export interface InformerOptions {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

/** Makes informers, one for each resource and selector, and runs them. */
export interface InformerFactory extends Service {
  /** The same arguments give the same informer. Asked for while the factory runs, it starts at once. */
  informer<T extends KubernetesObject>(type: ResourceType<T>, options?: InformerOptions): Informer<T>
  /** Resolves when every informer asked for so far is synced. */
  synced(signal: AbortSignal): Promise<void>
}

/** A set of keys to reconcile: a key is worked on by one worker at a time, and added while worked on comes again. */
export interface Workqueue {
  add(key: string): void
  addAfter(key: string, delayMs: number): void
  /** Adds after a delay that grows with the number of failures of the key since `forget`. */
  addRateLimited(key: string): void
  forget(key: string): void
  /** How often the key failed since `forget`. */
  failures(key: string): number
  readonly depth: number
}
