import { append } from '@k3s/lifecycle'
import { isObject } from '../../json.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { duplicate, invalidValue } from '../../validation/field-error.ts'
import { canonical, canonicalJson } from './canonical-json.ts'
import { additionalOf, itemsOf, own, path, type JsonMap, type Schema } from './schema.ts'

/** Duplicates in lists of type `set` and duplicate keys in lists of type `map`. */
export function validateListTypes(object: unknown, schema: Schema | undefined, at = ''): FieldError[] {
  if (schema === undefined) return []
  if (Array.isArray(object)) return listProblems(object, schema, at)
  if (!isObject(object)) return []
  const additional = additionalOf(schema)
  return Object.entries(object).flatMap(([name, value]) => {
    const property = own(schema.properties, name)
    return [
      ...(additional === undefined ? [] : validateListTypes(value, additional, path.key(at, name))),
      ...(property === undefined ? [] : validateListTypes(value, property, path.child(at, name))),
    ]
  })
}

function listProblems(list: readonly unknown[], schema: Schema, at: string): FieldError[] {
  const errors: FieldError[] = []
  const listType = schema['x-kubernetes-list-type']
  if (listType === 'set') for (const index of repeated(list)) errors.push(duplicate(path.index(at, index), canonical(list[index])))
  else if (listType === 'map') append(errors, mapProblems(list, schema['x-kubernetes-list-map-keys'] ?? [], at))
  const items = itemsOf(schema)
  if (items !== undefined)
    append(
      errors,
      list.flatMap((item, index) => validateListTypes(item, items, path.index(at, index))),
    )
  return errors
}

function mapProblems(list: readonly unknown[], keys: readonly string[], at: string): FieldError[] {
  const other = list.findIndex((item) => item !== null && !isObject(item))
  if (other >= 0) return [invalidValue(path.index(at, other), canonical(list[other]), 'must be an object for an array of list-type map')]
  const keysOf = list.map((item) => keysOfItem(item, keys))
  return repeated(keysOf).map((index) => duplicate(path.index(at, index), canonical(keysOf[index])))
}

/** The keys of an item of a list of type `map`; keys that it does not have are left out. */
export function keysOfItem(item: unknown, keys: readonly string[]): JsonMap {
  return Object.fromEntries(keys.flatMap((key) => (isObject(item) && Object.hasOwn(item, key) ? [[key, item[key]]] : [])))
}

/** Index of the second of equal items, once for each value. */
function repeated(list: readonly unknown[]): number[] {
  if (list.length <= 1) return []
  const seen = new Map<string, number>()
  const indices: number[] = []
  for (const [index, item] of list.entries()) {
    const text = canonicalJson(item)
    const times = seen.get(text) ?? 0
    if (times === 1) indices.push(index)
    seen.set(text, times + 1)
  }
  return indices
}
