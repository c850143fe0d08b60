import { compareBytes, emptyBytes } from '../bytes.ts'
import type { Bytes, KeyRange, KeyValue, ListOptions, ListResult } from '../contract.ts'
import { enums } from '../etcd/messages.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { etcdErrors } from './grpc-error.ts'

/** etcd's `range_end`: empty is the key alone, `\0` everything from the key on. */
export function toRange(key: Bytes, rangeEnd: Bytes): KeyRange {
  if (rangeEnd.length === 0) return { start: key }
  return { start: key, end: rangeEnd.length === 1 && rangeEnd[0] === 0 ? emptyBytes : rangeEnd }
}

/** Throws etcd's error for a request that no state could answer. */
export function checkRangeRequest({ key, sortOrder, sortTarget }: Message<'RangeRequest'>): void {
  if (key.length === 0) throw etcdErrors.emptyKey()
  if (sortOrder < 0 || sortOrder > enums.SortOrder.descend || sortTarget < 0 || sortTarget > enums.SortTarget.value)
    throw etcdErrors.invalidSortOption()
}

/** How a datastore is asked for what a request wants; {@link finishRange} does the rest. */
export function toListOptions(request: Message<'RangeRequest'>): Omit<ListOptions, 'signal'> {
  const { limit, revision, keysOnly, countOnly } = request
  const needsAll = !isPlain(request)
  return {
    ...(revision > 0 && { revision }),
    ...(limit > 0 && !needsAll && { limit }),
    ...(keysOnly && request.sortTarget !== enums.SortTarget.value && { keysOnly }),
    ...(countOnly && { countOnly }),
  }
}

/** Follows etcd's executeRange: filter, sort, cut, in this order; `count` is of the whole range. */
export function finishRange(request: Message<'RangeRequest'>, list: ListResult): Omit<MessageInput<'RangeResponse'>, 'header'> {
  if (isPlain(request)) return { kvs: list.items, more: list.more, count: list.count }
  const { limit, keysOnly, sortOrder } = request
  let kvs = isFiltered(request) ? list.items.filter((item) => isWanted(request, item)) : list.items
  if (isSorted(request)) {
    const compare = comparers[request.sortTarget] ?? compareKeys
    const direction = sortOrder === enums.SortOrder.descend ? -1 : 1
    kvs = kvs.toSorted((a, b) => direction * compare(a, b))
  }
  const more = limit > 0 && kvs.length > limit
  if (more) kvs = kvs.slice(0, limit)
  if (keysOnly) kvs = kvs.map((item) => ({ ...item, value: emptyBytes }))
  return { kvs, more, count: list.count }
}

/** Whether a list of the datastore is the answer as it is. */
export function isPlain(request: Message<'RangeRequest'>): boolean {
  return !isSorted(request) && !isFiltered(request)
}

/** A list is in ascending order of its keys already. */
function isSorted({ sortOrder, sortTarget }: Message<'RangeRequest'>): boolean {
  return sortTarget !== enums.SortTarget.key || sortOrder === enums.SortOrder.descend
}

function isFiltered(request: Message<'RangeRequest'>): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  return minModRevision !== 0 || maxModRevision !== 0 || minCreateRevision !== 0 || maxCreateRevision !== 0
}

function isWanted(request: Message<'RangeRequest'>, { modRevision, createRevision }: KeyValue): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  return (
    (maxModRevision === 0 || modRevision <= maxModRevision) &&
    (minModRevision === 0 || modRevision >= minModRevision) &&
    (maxCreateRevision === 0 || createRevision <= maxCreateRevision) &&
    (minCreateRevision === 0 || createRevision >= minCreateRevision)
  )
}

const compareKeys = (a: KeyValue, b: KeyValue): number => compareBytes(a.key, b.key)

const comparers: Readonly<Record<number, (a: KeyValue, b: KeyValue) => number>> = {
  [enums.SortTarget.key]: compareKeys,
  [enums.SortTarget.version]: (a, b) => a.version - b.version,
  [enums.SortTarget.create]: (a, b) => a.createRevision - b.createRevision,
  [enums.SortTarget.mod]: (a, b) => a.modRevision - b.modRevision,
  [enums.SortTarget.value]: (a, b) => compareBytes(a.value, b.value),
}
