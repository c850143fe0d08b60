import type { KubernetesObject, StatusError } from '@k3s/api'
import { nextTurn, stringifyInTurns } from '../off-loop/json-in-turns.ts'
import { apiVersionOfServed, toServed, toWire, type ServedResource } from '../registry/served-resource.ts'
import { formatResourceVersion } from '../resource-version.ts'
import { partialObject, renderTable, type IncludeObject } from '../table/table.ts'
import { longBytes, type CachedObject } from '../watch-cache/cached-object.ts'
import type { ListPage } from '../watch-cache/list-objects.ts'
import type { WatchItem } from '../watch-cache/resource-watch.ts'
import type { Representation } from './negotiate.ts'

/** How answers of one request are shown. */
export interface EncodeOptions {
  readonly representation: Representation
  readonly includeObject: IncludeObject
  /** Milliseconds since 1970, for ages in tables: a watch lives long. */
  readonly now: () => number
}

/** The whole object in the served version; a converted one is made once. */
export function objectBytes(served: ServedResource, object: CachedObject): Buffer {
  if (served.conversion === undefined) return object.bytes
  let bytes = served.converted.get(object)
  if (bytes === undefined) {
    const head = { apiVersion: apiVersionOfServed(served), kind: served.type.kind }
    // The first mention of a property gives its place, the last one its value.
    bytes = Buffer.from(JSON.stringify({ ...head, ...toWire(served, toServed(served, object.object)), ...head }))
    served.converted.set(object, bytes)
  }
  return bytes
}

/** One stored object as the client wants it. */
export function encodeObject(served: ServedResource, object: CachedObject, options: EncodeOptions): Buffer {
  return options.representation === 'object' ? objectBytes(served, object) : Buffer.from(JSON.stringify(shownAs(served, object, options)))
}

/** As {@link encodeObject}; what is made of a long object is made in several turns of the event loop. */
export async function encodeInTurns(served: ServedResource, object: CachedObject, options: EncodeOptions): Promise<Buffer> {
  const { representation } = options
  if (object.bytes.length <= longBytes || (representation === 'object' && served.conversion === undefined))
    return encodeObject(served, object, options)
  await object.load()
  return representation === 'object' ? objectBytes(served, object) : stringifyInTurns(shownAs(served, object, options))
}

function shownAs(served: ServedResource, object: CachedObject, options: EncodeOptions): object {
  if (options.representation === 'partial') return partialObject(served, toServed(served, object.object))
  const { resourceVersion } = object.object.metadata
  return renderTable(served, [object], { resourceVersion }, { ...options, nowMs: options.now(), withColumns: true })
}

/** A list, in pieces. */
export async function encodeList(served: ServedResource, page: ListPage, options: EncodeOptions): Promise<readonly Buffer[]> {
  const metadata = {
    resourceVersion: formatResourceVersion(page.revision),
    // As upstream, whose lists of custom resources always say it.
    ...(page.continue === '' && (served.custom === undefined || options.representation !== 'object') ? {} : { continue: page.continue }),
    ...(page.remainingItemCount === undefined ? {} : { remainingItemCount: page.remainingItemCount }),
  }
  if (options.representation === 'table') {
    const how = { ...options, nowMs: options.now(), withColumns: true }
    const head = JSON.stringify(renderTable(served, [], metadata, how))
    return joinInTurns(head, page.items, (objects) => renderTable(served, objects, metadata, { ...how, withColumns: false }).rows)
  }
  if (options.representation === 'partial') {
    const head = JSON.stringify({ kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items: [] })
    return joinInTurns(head, page.items, (objects) => objects.map((object) => partialObject(served, toServed(served, object.object))))
  }
  const apiVersion = apiVersionOfServed(served)
  const head = `{"kind":${JSON.stringify(`${served.type.kind}List`)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":${JSON.stringify(metadata)},"items":[`
  let items = page.encoded?.get(apiVersion)
  if (items === undefined) {
    if (served.conversion !== undefined) await convertInTurns(served, page.items)
    items = encodeItems(served, page.items)
    page.encoded?.set(apiVersion, items)
  }
  return [Buffer.from(head), items]
}

// What is parsed and shown before others have a turn: a few milliseconds.
const shownAtOnce = 100
const bytesAtOnce = 2 * longBytes

/** `head` is JSON that ends with an empty list: there what is made of the objects is put. */
async function joinInTurns(
  head: string,
  objects: readonly CachedObject[],
  show: (objects: readonly CachedObject[]) => readonly unknown[],
): Promise<readonly Buffer[]> {
  const parts: Buffer[] = [Buffer.from(head.slice(0, -2))]
  for (let at = 0, next = 0; at < objects.length; at = next) {
    next = endOfTurn(objects, at)
    if (at > 0) {
      parts.push(separator)
      await nextTurn()
    }
    const shown = objects.slice(at, next)
    // One at most, which is shown in the turn that ends its parsing.
    for (const object of shown) if (object.bytes.length > longBytes) await object.load()
    const members = await stringifyInTurns(show(shown))
    parts.push(members.subarray(1, -1))
  }
  parts.push(Buffer.from(']}'))
  return parts
}

/** Up to where objects are shown in one turn, beginning `at` one. */
function endOfTurn(objects: readonly CachedObject[], at: number): number {
  let bytes = 0
  let next = at
  while (next < objects.length && next - at < shownAtOnce) {
    bytes += objects[next]?.bytes.length ?? 0
    if (next > at && bytes > bytesAtOnce) break
    next++
  }
  return next
}

const separator = Buffer.from(',')
const [comma, brace] = [0x2c, 0x7b]
const listEnd = Buffer.from(']}\n')

/** Makes the bytes of objects in the served version, which are then kept. */
async function convertInTurns(served: ServedResource, objects: readonly CachedObject[]): Promise<void> {
  let bytes = 0
  for (const object of objects) {
    if (served.converted.has(object)) continue
    objectBytes(served, object)
    bytes += object.bytes.length
    if (bytes < bytesAtOnce) continue
    bytes = 0
    await nextTurn()
  }
}

/** `{…},{…}]}` and a line's end: the objects' bytes without their type heads, which upstream leaves to custom resources only. */
function encodeItems(served: ServedResource, items: readonly CachedObject[]): Buffer {
  const head = `"apiVersion":${JSON.stringify(apiVersionOfServed(served))},"kind":${JSON.stringify(served.type.kind)},`
  const skipped = served.custom === undefined ? 1 + head.length : 1
  const objects = items.map((object) => objectBytes(served, object))
  // Each object has a comma before it but the first one, and the brace again.
  const length = objects.reduce((sum, bytes) => sum + bytes.length - skipped + 2, listEnd.length - (items.length === 0 ? 0 : 1))
  const encoded = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const bytes of objects) {
    if (at > 0) encoded[at++] = comma
    encoded[at++] = brace
    at += bytes.copy(encoded, at, skipped)
  }
  listEnd.copy(encoded, at)
  return encoded
}

const frameEnd = Buffer.from('}\n')

/** One line of a watch. Forms that other watchers want too are made once and kept with the event. */
export function encodeWatchItem(served: ServedResource, item: WatchItem, options: EncodeOptions, isFirst: boolean): Buffer {
  if (item.type === 'BOOKMARK') return encodeBookmark(served, item, options)
  // A row tells ages as of now.
  const isShared = item.event !== undefined && options.representation !== 'table'
  const form = `${options.representation} ${options.includeObject} ${item.type} ${apiVersionOfServed(served)}`
  const known = isShared ? item.event.frames?.get(form) : undefined
  if (known !== undefined) return known
  const body =
    options.representation === 'table'
      ? Buffer.from(
          JSON.stringify(
            renderTable(
              served,
              [item.object],
              { resourceVersion: formatResourceVersion(item.object.revision) },
              { ...options, nowMs: options.now(), withColumns: isFirst },
            ),
          ),
        )
      : encodeObject(served, item.object, options)
  const head = `{"type":"${item.type}","object":`
  // Of its own memory: what is kept with the event would keep alive all that shares a pool with it.
  const frame = Buffer.allocUnsafeSlow(head.length + body.length + frameEnd.length)
  frame.write(head, 'latin1')
  frame.set(body, head.length)
  frame.set(frameEnd, head.length + body.length)
  if (isShared) (item.event.frames ??= new Map<string, Buffer>()).set(form, frame)
  return frame
}

function encodeBookmark(served: ServedResource, item: Extract<WatchItem, { type: 'BOOKMARK' }>, { representation }: EncodeOptions): Buffer {
  const metadata = bookmarkMetadata(item)
  const head =
    representation === 'object'
      ? { kind: served.type.kind, apiVersion: apiVersionOfServed(served) }
      : { kind: representation === 'table' ? 'Table' : 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' }
  const rest = representation === 'table' ? { columnDefinitions: null, rows: [] } : {}
  return Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object: { ...head, metadata, ...rest } })}\n`)
}

/** What a bookmark says, on the wire and in process. */
export function bookmarkObject(served: ServedResource, item: Extract<WatchItem, { type: 'BOOKMARK' }>): KubernetesObject {
  return { kind: served.type.kind, apiVersion: apiVersionOfServed(served), metadata: { name: '', ...bookmarkMetadata(item) } }
}

function bookmarkMetadata(item: Extract<WatchItem, { type: 'BOOKMARK' }>): {
  readonly resourceVersion: string
  readonly annotations?: Record<string, string>
} {
  return {
    resourceVersion: formatResourceVersion(item.revision),
    ...(item.endsInitialEvents ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  }
}

/** The last line of a watch that cannot go on. */
export function encodeWatchError(error: StatusError): Buffer {
  return Buffer.from(`${JSON.stringify({ type: 'ERROR', object: error.toStatus() })}\n`)
}
