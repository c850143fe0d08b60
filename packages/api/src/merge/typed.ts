/**
 * Values seen through a {@link MergeSchema}: what fields one sets, how two differ, how they merge. Follows structured-merge-diff's typed values.
 */
import { isObject, setKey, type JsonObject } from '../codec/decode-object.ts'
import { emptySet, formatElement, isEmptySet, keyElement, SetBuilder, type FieldSet } from './field-set.ts'
import { goText } from './go-text.ts'
import { deducedSchema, resolveSchema, type MergeSchema } from './merge-schema.ts'

type MapSchema = Extract<MergeSchema, { readonly kind: 'map' }>
type ListSchema = Extract<MergeSchema, { readonly kind: 'list' }>

/** Stands where everything that a container held was removed: unlike null it was never written by anyone. */
export const emptied: unique symbol = Symbol('emptied')

const isNothing = (value: unknown): boolean => value === undefined || value === null || value === emptied
const below = (schema: MapSchema, name: string): MergeSchema => schema.field(name) ?? schema.values ?? deducedSchema

/** Deep equality of JSON values; order of keys does not matter. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => isSame(item, b[index]))
  if (!isObject(a) || !isObject(b)) return false
  let count = 0
  for (const key in a) {
    if (a[key] === undefined) continue
    count++
    if (!isSame(a[key], b[key])) return false
  }
  for (const key in b) if (b[key] !== undefined) count--
  return count === 0
}

/** The path element of a list item; a string of another form than an element's is why there is none. */
function itemElement(schema: ListSchema, item: unknown): { readonly element: string } | { readonly error: string } {
  if (schema.listType === 'set') {
    if (isObject(item)) return { error: "associative list without keys has an element that's a map type" }
    if (Array.isArray(item)) return { error: 'not supported: associative list with lists as elements' }
    if (isNothing(item)) return { error: "associative list without keys has an element that's an explicit null" }
    return { element: `v:${JSON.stringify(item)}` }
  }
  if (isNothing(item)) return { error: 'associative list with keys may not have a null element' }
  if (!isObject(item)) return { error: 'associative list with keys may not have non-map elements' }
  const keys: JsonObject = {}
  for (const key of schema.keys) {
    const value = item[key] ?? schema.keyDefault(key)
    if (value !== undefined) keys[key] = value
  }
  if (Object.keys(keys).length === 0)
    return {
      error: `associative list with keys has an element that omits all key fields [${schema.keys.map((key) => JSON.stringify(key)).join(' ')}] (and doesn't have default values for any key fields)`,
    }
  return { element: keyElement(keys) }
}

const keyless = 'i:-1'

/** The element of an item of a valid list; items that have none share one that nobody owns. */
function elementOf(schema: ListSchema, item: unknown): string {
  const found = itemElement(schema, item)
  return 'element' in found ? found.element : keyless
}

/** What does not fit the schema, as upstream words it: `.spec.foo: field not declared in schema`. Lists of type set and map must have no duplicates. */
export function validateTyped(value: unknown, schema: MergeSchema, path = ''): string[] {
  if (isNothing(value) || schema.kind === 'deduced') return []
  const at = (message: string): string[] => [path === '' ? message : `${path}: ${message}`]
  if (schema.kind === 'scalar') {
    if (schema.type === 'string' && typeof value !== 'string') return at(`expected string, got ${goSyntax(value)}`)
    if (schema.type === 'boolean' && typeof value !== 'boolean') return at(`expected boolean, got ${goValue(value)}`)
    if (schema.type === 'numeric' && typeof value !== 'number') return at(`expected numeric (int or float), got ${goTypeName(value)}`)
    return typeof value === 'object' ? at(`expected any scalar, got ${goValue(value)}`) : []
  }
  if (schema.kind === 'map') {
    if (!isObject(value)) return at(`expected map, got ${goValue(value)}`)
    const errors: string[] = []
    for (const name of Object.keys(value)) {
      const inner = schema.field(name) ?? schema.values
      // As upstream, which looks no further then.
      if (inner === undefined) return [...errors, `${path}.${name}: field not declared in schema`]
      for (const error of validateTyped(value[name], inner, `${path}.${name}`)) errors.push(error)
    }
    return errors
  }
  if (!Array.isArray(value)) return at(`expected list, got ${goValue(value)}`)
  const seen = new Set<string>()
  return value.flatMap((item: unknown, index) => {
    if (schema.listType === 'atomic') return validateTyped(item, schema.items, `${path}[${index}]`)
    const found = itemElement(schema, item)
    if ('error' in found) return at(`element ${index}: ${found.error}`)
    const name = formatElement(found.element)
    const duplicate = seen.has(found.element) ? at(`duplicate entries for key ${name}`) : []
    seen.add(found.element)
    return [...duplicate, ...validateTyped(item, schema.items, `${path}${name}`)]
  })
}

const goTypeName = (value: unknown): string =>
  isObject(value) ? 'map[string]interface {}' : Array.isArray(value) ? '[]interface {}' : typeof value === 'boolean' ? 'bool' : typeof value
const goValue = (value: unknown): string => `&{${goText(value)}}`
const goSyntax = (value: unknown): string => `&value.valueUnstructured{Value:${JSON.stringify(value)}}`

/** The paths that `value` sets: leaves, items of associative lists, keys of free maps, and empty objects. */
export function toFieldSet(value: unknown, schema: MergeSchema): FieldSet {
  const builder = new SetBuilder()
  collect(value, schema, [], builder)
  return builder.set
}

function collect(value: unknown, declared: MergeSchema, path: string[], into: SetBuilder): void {
  const schema = resolveSchema(declared, value)
  if (schema.kind === 'scalar' || (schema.kind === 'map' && schema.isAtomic) || (schema.kind === 'list' && schema.listType === 'atomic')) {
    if (path.length > 0) into.add(path)
  } else if (schema.kind === 'list') {
    if (!Array.isArray(value)) return
    const elements = value.map((item: unknown) => elementOf(schema, item))
    const seen = new Set<string>()
    // What does not make the set larger was in it.
    const repeated = new Set(elements.filter((element) => seen.size === seen.add(element).size))
    for (const [index, element] of elements.entries()) {
      path.push(element)
      // Duplicates are owned as a whole.
      if (!repeated.has(element)) collect(value[index], schema.items, path, into)
      into.add(path)
      path.pop()
    }
  } else if (isObject(value)) {
    for (const name of Object.keys(value)) {
      const item = value[name]
      if (item === undefined) continue
      path.push(`f:${name}`)
      collect(item, below(schema, name), path, into)
      if (isNothing(item) || (isObject(item) && isEmptyObject(item)) || schema.field(name) === undefined) into.add(path)
      path.pop()
    }
  }
}

function isEmptyObject(value: JsonObject): boolean {
  for (const _ in value) return false
  return true
}

/** How a new value differs from an old one. */
export interface Comparison {
  /** A list that is told apart by keys has an item without them: upstream cannot tell who owns what of such objects. */
  readonly hasKeylessItem: boolean
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

interface Builders {
  readonly added: SetBuilder
  readonly modified: SetBuilder
  readonly removed: SetBuilder
  hasKeylessItem: boolean
}

export function compareTyped(before: unknown, after: unknown, schema: MergeSchema): Comparison {
  const builders: Builders = { added: new SetBuilder(), modified: new SetBuilder(), removed: new SetBuilder(), hasKeylessItem: false }
  compareAt(before, after, schema, [], builders)
  const { added, modified, removed, hasKeylessItem } = builders
  return { added: added.set, modified: modified.set, removed: removed.set, hasKeylessItem }
}

const isEmptyOrNothing = (value: unknown): boolean =>
  isNothing(value) || (Array.isArray(value) ? value.length === 0 : isObject(value) && isEmptyObject(value))

/** What is owned of a value that was not there: itself, and what is below it. As {@link compareAt} finds it, built at once. */
function addedSet(value: unknown, declared: MergeSchema, into: Builders): FieldSet {
  const schema = resolveSchema(declared, value)
  const isLeaf = schema.kind === 'scalar' || (schema.kind === 'map' ? schema.isAtomic : schema.listType === 'atomic')
  if (isLeaf || isEmptyOrNothing(value)) return emptySet
  const result: Record<string, FieldSet> = { '.': emptySet }
  if (schema.kind === 'list') {
    for (const [element, items] of Map.groupBy(Array.isArray(value) ? value : [], (item) => elementOf(schema, item))) {
      if (element === keyless) into.hasKeylessItem = true
      // Duplicates are owned as a whole.
      result[element] = items.length > 1 ? emptySet : addedSet(items[0], schema.items, into)
    }
    return result
  }
  let isAlone = true
  for (const [name, inner] of Object.entries(isObject(value) ? value : {})) {
    if (inner === undefined) continue
    isAlone = false
    result[`f:${name}`] = addedSet(inner, below(schema, name), into)
  }
  return isAlone ? emptySet : result
}

function compareAt(before: unknown, after: unknown, declared: MergeSchema, path: string[], into: Builders): void {
  if (before === after) return
  if (before === undefined && path.length > 0) {
    into.added.addWhole(path, addedSet(after, declared, into))
    return
  }
  const schema = resolveSchema(declared, after ?? before)
  const other = resolveSchema(declared, before ?? after)
  const isLeaf =
    schema.kind === 'scalar' ||
    schema.kind !== other.kind ||
    (schema.kind === 'map' ? schema.isAtomic : schema.listType === 'atomic') ||
    (isEmptyOrNothing(before) && isEmptyOrNothing(after))
  if (isLeaf) {
    if (path.length === 0) return
    if (before === undefined) into.added.add(path)
    else if (after === undefined) into.removed.add(path)
    else if (!isSame(before, after)) into.modified.add(path)
    return
  }
  if (schema.kind === 'list') compareLists(Array.isArray(before) ? before : [], Array.isArray(after) ? after : [], schema, path, into)
  else {
    const left = isObject(before) ? before : {}
    const right = isObject(after) ? after : {}
    for (const name in left) {
      if (left[name] === undefined || left[name] === right[name]) continue
      path.push(`f:${name}`)
      compareAt(left[name], right[name], below(schema, name), path, into)
      path.pop()
    }
    for (const name in right) {
      if (right[name] === undefined || left[name] !== undefined) continue
      path.push(`f:${name}`)
      compareAt(undefined, right[name], below(schema, name), path, into)
      path.pop()
    }
  }
  if (path.length === 0) return
  if (before === undefined) into.added.add(path)
  else if (after === undefined) into.removed.add(path)
}

function compareLists(before: readonly unknown[], after: readonly unknown[], schema: ListSchema, path: string[], into: Builders): void {
  const left = Map.groupBy(before, (item) => elementOf(schema, item))
  const right = Map.groupBy(after, (item) => elementOf(schema, item))
  for (const element of new Set([...left.keys(), ...right.keys()])) {
    const lefts = left.get(element) ?? []
    const rights = right.get(element) ?? []
    if (element === keyless) into.hasKeylessItem = true
    path.push(element)
    if (lefts.length <= 1 && rights.length <= 1) compareAt(lefts[0], rights[0], schema.items, path, into)
    else if (lefts.length >= 2 && rights.length >= 2) {
      if (!isSame(lefts, rights)) into.modified.add(path)
    } else if (lefts.length >= 2) {
      if (rights.length > 0) compareAt(undefined, rights[0], schema.items, path, into)
      into.removed.add(path)
    } else {
      if (lefts.length > 0) compareAt(lefts[0], undefined, schema.items, path, into)
      into.added.add(path)
    }
    path.pop()
  }
}

/** `live` with everything that `config` sets. Shares parts with both. */
export function mergeTyped(live: unknown, config: unknown, declared: MergeSchema): unknown {
  if (config === undefined) return live
  const schema = resolveSchema(declared, config ?? live)
  const isGranular = (schema.kind === 'map' && !schema.isAtomic) || (schema.kind === 'list' && schema.listType !== 'atomic')
  if (config === null && isGranular && !isEmptyOrNothing(live)) return live
  if (schema.kind === 'map' && !schema.isAtomic && isObject(live) && isObject(config)) {
    const result: JsonObject = { ...live }
    for (const name of Object.keys(config))
      if (config[name] !== undefined)
        setKey(result, name, mergeTyped(Object.hasOwn(live, name) ? live[name] : undefined, config[name], below(schema, name)))
    return result
  }
  if (schema.kind === 'list' && schema.listType !== 'atomic' && Array.isArray(live) && Array.isArray(config))
    return mergeLists(live, config, schema)
  return config
}

/**
 * Follows structured-merge-diff: the order of `config` counts, items that only `live` has keep their place between those that both have.
 */
function mergeLists(live: readonly unknown[], config: readonly unknown[], schema: ListSchema): unknown[] {
  const lefts = live.map((item) => elementOf(schema, item))
  const rights = config.map((item) => elementOf(schema, item))
  const liveAt = new Map<string, unknown>()
  // Duplicates are replaced, not merged.
  for (const [index, element] of lefts.entries()) liveAt.set(element, liveAt.has(element) ? undefined : live[index])
  const configAt = new Map(rights.map((element, index) => [element, config[index]]))
  const shared = rights.filter((element) => liveAt.has(element))
  const done = new Set<string>()
  const result: unknown[] = []
  const take = (element: string): void => {
    done.add(element)
    result.push(mergeTyped(liveAt.get(element), configAt.get(element), schema.items))
  }
  let next = 0
  for (let left = 0, right = 0; left < lefts.length || right < rights.length;) {
    const l = lefts[left]
    const r = rights[right]
    if (l !== undefined && r !== undefined) {
      if (l === r) {
        take(r)
        left++
        right++
        next++
        continue
      }
      if (configAt.has(l) && shared[next] !== undefined && shared[next] !== l) {
        left++
        continue
      }
    }
    if (l !== undefined) {
      if (!configAt.has(l)) {
        result.push(live[left++])
        continue
      }
      if (done.has(l)) left++
    }
    if (r !== undefined) {
      take(r)
      right++
      if (shared[next] === r) next++
    }
  }
  return result
}

/** `value` without the paths of `set` (and what is below them). Containers that lose everything become {@link emptied}. */
export function removeItems(value: unknown, set: FieldSet, declared: MergeSchema): unknown {
  if (isEmptySet(set)) return value
  const schema = resolveSchema(declared, value)
  const isIn = (node: FieldSet): boolean => '.' in node || isEmptySet(node)
  if (schema.kind === 'list') {
    if (!Array.isArray(value) || value.length === 0) return value
    if (schema.listType === 'atomic') return emptied
    const kept = value.flatMap((item: unknown) => {
      const node = set[elementOf(schema, item)]
      if (node === undefined) return [item]
      return isIn(node) ? [] : [removeItems(item, node, schema.items)]
    })
    return kept.length === 0 ? emptied : kept
  }
  if (schema.kind === 'scalar' || !isObject(value) || isEmptyObject(value)) return value
  if (schema.isAtomic) return emptied
  const kept: JsonObject = {}
  for (const name of Object.keys(value)) {
    const node = set[`f:${name}`]
    if (node === undefined) setKey(kept, name, value[name])
    else if (!isIn(node)) setKey(kept, name, removeItems(value[name], node, below(schema, name)))
  }
  return isEmptyObject(kept) ? emptied : kept
}

/** The set with every declared field that lies on the way to one of its paths. */
export function withNamedFields(set: FieldSet, declared: MergeSchema): FieldSet {
  const schema = declared.kind === 'deduced' ? undefined : declared
  const result: Record<string, FieldSet> = {}
  for (const [element, node] of Object.entries(set)) {
    if (element === '.' || isEmptySet(node)) {
      result[element] = node
      continue
    }
    const field = schema?.kind === 'map' && element.startsWith('f:') ? schema.field(element.slice(2)) : undefined
    const inner = field ?? (schema?.kind === 'map' ? schema.values : schema?.kind === 'list' ? schema.items : undefined) ?? deducedSchema
    const children = withNamedFields(node, inner)
    result[element] = field !== undefined && !('.' in children) ? { '.': emptySet, ...children } : children
  }
  return result
}

/** The value without what {@link removeItems} has emptied. */
export function dropEmptied(value: unknown): unknown {
  if (value === emptied) return undefined
  if (Array.isArray(value)) return value.filter((item) => item !== emptied).map(dropEmptied)
  if (!isObject(value)) return value
  const result: JsonObject = {}
  for (const name of Object.keys(value)) if (value[name] !== emptied) setKey(result, name, dropEmptied(value[name]))
  return result
}
