/**
 * Lists travel packed: SQLite itself joins the keys and values of many rows into one blob and their numbers into one text, because a row handed to
 * JavaScript costs several times what it costs to read it. The items are views of the blob.
 */
import { emptyBytes } from '../../bytes.ts'
import type { KeyRange, KeyValue } from '../../contract.ts'
import type { PackedItems } from '../../engine/packed-list.ts'
import type { StoreListOptions } from '../../engine/store.ts'
import { findItem, itemSource } from './store.ts'
import type { Statements } from './store.ts'

/** Rows of the first part, when nothing is known of their size: 96 MiB if each is as large as a request may be. */
const firstRows = 64
/** Bytes of a part, as far as the size of earlier rows tells: who keeps one item keeps its part. Larger ones cost more a byte, for memory that is new. */
const partBytes = 128 * 1024
const maxRows = 4096

/** Makes a query for items, in order, one that gives one row: {@link PackedItems}, the last key, and how many they are. */
function packedQuery(items: string): string {
  const lists = ['length(key)', 'length(value)', 'created', 'revision', 'version', `coalesce('"' || lease || '"', 0)`]
  const numbers = lists.map((list) => `group_concat(${list})`).join(" || '],[' || ")
  return `select cast(group_concat(key || value, '') as blob), '[[' || ${numbers} || ']]', max(key), count(*) from (${items})`
}

/**
 * Reads the items of a range as {@link scanItems} does, at most `limit` of them (0: all), part by part. Returns how many there were.
 * The caller holds one state of the file.
 */
export function scanPacked(
  statements: Statements,
  range: KeyRange,
  { revision, limit = 0, keysOnly = false }: StoreListOptions,
  onPart: (part: PackedItems) => void,
): number {
  if (range.end === undefined && revision === undefined) {
    const item = findItem(statements, range.start)
    if (item !== undefined) onPart(packItem(keysOnly ? { ...item, value: emptyBytes } : item))
    return item === undefined ? 0 : 1
  }
  let [taken, bytes, rows, rest] = [0, 0, firstRows, range]
  for (;;) {
    const wanted = limit === 0 ? rows : Math.min(rows, limit - taken)
    const { items, itemParameters } = itemSource(rest, revision, keysOnly)
    const [data, numbers, last, count] = statements.of(packedQuery(items)).get(...itemParameters(wanted)) ?? []
    if (!(data instanceof Uint8Array) || typeof numbers !== 'string' || !(last instanceof Uint8Array)) return taken
    onPart({ bytes: ownBytes(data), numbers })
    taken += Number(count)
    bytes += data.length
    if (range.end === undefined || Number(count) < wanted || taken === limit) return taken
    rest = { start: keyAfter(last), end: range.end }
    rows = Math.max(1, Math.min(maxRows, Math.floor(partBytes / (bytes / taken))))
  }
}

/** One item costs less so. */
function packItem({ key, value, createRevision, modRevision, version, leaseId }: KeyValue): PackedItems {
  const bytes = new Uint8Array(key.length + value.length)
  bytes.set(key)
  bytes.set(value, key.length)
  const lease = leaseId === 0n ? 0 : `"${leaseId}"`
  return { bytes, numbers: `[[${key.length}],[${value.length}],[${createRevision}],[${modRevision}],[${version}],[${lease}]]` }
}

/** The key that comes next in byte order. */
function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

/** An array whose buffer holds nothing else, so that it can be transferred. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  const isOwn = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length
  return isOwn ? new Uint8Array(buffer) : Uint8Array.from(bytes)
}
