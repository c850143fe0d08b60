import { isDeepStrictEqual } from 'node:util'
import {
  alreadyExists,
  apiVersionOf,
  badRequest,
  conflict,
  invalid,
  notFound,
  objectKey,
  resourcePath,
  StatusError,
  type KubernetesObject,
  type ResourceType,
} from '@k3s/api'
import { systemClock, type Clock } from '@k3s/lifecycle'
import { deepFreeze } from '../deep-freeze.ts'
import type { ApiRequest, ApiResponse, ApiTransport, ApiWatchEvent } from '../transport.ts'
import { applyPatch, isJsonObject } from './patch.ts'
import { parseRequestPath, type RequestPath } from './request-path.ts'
import { objectSelector } from './selectors.ts'
import { bindPod, markDeleted, readScale, writeScale } from './subresources.ts'
import { WatchLog } from './watch-log.ts'

/** An object of any kind, as JSON. */
export interface FakeObject extends KubernetesObject {
  readonly [field: string]: unknown
}

export interface FakeApiServerOptions {
  /** Gives creation and deletion timestamps; default: the machine's. */
  readonly clock?: Clock | undefined
  /**
   * Called with every request (watches too) before it is served; it may wait, and what it throws is the answer. Tests inject failures and
   * delays here, and count requests.
   */
  readonly onRequest?: ((request: ApiRequest) => void | Promise<void>) | undefined
  /** False refuses `sendInitialEvents`, as servers without WatchList do. */
  readonly watchList?: boolean | undefined
  /** Items of a page when a list asks for a limit; default: the limit. */
  readonly maxPageItems?: number | undefined
}

interface Collection {
  readonly objects: Map<string, FakeObject>
  readonly log: WatchLog
  /** Of the objects; empty until the first one is written. */
  kind: string
}

const contentChanged = 'the object has been modified; please apply your changes to the latest version and try again'

/**
 * An API server in memory for tests: create, get, list (pages), watch (WatchList, bookmarks), update, patch and delete of any resource, with
 * resourceVersions, generations, optimistic concurrency, selectors, generateName, finalizers, graceful deletion of bound pods, and the
 * subresources `status`, `scale`, `binding` and `eviction`. It knows no schema: nothing is defaulted or validated, any field can be selected by.
 * Everybody may do everything. Objects that it gives out are shared and deeply frozen.
 */
export class FakeApiServer implements ApiTransport {
  readonly #options: FakeApiServerOptions
  readonly #clock: Clock
  readonly #collections = new Map<string, Collection>()
  #revision = 0
  #compacted = 0

  constructor(options: FakeApiServerOptions = {}) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Writes an object whole, its status too, past all rules; watchers see it. For setting a scene. */
  put<T extends KubernetesObject>(type: ResourceType<T>, object: T): T {
    const typed = { apiVersion: apiVersionOf(type), kind: type.kind, ...object }
    const collection = this.#collection({ ...type })
    const copy = structuredClone(typed) as unknown as FakeObject // Kubernetes objects are JSON
    const known = collection.objects.get(objectKey(copy))
    const { uid, creationTimestamp } = known?.metadata ?? this.#identity()
    return this.#store(collection, known, {
      ...copy,
      metadata: { uid, creationTimestamp, generation: 1, ...copy.metadata },
    }) as unknown as T // was a T
  }

  /** What is stored under `namespace/name` (or `name`), without a request. */
  peek<T extends KubernetesObject>(type: ResourceType<T>, key: string): T | undefined {
    return this.#collection({ ...type }).objects.get(key) as unknown as T | undefined // clients wrote T's there
  }

  /** All that is stored of a resource, without a request. */
  all<T extends KubernetesObject>(type: ResourceType<T>): readonly T[] {
    return [...this.#collection({ ...type }).objects.values()] as unknown as readonly T[] // clients wrote T's there
  }

  /** Removes an object past finalizers and grace, as an administrator of the datastore could. */
  remove(type: ResourceType, key: string): void {
    const collection = this.#collection({ ...type })
    const known = collection.objects.get(key)
    if (known !== undefined) this.#remove(collection, known)
  }

  /** Forgets history: watches and pages that begin before now get Expired. Running watches go on. */
  compact(): void {
    this.#compacted = this.#revision
    for (const { log } of this.#collections.values()) log.compact(this.#revision)
  }

  /** Sends a bookmark with the newest resourceVersion to every watch that allows them. */
  sendBookmarks(): void {
    for (const { log, kind } of this.#collections.values()) log.bookmark(this.#bookmark(kind))
  }

  /** Ends every running watch: with an error, or without one as a timeout does. */
  endWatches(error?: Error): void {
    for (const { log } of this.#collections.values()) log.interrupt(error)
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    request.signal?.throwIfAborted()
    await this.#options.onRequest?.(request)
    await Promise.resolve()
    const path = parseRequestPath(request.path)
    const body = request.body === undefined ? undefined : structuredClone(request.body)
    const collection = this.#collection(path)
    switch (request.method) {
      case 'GET':
        if (path.name === '') return { status: 200, body: this.#list(path, collection, request) }
        return { status: 200, body: path.subresource === 'scale' ? readScale(this.#find(path)) : this.#find(path) }
      case 'POST':
        if (path.subresource !== '') return { status: 201, body: this.#createSubresource(path, collection, body) }
        return { status: 201, body: this.#create(path, collection, asObject(body), isDryRun(request)) }
      case 'PUT':
        return { status: 200, body: this.#update(path, collection, asObject(body), isDryRun(request)) }
      case 'PATCH':
        return { status: 200, body: this.#patch(path, collection, body, request) }
      case 'DELETE':
        if (path.name !== '') return { status: 200, body: this.#delete(path, collection, body) }
        for (const object of this.#select(path, collection, request))
          this.#delete({ ...path, name: object.metadata.name, namespace: object.metadata.namespace ?? '' }, collection, body)
        return { status: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' } }
      default:
        throw new StatusError('MethodNotAllowed', 'the server does not allow this method on the requested resource')
    }
  }

  async *watch(request: ApiRequest): AsyncGenerator<ApiWatchEvent, void, void> {
    if (request.signal?.aborted === true) return
    await this.#options.onRequest?.(request)
    const path = parseRequestPath(request.path)
    const collection = this.#collection(path)
    const sendInitialEvents = request.query?.['sendInitialEvents'] === 'true'
    if (sendInitialEvents && this.#options.watchList === false) {
      const message = 'Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled'
      throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', [
        { reason: 'FieldValueForbidden', field: 'sendInitialEvents', message },
      ])
    }
    const version = text(request, 'resourceVersion')
    if (Number(version) > this.#revision) throw this.#tooLarge(version)
    const isFromNow = version === '' || version === '0' || sendInitialEvents
    yield* collection.log.watch({
      matches: this.#matcher(path, request),
      after: isFromNow ? this.#revision : Number(version),
      initial: isFromNow ? this.#select(path, collection, request) : [],
      initialBookmark: sendInitialEvents ? this.#bookmark(collection.kind, { 'k8s.io/initial-events-end': 'true' }) : undefined,
      wantsBookmarks: request.query?.['allowWatchBookmarks'] === 'true',
      signal: request.signal,
    })
  }

  #collection({ group, version, resource }: Pick<RequestPath, 'group' | 'version' | 'resource'>): Collection {
    const id = resourcePath({ group, version, resource, kind: '', namespaced: false })
    let collection = this.#collections.get(id)
    if (collection === undefined) {
      collection = { objects: new Map(), log: new WatchLog(), kind: '' }
      collection.log.compact(this.#compacted)
      this.#collections.set(id, collection)
    }
    return collection
  }

  #find(path: RequestPath): FakeObject {
    const found = this.#collection(path).objects.get(path.namespace === '' ? path.name : `${path.namespace}/${path.name}`)
    if (found === undefined) throw notFound(path, path.name)
    return found
  }

  #matcher(path: RequestPath, request: ApiRequest): (object: KubernetesObject) => boolean {
    const selects = objectSelector(text(request, 'labelSelector'), text(request, 'fieldSelector'))
    return (object) => (path.namespace === '' || object.metadata.namespace === path.namespace) && selects(object)
  }

  /** In order of their keys, as upstream. */
  #select(path: RequestPath, collection: Collection, request: ApiRequest): readonly FakeObject[] {
    const selected = [...collection.objects.values()].filter(this.#matcher(path, request))
    return selected.toSorted((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1))
  }

  /** A page continues after a key, at the newest state: unlike upstream, pages of one list may be of different versions. */
  #list(path: RequestPath, collection: Collection, request: ApiRequest): unknown {
    const version = text(request, 'resourceVersion')
    if (Number(version) > this.#revision) throw this.#tooLarge(version)
    const [startedAt = '', after = ''] = text(request, 'continue').split(':')
    if (after !== '' && Number(startedAt) < this.#compacted)
      throw new StatusError('Expired', 'The provided continue parameter is too old to display a consistent list result.')
    const all = this.#select(path, collection, request).filter((object) => objectKey(object) > after)
    const limit =
      text(request, 'limit') === '' ? all.length : Math.min(Number(text(request, 'limit')), this.#options.maxPageItems ?? Infinity)
    const items = all.slice(0, limit)
    const last = items.at(-1)
    const continuation =
      last === undefined || items.length === all.length
        ? {}
        : { continue: `${this.#revision}:${objectKey(last)}`, remainingItemCount: all.length - items.length }
    return deepFreeze({
      kind: `${collection.kind}List`,
      apiVersion: apiVersionOf(path),
      metadata: { resourceVersion: String(this.#revision), ...continuation },
      items: items.map(({ apiVersion: _version, kind: _kind, ...item }) => item),
    })
  }

  #create(path: RequestPath, collection: Collection, body: FakeObject, dryRun: boolean): FakeObject {
    const { generateName } = body.metadata
    const name = body.metadata.name || (generateName ? generateName + crypto.randomUUID().slice(0, 5) : '')
    if (name === '')
      throw invalid({ group: path.group, kind: body.kind ?? '' }, '', [
        { reason: 'FieldValueRequired', field: 'metadata.name', message: 'Required value: name or generateName is required' },
      ])
    const metadata = {
      ...body.metadata,
      name,
      ...(path.namespace === '' ? {} : { namespace: path.namespace }),
      ...this.#identity(),
      generation: 1,
    }
    const initial =
      path.resource === 'pods' ? { status: { phase: 'Pending' } } : path.resource === 'namespaces' ? { status: { phase: 'Active' } } : {}
    const object: FakeObject = { ...dropStatus(body), metadata, ...initial }
    if (collection.objects.has(objectKey(object))) throw alreadyExists(path, name)
    return dryRun ? deepFreeze(object) : this.#store(collection, undefined, object)
  }

  #update(path: RequestPath, collection: Collection, body: FakeObject, dryRun: boolean): FakeObject {
    const known = this.#find(path)
    const { uid, resourceVersion } = body.metadata
    if (uid !== undefined && uid !== known.metadata.uid)
      throw conflict(path, path.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${known.metadata.uid}`)
    if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== known.metadata.resourceVersion)
      throw conflict(path, path.name, contentChanged)
    if (path.subresource === 'scale') return readScale(this.#store(collection, known, writeScale(known, body)))
    return this.#write(path, collection, known, body, dryRun)
  }

  #patch(path: RequestPath, collection: Collection, patch: unknown, request: ApiRequest): FakeObject {
    const contentType = request.contentType ?? ''
    if (contentType.startsWith('application/apply-patch') && path.subresource === '') {
      const key = path.namespace === '' ? path.name : `${path.namespace}/${path.name}`
      if (!collection.objects.has(key)) return this.#create(path, collection, asObject(patch), isDryRun(request))
    }
    const known = this.#find(path)
    const scale = path.subresource === 'scale'
    const patched = asObject(applyPatch(scale ? readScale(known) : known, patch, contentType))
    return this.#update(path, collection, patched, isDryRun(request))
  }

  /** What an update of the object or of its status makes of it. */
  #write(path: RequestPath, collection: Collection, known: FakeObject, body: FakeObject, dryRun: boolean): FakeObject {
    const { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds, name, namespace } = known.metadata
    const isStatus = path.subresource === 'status'
    const content = isStatus
      ? { ...known, status: body['status'] }
      : 'status' in known
        ? { ...body, status: known['status'] }
        : dropStatus(body)
    const metadata = {
      ...body.metadata,
      uid,
      creationTimestamp,
      generation,
      name,
      resourceVersion: known.metadata.resourceVersion,
      ...(namespace === undefined ? {} : { namespace }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp, deletionGracePeriodSeconds }),
    }
    const object = deepFreeze(structuredClone({ ...content, apiVersion: known.apiVersion, kind: known.kind, metadata }) as FakeObject)
    if (isDeepStrictEqual(withoutUndefined(object), withoutUndefined(known)) || dryRun) return dryRun ? object : known
    if (deletionTimestamp !== undefined && isReleased(object)) return this.#remove(collection, object)
    const changed = !isDeepStrictEqual(contentOf(object), contentOf(known))
    return this.#store(collection, known, { ...object, metadata: { ...metadata, generation: (generation ?? 0) + (changed ? 1 : 0) } })
  }

  #delete(path: RequestPath, collection: Collection, options: unknown): unknown {
    const known = this.#find(path)
    const { preconditions, ...rest } = isJsonObject(options) ? options : {}
    if (isJsonObject(preconditions)) {
      const { uid, resourceVersion } = known.metadata
      if ((preconditions['uid'] ?? uid) !== uid)
        throw conflict(
          path,
          path.name,
          `the UID in the precondition (${JSON.stringify(preconditions['uid'])}) does not match the UID in record (${uid})`,
        )
      if ((preconditions['resourceVersion'] ?? resourceVersion) !== resourceVersion) throw conflict(path, path.name, contentChanged)
    }
    const marked = markDeleted(path.resource, known, rest, this.#clock.now())
    if (isReleased(marked)) {
      this.#remove(collection, known)
      return {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: { name: path.name, kind: path.resource, uid: known.metadata.uid },
      }
    }
    return isDeepStrictEqual(marked, known) ? known : this.#store(collection, known, marked)
  }

  #createSubresource(path: RequestPath, collection: Collection, body: unknown): unknown {
    const known = this.#find(path)
    if (path.subresource === 'binding') this.#store(collection, known, bindPod(known, asObject(body), this.#clock.now()))
    else if (path.subresource === 'eviction') {
      const options = isJsonObject(body) ? body['deleteOptions'] : undefined
      this.#delete(path, collection, options)
    } else throw notFound(path, path.name)
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }
  }

  #store(collection: Collection, known: FakeObject | undefined, object: FakeObject): FakeObject {
    const revision = ++this.#revision
    const stored = deepFreeze(structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } }))
    collection.kind = stored.kind ?? ''
    collection.objects.set(objectKey(stored), stored)
    collection.log.append({ revision, previous: known, object: stored })
    return stored
  }

  #remove(collection: Collection, object: FakeObject): FakeObject {
    collection.objects.delete(objectKey(object))
    collection.log.append({ revision: ++this.#revision, previous: object, object: undefined })
    return object
  }

  #identity(): { readonly uid: string; readonly creationTimestamp: string } {
    return { uid: crypto.randomUUID(), creationTimestamp: new Date(this.#clock.now()).toISOString().replace(/\.\d+Z$/, 'Z') }
  }

  #bookmark(kind: string, annotations?: Readonly<Record<string, string>>): KubernetesObject {
    return deepFreeze({
      kind,
      metadata: {
        name: '',
        resourceVersion: String(this.#revision),
        ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
      },
    })
  }

  #tooLarge(version: string): StatusError {
    return new StatusError('Timeout', `Timeout: Too large resource version: ${version}, current: ${this.#revision}`, {
      details: { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], retryAfterSeconds: 1 },
    })
  }
}

const text = (request: ApiRequest, name: string): string => {
  const value = request.query?.[name] ?? ''
  return typeof value === 'string' ? value : (value[0] ?? '')
}
const isDryRun = (request: ApiRequest): boolean => text(request, 'dryRun') === 'All'
const isReleased = ({ metadata }: KubernetesObject): boolean => !metadata.finalizers?.length && !metadata.deletionGracePeriodSeconds
const withoutUndefined = (object: FakeObject): unknown => JSON.parse(JSON.stringify(object))

/** All but metadata and status: what a generation counts changes of. */
function contentOf({ metadata: _metadata, status: _status, ...content }: FakeObject): unknown {
  return withoutUndefined(content as FakeObject) // only compared
}

function dropStatus({ status: _status, ...rest }: FakeObject): FakeObject {
  return rest
}

function asObject(body: unknown): FakeObject {
  const parsed: unknown = body instanceof Uint8Array ? JSON.parse(Buffer.from(body).toString()) : body
  if (!isJsonObject(parsed) || !isJsonObject(parsed['metadata'])) throw badRequest('the body is no object with metadata')
  return parsed as unknown as FakeObject // checked as far as this server cares
}
