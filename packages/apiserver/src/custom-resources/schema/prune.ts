import { isObject } from '../../json.ts'
import {
  additionalOf,
  asResourceRoot,
  hasAdditional,
  isEmbedded,
  itemsOf,
  metaFields,
  own,
  preservesUnknown,
  type Schema,
} from './schema.ts'

/**
 * Removes fields that the schema does not know from an object, in place, and answers with their paths in order. Metadata of the root and of embedded
 * resources is left alone. `{ spec: { known: 1, other: 2 } }` with a schema that knows `spec.known` becomes `{ spec: { known: 1 } }`: `['spec.other']`.
 */
export function prune(object: unknown, schema: Schema | undefined, options: { readonly isRoot: boolean }): string[] {
  const unknown: string[] = []
  pruneAt(object, options.isRoot ? asResourceRoot(schema) : schema, '', unknown)
  return unknown.toSorted()
}

function pruneAt(value: unknown, schema: Schema | undefined, at: string, unknown: string[]): void {
  if (schema !== undefined && preservesUnknown(schema)) {
    pruneWithin(value, schema, at, unknown)
    return
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) pruneAt(item, itemsOf(schema), `${at}[${index}]`, unknown)
    return
  }
  if (!isObject(value)) return
  for (const name of Object.keys(value)) {
    if (schema !== undefined && isEmbedded(schema) && metaFields.has(name)) continue
    const property = own(schema?.properties, name)
    if (property !== undefined) pruneAt(value[name], property, below(at, name), unknown)
    else if (schema !== undefined && hasAdditional(schema)) pruneAt(value[name], additionalOf(schema), below(at, name), unknown)
    else {
      if (!metaFields.has(name) || at !== '') unknown.push(below(at, name))
      delete value[name]
    }
  }
}

/** Everything is kept here, but what the schema does name is pruned by it. */
function pruneWithin(value: unknown, schema: Schema | undefined, at: string, unknown: string[]): void {
  if (schema === undefined) return
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) pruneWithin(item, itemsOf(schema), `${at}[${index}]`, unknown)
    return
  }
  if (!isObject(value)) return
  for (const name of Object.keys(value)) {
    if (isEmbedded(schema) && metaFields.has(name)) continue
    const property = own(schema.properties, name)
    if (property !== undefined) pruneAt(value[name], property, below(at, name), unknown)
    else if (hasAdditional(schema)) pruneAt(value[name], additionalOf(schema), below(at, name), unknown)
  }
}

const below = (at: string, name: string): string => (at === '' ? name : `${at}.${name}`)

/** Removes nulls, in place, where the schema allows none and has no default to put there. */
export function pruneNulls(value: unknown, schema: Schema | undefined): void {
  if (Array.isArray(value)) {
    const items = itemsOf(schema)
    for (const item of value) pruneNulls(item, items)
    return
  }
  if (!isObject(value)) return
  for (const name of Object.keys(value)) {
    const inner = own(schema?.properties, name) ?? additionalOf(schema)
    if (value[name] === null && inner !== undefined && inner.nullable !== true && inner.default === undefined) delete value[name]
    else pruneNulls(value[name], inner)
  }
}
