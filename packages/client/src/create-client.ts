import { badRequest, groupResourceOf, resourcePath, type KubernetesList, type KubernetesObject, type ResourceType } from '@k3s/api'
import type {
  At,
  Client,
  DeleteOptions,
  GetOptions,
  ListOptions,
  PatchOptions,
  PatchType,
  ResourceClient,
  ResourceEvent,
  SelectorOptions,
  WatchOptions,
  WriteOptions,
} from './client.ts'
import type { ApiRequest, ApiTransport } from './transport.ts'

const patchContentTypes: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

type Query = Record<string, string | readonly string[]>

/** Drops what is undefined and writes numbers and booleans as the API reads them; undefined when nothing is left. */
function queryOf(values: Readonly<Record<string, string | number | boolean | undefined>>): Query | undefined {
  const query: Query = {}
  let isEmpty = true
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue
    query[name] = String(value)
    isEmpty = false
  }
  return isEmpty ? undefined : query
}

const writeQuery = (options: Omit<WriteOptions, 'namespace'>): Query | undefined =>
  queryOf({ fieldManager: options.fieldManager, dryRun: options.dryRun === true ? 'All' : undefined })

function deleteBody(options: DeleteOptions): unknown {
  const { propagationPolicy, gracePeriodSeconds, preconditions, dryRun } = options
  if (propagationPolicy === undefined && gracePeriodSeconds === undefined && preconditions === undefined && dryRun !== true)
    return undefined
  return {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(preconditions === undefined ? {} : { preconditions }),
    ...(dryRun === true ? { dryRun: ['All'] } : {}),
  }
}

class TransportResourceClient<T extends KubernetesObject> implements ResourceClient<T> {
  readonly type: ResourceType<T>
  readonly #transport: ApiTransport

  constructor(transport: ApiTransport, type: ResourceType<T>) {
    this.#transport = transport
    this.type = type
  }

  get(name: string, options: GetOptions = {}): Promise<T> {
    return this.#send({
      method: 'GET',
      path: this.#objectPath(name, options.namespace),
      query: queryOf({ resourceVersion: options.resourceVersion }),
      signal: options.signal,
    })
  }

  list(options: ListOptions = {}): Promise<KubernetesList<T>> {
    return this.#send({
      method: 'GET',
      path: this.#collectionPath(options.namespace),
      query: queryOf({
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
        limit: options.limit,
        continue: options.continue,
        resourceVersion: options.resourceVersion,
        resourceVersionMatch: options.resourceVersionMatch,
      }),
      signal: options.signal,
    })
  }

  watch(options: WatchOptions = {}): AsyncIterable<ResourceEvent<T>> {
    const events = this.#transport.watch({
      method: 'GET',
      path: this.#collectionPath(options.namespace),
      query: queryOf({
        watch: true,
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
        resourceVersion: options.resourceVersion,
        resourceVersionMatch: options.resourceVersionMatch,
        allowWatchBookmarks: options.allowWatchBookmarks,
        sendInitialEvents: options.sendInitialEvents,
        timeoutSeconds: options.timeoutSeconds,
      }),
      signal: options.signal,
    })
    return events as AsyncIterable<ResourceEvent<T>> // the server answers this path with objects of T
  }

  async create(object: T, options: Omit<WriteOptions, 'namespace' | 'subresource'> = {}): Promise<T> {
    const { namespace } = object.metadata
    if (this.type.namespaced && !namespace) throw badRequest('an empty namespace may not be set during creation')
    return this.#send({
      method: 'POST',
      path: this.#collectionPath(namespace),
      query: writeQuery(options),
      body: this.#typed(object),
      signal: options.signal,
    })
  }

  async update(object: T, options: Omit<WriteOptions, 'namespace'> = {}): Promise<T> {
    return this.#send({
      method: 'PUT',
      path: this.#objectPath(object.metadata.name, object.metadata.namespace, options.subresource),
      query: writeQuery(options),
      body: this.#typed(object),
      signal: options.signal,
    })
  }

  async patch(name: string, patch: unknown, options: PatchOptions): Promise<T> {
    return this.#send({
      method: 'PATCH',
      path: this.#objectPath(name, options.namespace, options.subresource),
      query: { ...writeQuery(options), ...(options.force === undefined ? {} : { force: String(options.force) }) },
      body: patch,
      contentType: patchContentTypes[options.type],
      signal: options.signal,
    })
  }

  async delete(name: string, options: DeleteOptions = {}): Promise<unknown> {
    return this.#send({
      method: 'DELETE',
      path: this.#objectPath(name, options.namespace),
      body: deleteBody(options),
      signal: options.signal,
    })
  }

  async deleteCollection(options: DeleteOptions & SelectorOptions = {}): Promise<void> {
    await this.#send({
      method: 'DELETE',
      path: this.#collectionPath(options.namespace),
      query: queryOf({ labelSelector: options.labelSelector, fieldSelector: options.fieldSelector }),
      body: deleteBody(options),
      signal: options.signal,
    })
  }

  async createSubresource<B>(name: string, subresource: string, body: B, options: At = {}): Promise<B> {
    return this.#send({ method: 'POST', path: this.#objectPath(name, options.namespace, subresource), body, signal: options.signal })
  }

  async getSubresource<B>(name: string, subresource: string, options: At = {}): Promise<B> {
    return this.#send({ method: 'GET', path: this.#objectPath(name, options.namespace, subresource), signal: options.signal })
  }

  async #send<R>(request: ApiRequest): Promise<R> {
    const { body } = await this.#transport.request(request)
    return body as R // the server answers this path with an R
  }

  /** Caches hold list items without a type head; a request body needs one. */
  #typed(object: T): T {
    const { group, version, kind } = this.type
    if (object.apiVersion !== undefined && object.kind !== undefined) return object
    return { ...object, apiVersion: group === '' ? version : `${group}/${version}`, kind }
  }

  #collectionPath(namespace: string | undefined): string {
    return resourcePath(this.type, this.type.namespaced ? { namespace } : {})
  }

  #objectPath(name: string, namespace: string | undefined, subresource?: string): string {
    if (name === '') throw badRequest(`${groupResourceOf(this.type)}: resource name may not be empty`)
    if (!this.type.namespaced) return resourcePath(this.type, { name, subresource })
    if (!namespace) throw badRequest('an empty namespace may not be set when a resource name is provided')
    return resourcePath(this.type, { namespace, name, subresource })
  }
}

/** A client of the API server that `transport` reaches, as the user that the transport is. Holds no state of its own: making one is cheap. */
export function createClient(transport: ApiTransport): Client {
  return { transport, resource: (type) => new TransportResourceClient(transport, type) }
}
