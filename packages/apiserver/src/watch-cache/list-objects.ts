import { badRequest, hasReason, invalid, StatusError } from '@k3s/api'
import type { Datastore } from '@k3s/datastore'
import { unreadableOf } from '../encryption/unreadable.ts'
import { expiredList, staleContinueMessage, toStatusError } from '../errors.ts'
import { forbiddenField, notSupported } from '../validation/field-error.ts'
import type { FieldError } from '../registry/strategy.ts'
import { parseListVersion } from '../resource-version.ts'
import { CachedObject } from './cached-object.ts'
import { rangeOf, type CacheFeed } from './cache-feed.ts'
import type { EncodedItems } from './encoded-items.ts'
import { decodeContinue, encodeContinue, type ContinueToken } from './continue-token.ts'
import type { StorageView } from '../registry/served-resource.ts'
import type { Selection } from './selection.ts'
import { selectInTurns } from './turns.ts'
import type { WatchCache } from './watch-cache.ts'

/** Parameters of a list as they came; empty strings for absent ones. */
export interface ListParameters {
  readonly resourceVersion: string
  readonly resourceVersionMatch: string
  readonly limit: number
  readonly continue: string
}

/** One list, or one chunk of it. */
export interface ListPage {
  readonly items: readonly CachedObject[]
  /** Of the snapshot. */
  readonly revision: number
  /** Empty when this is the end. */
  readonly continue: string
  /** Items behind this chunk; undefined when there are none or when it is not known. */
  readonly remainingItemCount: number | undefined
  /** Where the items' encoded form is, when others may ask for the same ones. */
  readonly encoded?: EncodedItems | undefined
}

export interface ListSource {
  readonly datastore: Datastore
  readonly feed: CacheFeed
  readonly cache: WatchCache
  /** Of custom resources, whose selectors look at what is shown. */
  readonly view?: StorageView | undefined
}

// Objects read from the datastore at a time when a selector makes the number of matches unknown.
const scanPageSize = 500

/** Upstream's rules on what may be combined; throws Invalid. */
export function validateListParameters(parameters: ListParameters, sendsInitialEvents: boolean): void {
  const { resourceVersion, resourceVersionMatch: match } = parameters
  const errors: FieldError[] = []
  if (match !== '') {
    if (resourceVersion === '')
      errors.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
    if (parameters.continue !== '')
      errors.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'))
    if (match !== 'Exact' && match !== 'NotOlderThan')
      errors.push(notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']))
    if (match === 'Exact' && resourceVersion === '0')
      errors.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
  }
  if (sendsInitialEvents) errors.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors)
}

/** Lists with upstream's meaning of resourceVersion, limit and continue. Throws StatusErrors. */
export async function listObjects(
  source: ListSource,
  selection: Selection,
  parameters: ListParameters,
  signal: AbortSignal,
): Promise<ListPage> {
  const { feed } = source
  const { resourceVersion, limit } = parameters
  if (parameters.continue !== '') {
    const token = decodeContinue(parameters.continue)
    if (resourceVersion !== '' && resourceVersion !== '0')
      throw badRequest('specifying resource version is not allowed when using continue')
    return continueList(source, selection, { ...token, limit }, signal)
  }
  if (resourceVersion === '') {
    await feed.waitForNewest(signal)
    return fromCache(source, selection, limit, '', signal)
  }
  const wanted = parseListVersion(resourceVersion)
  // As upstream: whoever takes any version gets all of it, in one chunk.
  if (wanted === 0) return fromCache(source, selection, 0, '', signal)
  // As upstream: a limit without a match asks for exactly this version.
  if (parameters.resourceVersionMatch === 'Exact' || (limit > 0 && parameters.resourceVersionMatch === ''))
    return exact(source, selection, limit, wanted, '', signal)
  await feed.waitFor(wanted, signal)
  return fromCache(source, selection, limit, '', signal)
}

async function continueList(
  source: ListSource,
  selection: Selection,
  { revision, start, limit }: ContinueToken & Pick<ListParameters, 'limit'>,
  signal: AbortSignal,
): Promise<ListPage> {
  if (revision === -1) {
    await source.feed.waitForNewest(signal)
    return fromCache(source, selection, limit, start, signal)
  }
  try {
    return await exact(source, selection, limit, revision, start, signal)
  } catch (error) {
    if (!hasReason(error, 'Expired')) throw error
    throw new StatusError('Expired', staleContinueMessage, { cause: error, continue: encodeContinue({ revision: -1, start }) })
  }
}

async function fromCache(
  { feed, cache, view }: ListSource,
  selection: Selection,
  limit: number,
  start: string,
  signal: AbortSignal,
  revision: number = feed.revision,
): Promise<ListPage> {
  const problem = cache.problemBelow(selection.keyPrefix)
  if (problem !== undefined) throw problem
  // No await between the revision and the candidates: all items are of one revision.
  const { keyPrefix } = selection
  const from = keyPrefix + start
  if (selection.isEverything) {
    const max = limit === 0 ? Number.POSITIVE_INFINITY : limit
    const items = cache.objects.slice(keyPrefix, from, max)
    const encoded = view === undefined ? cache.encodedItems(keyPrefix, from, max) : undefined
    return { ...page(selection, items, revision, cache.objects.count(keyPrefix, from) - items.length), encoded }
  }
  const candidates = cache.objects.slice(keyPrefix, from)
  await view?.prepare(candidates, signal)
  const most = limit === 0 ? candidates.length : limit
  const { items, looked } = await selectInTurns(candidates, { selection, limit: most, signal })
  if (limit === 0) return { items, revision, continue: '', remainingItemCount: undefined }
  // As upstream: whether anything behind the page is selected shows when it is asked for.
  return page(selection, items, revision, candidates.length - looked)
}

/** The state at one revision: from the cache when nothing changed since, else from the datastore's history. */
async function exact(
  source: ListSource,
  selection: Selection,
  limit: number,
  revision: number,
  start: string,
  signal: AbortSignal,
): Promise<ListPage> {
  const { datastore, feed, cache } = source
  const { resource } = cache
  await feed.waitFor(revision, signal)
  if (revision < feed.compactRevision) throw expiredList()
  if (cache.lastChange <= revision) return await fromCache(source, selection, limit, start, signal, revision)
  try {
    const range = rangeOf(resource.prefix + selection.keyPrefix)
    let from: Uint8Array = Buffer.from(resource.prefix + selection.keyPrefix + start)
    const items: CachedObject[] = []
    for (;;) {
      const pageSize = limit === 0 ? scanPageSize : selection.isEverything ? limit - items.length : Math.max(scanPageSize, limit)
      const read = await datastore.list({ start: from, end: range.end }, { limit: pageSize, revision, signal })
      const objects = read.items.map((item) => {
        const problem = unreadableOf(item)
        if (problem !== undefined) throw problem
        const key = Buffer.from(item.key).toString('utf8').slice(resource.prefix.length)
        return CachedObject.fromStored(resource, key, item.modRevision, item.value)
      })
      if (source.view !== undefined) await source.view.prepare(objects, signal)
      for (const [index, object] of objects.entries()) {
        if (!selection.isEverything && !selection.matches(object)) continue
        items.push(object)
        if (limit > 0 && items.length === limit) return page(selection, items, revision, read.count - index - 1)
      }
      const last = read.items.at(-1)
      if (!read.more || last === undefined) return page(selection, items, revision, 0)
      from = Buffer.concat([last.key, Uint8Array.of(0)])
    }
  } catch (error) {
    throw toStatusError(error, { ...resource.type, operation: 'list', requestedRevision: revision })
  }
}

function page(selection: Selection, items: readonly CachedObject[], revision: number, remaining: number): ListPage {
  const last = items.at(-1)
  if (remaining === 0 || last === undefined) return { items, revision, continue: '', remainingItemCount: undefined }
  return {
    items,
    revision,
    continue: encodeContinue({ revision, start: `${last.key.slice(selection.keyPrefix.length)}\u0000` }),
    remainingItemCount: selection.isEverything ? remaining : undefined,
  }
}
