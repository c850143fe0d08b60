import { invalid, notFound } from '@k3s/api'
import { isTrueParameter } from '../http/request-info.ts'
import { forbiddenField, notSupported } from '../validation/field-error.ts'
import type { FieldError } from '../registry/strategy.ts'
import { parseResourceVersion } from '../resource-version.ts'
import { listObjects, validateListParameters } from '../watch-cache/list-objects.ts'
import { parseSelection } from '../watch-cache/parse-selection.ts'
import { ResourceWatch } from '../watch-cache/resource-watch.ts'
import type { Selection } from '../watch-cache/selection.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import { viewOf, viewsOf } from '../registry/served-resource.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { parseCount, parseListParameters, storageOf, type ResourceRequest } from './resource-request.ts'

// The longest that a timer takes: about 25 days.
const maxWatchTimeoutMs = 2 ** 31 - 1

/** GET of one object. */
export async function handleGet(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, call, served } = request
  const storage = storageOf(request)
  const wanted = call.query.get('resourceVersion') ?? ''
  if (wanted === '') await core.feed.waitForNewest(call.signal)
  else await core.feed.waitFor(parseResourceVersion(wanted), call.signal)
  const key = relativeKey(storage.resource, info.namespace, info.name)
  const object = storage.cache.objects.get(key)
  if (object === undefined) throw storage.cache.unreadable.get(key) ?? notFound(served.type, info.name)
  return { type: 'stored', code: 200, served, object: await viewOf(storage, object, call.signal) }
}

export async function handleList(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const storage = storageOf(request)
  const { cache, view } = storage
  const parameters = parseListParameters(request)
  validateListParameters(parameters, request.call.query.has('sendInitialEvents'))
  const source = { datastore: core.datastore, feed: core.feed, cache, view }
  const page = await listObjects(source, selectionOf(request), parameters, request.call.signal)
  return { type: 'list', served: request.served, page: { ...page, items: await viewsOf(storage, page.items, request.call.signal) } }
}

export async function handleWatch(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { call, served } = request
  const { cache, view } = storageOf(request)
  const { query } = call
  validateWatchParameters(query)
  const selection = selectionOf(request)
  const resourceVersion = query.get('resourceVersion') ?? ''
  const sendsInitial = query.has('sendInitialEvents') ? isTrueParameter(query.get('sendInitialEvents')) : undefined
  const sendsBookmarks = isTrueParameter(query.get('allowWatchBookmarks'))
  const wanted = resourceVersion === '' ? 0 : parseResourceVersion(resourceVersion)
  // As upstream: a watch from a revision ahead of the cache begins when that comes; without one the current state must be the newest.
  if (wanted > 0 && sendsInitial === true) await core.feed.waitFor(wanted, call.signal)
  else if (resourceVersion === '') await core.feed.waitForNewest(call.signal)
  const startsWithState = sendsInitial ?? wanted === 0
  const problem = startsWithState ? cache.problemBelow(selection.keyPrefix) : undefined
  if (problem !== undefined) throw problem
  const timeoutSeconds = parseCount(query, 'timeoutSeconds')
  return {
    type: 'watch',
    served,
    watch: new ResourceWatch({
      cache,
      feed: core.feed,
      datastore: core.datastore,
      selection,
      view,
      retired: served.custom?.retired,
      initial: startsWithState ? { withEndBookmark: sendsInitial === true && sendsBookmarks } : undefined,
      revision: wanted > 0 ? wanted : core.feed.revision,
    }),
    sendsBookmarks,
    timeoutMs:
      timeoutSeconds > 0
        ? Math.min(timeoutSeconds * 1000, maxWatchTimeoutMs)
        : Math.min(core.minWatchTimeoutMs * (1 + core.random()), maxWatchTimeoutMs),
  }
}

/** The selectors of a request on a collection. */
export function selectionOf({ info, served, call }: ResourceRequest): Selection {
  const { strategy, view } = storageOf({ served })
  return parseSelection(strategy, {
    namespace: info.namespace,
    labelSelector: call.query.get('labelSelector') ?? '',
    fieldSelector: call.query.get('fieldSelector') ?? '',
    // From the path or the field selector: it is what the request was authorized for, so nothing else may be selected.
    name: info.name,
    fieldLabels: served.conversion?.fieldLabels,
    view,
  })
}

function validateWatchParameters(query: URLSearchParams): void {
  const match = query.get('resourceVersionMatch') ?? ''
  const errors: FieldError[] = []
  if (query.has('sendInitialEvents') && match !== 'NotOlderThan')
    errors.push(forbiddenField('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
  if (match !== '') {
    if (!query.has('sendInitialEvents'))
      errors.push(
        forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'),
      )
    if (match !== 'NotOlderThan') errors.push(notSupported('resourceVersionMatch', match, ['NotOlderThan']))
    if ((query.get('continue') ?? '') !== '')
      errors.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'))
  }
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors)
}
