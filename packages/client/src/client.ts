import type { KubernetesList, KubernetesObject, ResourceType } from '@k3s/api'
import type { ApiTransport } from './transport.ts'

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
}

export interface At extends RequestOptions {
  /** Needed for namespaced resources, except by lists and watches over all namespaces. */
  readonly namespace?: string | undefined
}

export interface SelectorOptions {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface GetOptions extends At {
  readonly resourceVersion?: string | undefined
}

export interface ListOptions extends At, SelectorOptions {
  readonly limit?: number | undefined
  readonly continue?: string | undefined
  readonly resourceVersion?: string | undefined
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined
}

export interface WatchOptions extends At, SelectorOptions {
  readonly resourceVersion?: string | undefined
  readonly resourceVersionMatch?: 'NotOlderThan' | undefined
  readonly allowWatchBookmarks?: boolean | undefined
  readonly sendInitialEvents?: boolean | undefined
  /** The server ends the watch after this many seconds. */
  readonly timeoutSeconds?: number | undefined
}

export interface WriteOptions extends At {
  readonly fieldManager?: string | undefined
  readonly dryRun?: boolean | undefined
  /** `status`, `scale`, `binding`, …: writes there instead. */
  readonly subresource?: string | undefined
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'

export interface PatchOptions extends WriteOptions {
  readonly type: PatchType
  /** Apply only: take fields over from other managers. */
  readonly force?: boolean | undefined
}

export interface DeleteOptions extends At {
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined
  readonly gracePeriodSeconds?: number | undefined
  readonly preconditions?: { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined } | undefined
  readonly dryRun?: boolean | undefined
}

/** An event of a watch over one resource. A BOOKMARK's object has only `metadata` (its resourceVersion and annotations). */
export interface ResourceEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: T
}

/** Calls on one resource. All throw StatusErrors; objects that come back may be shared and frozen. */
export interface ResourceClient<T extends KubernetesObject> {
  readonly type: ResourceType<T>
  get(name: string, options?: GetOptions): Promise<T>
  list(options?: ListOptions): Promise<KubernetesList<T>>
  watch(options?: WatchOptions): AsyncIterable<ResourceEvent<T>>
  /** The namespace is taken from the object. `name` is needed for subresources only. */
  create(object: T, options?: Omit<WriteOptions, 'namespace' | 'subresource'>): Promise<T>
  update(object: T, options?: Omit<WriteOptions, 'namespace'>): Promise<T>
  patch(name: string, patch: unknown, options: PatchOptions): Promise<T>
  /** The object as it was deleted or is being deleted, or the server's Status. */
  delete(name: string, options?: DeleteOptions): Promise<unknown>
  deleteCollection(options?: DeleteOptions & SelectorOptions): Promise<void>
  /** POST to `/NAME/SUBRESOURCE`: `binding`, `eviction`, `token`. */
  createSubresource<B>(name: string, subresource: string, body: B, options?: At): Promise<B>
  /** GET `/NAME/SUBRESOURCE`: `scale`, `status`. */
  getSubresource<B>(name: string, subresource: string, options?: At): Promise<B>
}

/** A Kubernetes API server as the parts of the control plane see it. */
export interface Client {
  readonly transport: ApiTransport
  resource<T extends KubernetesObject>(type: ResourceType<T>): ResourceClient<T>
}
