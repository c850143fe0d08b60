import { isObject, without, type JsonObject } from '../codec/decode-object.ts'
import { badRequest, StatusError } from '../status.ts'
import type { FieldSchema, TypeSchema, ValueSchema } from '../schema/table.ts'
import { goText } from './go-text.ts'
import { mergeOrder, partition } from './list-order.ts'

const directive = '$patch'
const retainKeys = '$retainKeys'
const deletePrefix = '$deleteFromPrimitiveList'
const orderPrefix = '$setElementOrder'

/**
 * Applies a strategic merge patch by the schema's merge keys and strategies, with `$patch` (replace, delete), `$retainKeys`,
 * `$setElementOrder/…` and `$deleteFromPrimitiveList/…`. Neither argument is changed; the result may share parts with both.
 *
 * Throws BadRequest for a malformed directive, and, as upstream does, an error with code 500 and no reason for a patch that does not fit the schema
 * (unknown list or object field, element without its merge key).
 */
export function strategicMergePatch(original: JsonObject, patch: JsonObject, type: TypeSchema): JsonObject {
  return mergeMap(original, patch, { kind: 'ref', type })
}

const bad = (message: string): StatusError => new StatusError('', message, { code: 500 })
const noMergeKey = (map: unknown, key: string): StatusError => bad(`map: ${goText(map)} does not contain declared merge key: ${key}`)
const badOrder = (): StatusError => badRequest('invalid patch format of setElementOrder list')

function goKind(value: unknown): string {
  if (value === null) return '%!s(<nil>)'
  if (Array.isArray(value)) return '[]interface {}'
  if (isObject(value)) return 'map[string]interface {}'
  return typeof value === 'boolean' ? 'bool' : typeof value === 'number' ? 'int64' : typeof value
}
/** As Go's `%s` prints it. */
const asText = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'boolean'
    ? `%!s(${goKind(value)}=${String(value)})`
    : value === null
      ? goKind(value)
      : goText(value)
const badArgument = (expected: string, value: unknown): StatusError => bad(`expected a ${expected}, but received a ${goKind(value)}`)

function lookUp(schema: ValueSchema, key: string): FieldSchema {
  if (schema.kind === 'ref') {
    const field = schema.type.byName.get(key)
    if (field !== undefined) return field
    throw bad(
      `unable to find api field in struct ${schema.type.goName.slice(schema.type.goName.indexOf('.') + 1)} for the json field "${key}"`,
    )
  }
  if (schema.kind === 'rawExtension') throw bad(`unable to find api field in struct RawExtension for the json field "${key}"`)
  const kind = schema.kind === 'list' || schema.kind === 'strings' ? 'slice' : schema.kind === 'map' ? 'map' : schema.kind
  throw bad(`merging an object in json but data type is not struct, instead is: ${kind}`)
}

function listField(schema: ValueSchema, key: string): { readonly field: FieldSchema; readonly items: ValueSchema } {
  const field = lookUp(schema, key)
  if (field.value.kind === 'list') return { field, items: field.value.items }
  if (field.value.kind === 'strings') return { field, items: { kind: 'string' } }
  throw bad(`expected slice or array type, but got: struct`)
}

const strategyOf = (field: FieldSchema): string | undefined => field.patchStrategy.find((strategy) => strategy !== 'retainKeys')

function mergeMap(original: JsonObject, patch: JsonObject, schema: ValueSchema): JsonObject {
  if (Object.hasOwn(patch, directive)) {
    if (patch[directive] === 'replace') return without(patch, directive)
    if (patch[directive] === 'delete') return {}
    throw bad(`unknown patch type: ${asText(patch[directive])} in map: ${goText(patch)}`)
  }
  const result = new Map(Object.entries(original))
  const rest = new Map(Object.entries(patch))
  applyRetainKeys(result, rest)
  applyElementOrder(result, rest, schema)
  for (const [name, value] of rest) mergeKey(result, name, value, schema)
  return Object.fromEntries(result)
}

function mergeKey(result: Map<string, unknown>, name: string, value: unknown, schema: ValueSchema): void {
  const isDeletion = name.startsWith(deletePrefix)
  const key = isDeletion ? afterPrefix(name, deletePrefix) : name
  if (value === null) {
    result.delete(key)
    return
  }
  const current = result.get(key)
  const isMap = isObject(current) && isObject(value)
  const isList = Array.isArray(current) && Array.isArray(value)
  if (!isMap && !isList) {
    if (isDeletion) return
    const clean = withoutDirectives(value)
    if (clean === dropped) result.delete(key)
    else result.set(key, clean)
  } else if (isMap) {
    const field = lookUp(schema, key)
    result.set(key, strategyOf(field) === 'replace' ? value : mergeMap(current, value, field.value))
  } else {
    const { field, items } = listField(schema, key)
    const merges = strategyOf(field) === 'merge' || isDeletion
    // Both are lists: isList.
    result.set(key, merges ? mergeList(current as unknown[], value as unknown[], items, field.patchMergeKey ?? '', isDeletion) : value)
  }
}

function afterPrefix(name: string, prefix: string): string {
  if (name.startsWith(`${prefix}/`)) return name.slice(prefix.length + 1)
  throw prefix === deletePrefix ? badRequest('invalid patch format of primitive list') : badOrder()
}

function applyRetainKeys(result: Map<string, unknown>, patch: Map<string, unknown>): void {
  if (!patch.has(retainKeys)) return
  const list = patch.get(retainKeys)
  patch.delete(retainKeys)
  if (!Array.isArray(list)) throw badRequest('invalid patch format of retainKeys')
  const kept = new Set<unknown>(list)
  for (const [key, value] of patch) {
    if (value === null || key.startsWith(deletePrefix) || key.startsWith(orderPrefix)) continue
    if (!kept.has(key)) throw badRequest('invalid patch format of retainKeys')
  }
  for (const key of result.keys()) if (!kept.has(key)) result.delete(key)
}

/** Merges the lists that have an order of their own, and takes them out of the patch. */
function applyElementOrder(result: Map<string, unknown>, patch: Map<string, unknown>, schema: ValueSchema): void {
  for (const [name, order] of patch) {
    if (!name.startsWith(orderPrefix)) continue
    patch.delete(name)
    if (!Array.isArray(order)) throw badArgument('[]interface {}', order)
    const key = afterPrefix(name, orderPrefix)
    const live = listOrNothing(result.get(key))
    const given = listOrNothing(patch.get(key))
    const { field, items } = listField(schema, key)
    const mergeKey = field.patchMergeKey ?? ''
    checkOrder(given ?? [], order, mergeKey)
    if (live === undefined && given === undefined) continue
    let merged: unknown[]
    if (given === undefined) merged = live ?? []
    else if (live === undefined) merged = withoutDirectivesInList(given)
    else merged = strategyOf(field) === 'merge' ? mergeList(live, given, items, mergeKey, false) : given
    elementKind(live ?? [], given ?? [])
    checkKeys(merged, order, mergeKey)
    const { inside, outside } = partition(merged, order, mergeKey)
    result.set(
      key,
      mergeOrder({
        patchItems: inside,
        serverItems: outside,
        patchOrder: order,
        serverOrder: serverOrderOf(live ?? [], given ?? [], mergeKey),
        mergeKey,
      }),
    )
    patch.delete(key)
  }
}

/**
 * The server's order, as upstream sees it after merging: where items were deleted, new ones have moved in behind those that are left.
 * `[a, b]` with `{ b, $patch: delete }` and a new `c` is `[a, c]`.
 */
function serverOrderOf(live: readonly unknown[], given: readonly unknown[], mergeKey: string): readonly unknown[] {
  if (mergeKey === '') return live
  const keyOf = (item: unknown): unknown => (isObject(item) ? item[mergeKey] : undefined)
  const deleted = new Set(given.filter((item) => isObject(item) && item[directive] === 'delete').map(keyOf))
  if (deleted.size === 0) return live
  const kept = live.filter((item) => !deleted.has(keyOf(item)))
  const known = new Set(kept.map(keyOf))
  const added = given.filter((item) => isObject(item) && !Object.hasOwn(item, directive) && !known.has(item[mergeKey]))
  return [...kept, ...added].slice(0, live.length)
}

function listOrNothing(value: unknown): unknown[] | undefined {
  if (value === undefined || Array.isArray(value)) return value
  throw badArgument('[]interface {}', value)
}

/** Follows upstream, which looks for each item in the order from its beginning, and cannot pass one without a key. */
function checkKeys(items: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (mergeKey === '') return
  const at = order.findIndex((ordered) => !isObject(ordered) || !Object.hasOwn(ordered, mergeKey))
  if (at < 0) return
  const before = new Set(order.slice(0, at).map((ordered) => (isObject(ordered) ? ordered[mergeKey] : undefined)))
  if (items.every((item) => isObject(item) && before.has(item[mergeKey]))) return
  throw isObject(order[at]) ? noMergeKey(order[at], mergeKey) : badArgument('map[string]interface {}', order[at])
}

/** Items of the patch must be in the list that orders them, in the same order. */
function checkOrder(given: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (order.length === 0 || given.length === 0) return
  const items = given.filter((item) => {
    if (mergeKey !== '' && !isObject(item)) throw badArgument('map[string]interface {}', item)
    return !(isObject(item) && Object.hasOwn(item, directive))
  })
  let next = 0
  for (const ordered of order) {
    const item = items[next]
    if (next < items.length && sameItem(item, ordered, mergeKey)) next++
  }
  if (next < items.length) throw bad(`The order in patch list:\n${goText(given)}\n doesn't match ${orderPrefix} list:\n${goText(order)}\n`)
}

function sameItem(a: unknown, b: unknown, mergeKey: string): boolean {
  if (mergeKey === '') return a === b
  for (const item of [a, b]) {
    if (!isObject(item)) throw badArgument('map[string]interface {}', item)
    if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey)
  }
  // Both are objects: checked above.
  return (a as JsonObject)[mergeKey] === (b as JsonObject)[mergeKey]
}

/** All elements must be of one kind, and none a list. */
function elementKind(...lists: readonly (readonly unknown[])[]): string {
  const list = lists.flat(1)
  const [first] = list
  const kind = goKind(first)
  if (Array.isArray(first))
    throw new StatusError('Invalid', 'the server rejected our request due to an error in our request', { details: {} })
  if (list.some((item) => goKind(item) !== kind)) throw bad(`list element types are not identical: ${goText(lists)}`)
  return kind
}

function mergeList(live: unknown[], patch: unknown[], items: ValueSchema, mergeKey: string, isDeletion: boolean): unknown[] {
  if (live.length === 0 && patch.length === 0) return live
  const isMaps = elementKind(live, patch) === 'map[string]interface {}'
  if (!isMaps) {
    if (isDeletion) {
      const deleted = new Set(patch)
      return live.filter((item) => !deleted.has(item))
    }
    const { inside, outside } = partition([...new Set([...live, ...patch])], patch, '')
    return mergeOrder({ patchItems: inside, serverItems: outside, patchOrder: patch, serverOrder: live, mergeKey: '' })
  }
  if (mergeKey === '') throw bad(`cannot merge lists without merge key for ${items.kind === 'ref' ? 'struct' : items.kind}`)
  // All elements are objects: elementKind.
  const { kept, changes } = applySpecialItems(live as JsonObject[], patch as JsonObject[], mergeKey)
  const merged = [...kept]
  // The first of each key: anybody may send a list of a hundred thousand, which must not be gone over for each of its elements.
  const places = new Map<unknown, number>()
  for (const [at, item] of merged.entries()) if (!places.has(item[mergeKey])) places.set(item[mergeKey], at)
  for (const change of changes) {
    if (!Object.hasOwn(change, mergeKey)) throw noMergeKey(change, mergeKey)
    const at = places.get(change[mergeKey]) ?? merged.length
    const found = merged[at]
    // As it is: upstream leaves nulls and directives below it alone.
    merged[at] = found === undefined ? change : mergeMap(found, change, items)
    places.set(change[mergeKey], at)
  }
  for (const item of merged) if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey)
  const { inside, outside } = partition(merged, changes, mergeKey)
  return mergeOrder({ patchItems: inside, serverItems: outside, patchOrder: changes, serverOrder: kept, mergeKey })
}

/** Deletes and replaces as elements with `$patch` say; those are then gone from the patch. */
function applySpecialItems(
  live: JsonObject[],
  patch: JsonObject[],
  mergeKey: string,
): { readonly kept: JsonObject[]; readonly changes: JsonObject[] } {
  const changes: JsonObject[] = []
  const deleted = new Set<unknown>()
  let isReplaced = false
  for (const item of patch) {
    if (!Object.hasOwn(item, directive)) {
      changes.push(item)
      continue
    }
    const word = item[directive]
    if (word === 'delete') {
      if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey)
      deleted.add(item[mergeKey])
    } else if (word === 'replace') isReplaced = true
    else if (word === 'merge') throw bad('merging lists cannot yet be specified in the patch')
    else throw bad(`unknown patch type: ${asText(word)} in map: ${goText(item)}`)
  }
  if (isReplaced) return { kept: changes, changes: [] }
  return { kept: deleted.size === 0 ? live : live.filter((entry) => !deleted.has(entry[mergeKey])), changes }
}

/** Stands for a value that is itself a directive. */
const dropped: unique symbol = Symbol('dropped')

/** A value that is new to the object: without directives and, in objects, without nulls. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return withoutDirectivesInList(value)
  if (!isObject(value)) return value
  if (Object.hasOwn(value, directive)) return dropped
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]): [string, unknown][] => {
      const clean = item === null ? dropped : withoutDirectives(item)
      return clean === dropped ? [] : [[key, clean]]
    }),
  )
}

function withoutDirectivesInList(list: readonly unknown[]): unknown[] {
  return list.flatMap((item) => {
    const clean = withoutDirectives(item)
    return clean === dropped ? [] : [clean]
  })
}
