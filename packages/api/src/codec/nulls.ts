import type { FieldSchema, TypeSchema, ValueSchema } from '../schema/table.ts'
import { isObject, setKey, type JsonObject } from './decode-object.ts'

/**
 * The object as upstream's encoder writes it: null stands for lists, maps, times and pointers that hold nothing and are not left out. The
 * argument is not changed; what needs no null is shared with it, and it is returned itself when nothing does.
 */
export function withNulls(object: JsonObject, type: TypeSchema): JsonObject {
  let result: JsonObject | undefined
  for (const field of type.nullable) {
    if (object[field.name] === null || !isNil(object[field.name], field)) continue
    result ??= { ...object }
    result[field.name] = null
  }
  for (const { name, value } of type.aboveNullable) {
    const given = object[name]
    const written = nullsIn(given, value)
    if (written === given) continue
    result ??= { ...object }
    result[name] = written
  }
  return result ?? object
}

function isNil(value: unknown, { isPointer }: FieldSchema): boolean {
  if (value === undefined) return true
  if (isPointer) return false
  if (Array.isArray(value)) return value.length === 0
  if (!isObject(value)) return false
  for (const _ in value) return false
  return true
}

function nullsIn(value: unknown, schema: ValueSchema): unknown {
  if (schema.kind === 'ref') return isObject(value) ? withNulls(value, schema.type) : value
  if (schema.kind === 'list' && Array.isArray(value)) {
    const items: unknown[] = value.map((item: unknown) => nullsIn(item, schema.items))
    return items.some((item, index) => item !== value[index]) ? items : value
  }
  if (schema.kind === 'map' && isObject(value)) {
    const result: JsonObject = {}
    let hasChanged = false
    for (const key of Object.keys(value)) {
      const item = nullsIn(value[key], schema.values)
      if (item !== value[key]) hasChanged = true
      setKey(result, key, item)
    }
    return hasChanged ? result : value
  }
  return value
}

/** Takes the nulls of {@link withNulls} out of an object, in place: lists and maps are empty then, and times and pointers absent. */
export function clearNulls(object: JsonObject, type: TypeSchema): void {
  for (const { name, value, isPointer } of type.nullable) {
    if (object[name] !== null) continue
    if (!isPointer && (value.kind === 'list' || value.kind === 'strings')) object[name] = []
    else if (!isPointer && value.kind === 'map') object[name] = {}
    else delete object[name]
  }
  for (const { name, value } of type.aboveNullable) clearIn(object[name], value)
}

function clearIn(value: unknown, schema: ValueSchema): void {
  if (schema.kind === 'ref' && isObject(value)) clearNulls(value, schema.type)
  else if (schema.kind === 'list' && Array.isArray(value)) for (const item of value) clearIn(item, schema.items)
  else if (schema.kind === 'map' && isObject(value)) for (const key of Object.keys(value)) clearIn(value[key], schema.values)
}
