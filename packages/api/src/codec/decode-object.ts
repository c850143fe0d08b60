import { canonicalQuantity, isQuantity } from '../quantity.ts'
import { base64Error } from './base64.ts'
import { normalizeMicroTime, normalizeTime } from './time.ts'
import type { FieldSchema, TypeSchema, ValueSchema } from '../schema/table.ts'
import { knownType } from '../schema/table.ts'

/** Why a value cannot be of its type, in Go's words. The codecs make a BadRequest of it. */
export class TypeMismatch extends Error {
  override readonly name = 'TypeMismatch'
}

/** A JSON object. */
export type JsonObject = Record<string, unknown>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Sets a key that anyone may have chosen: `__proto__` is a key like others. */
export function setKey(object: JsonObject, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
  else object[key] = value
}

/** A copy of `object` without `key`. */
export function without<T>(object: Readonly<Record<string, T>>, key: string): Record<string, T> {
  if (!Object.hasOwn(object, key)) return { ...object }
  // Not by `delete`, after which an object is slow.
  const rest: Record<string, T> = {}
  for (const name in object) if (name !== key) setKey(rest, name, object[name])
  return rest
}

/** Quantities below a thousand of their unit are canonical already. */
const shortQuantity = /^(?:0|[1-9]\d{0,2}(?:m|k|M|G|Ki|Mi|Gi)?)$/

/** What a conversion remembers: where it is and what it met. */
interface Context {
  /** Go's error context: the innermost struct and the names of the fields that lead here. */
  struct: string
  readonly stack: string[]
  hasUnknown: boolean
}

/** Values are new objects; input is never changed. Raw parts (rawExtension, json, fieldsV1) are shared with the input. */
export interface Converted {
  readonly object: JsonObject
  /** Some field has no place in the schema, and was dropped. */
  readonly hasUnknown: boolean
}

/**
 * Brings a parsed JSON object into the form that upstream's decoding and encoding would give it: fields in upstream's order, unknown
 * fields and nulls dropped, times and quantities normalised, empty optional fields dropped, zero values of fields that upstream always
 * writes filled in (`status: {}`, `replicas: 0`). Throws {@link TypeMismatch}.
 *
 * Unlike kube-apiserver, which writes null (as `withNulls` does), required lists and maps that are absent become empty ones, and absent times stay absent.
 * A kind's `metadata` always has a `name`, empty when absent.
 */
export function convert(value: unknown, type: TypeSchema): Converted {
  const context: Context = { struct: '', stack: [], hasUnknown: false }
  const object = struct(value, type, context)
  if (type.isKind && isObject(object['metadata']) && object['metadata']['name'] === undefined && hasObjectMeta(type))
    object['metadata'] = { name: '', ...object['metadata'] }
  if (forgetsOwners(value)) Object.assign(object['metadata'] ?? {}, { managedFields: [] })
  return { object, hasUnknown: context.hasUnknown }
}

/** An empty list of owners asks for forgetting them, which no list does not. */
function forgetsOwners(value: unknown): boolean {
  const metadata = isObject(value) ? value['metadata'] : undefined
  const owners = isObject(metadata) ? metadata['managedFields'] : undefined
  return Array.isArray(owners) && owners.length === 0
}

export function hasObjectMeta(type: TypeSchema): boolean {
  const metadata = type.byName.get('metadata')?.value
  return metadata?.kind === 'ref' && metadata.type.name === 'meta/v1.ObjectMeta'
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  const type = typeof value
  return type === 'boolean' ? 'bool' : type
}

function mismatch(value: string, goType: string, context: Context): TypeMismatch {
  const where = context.struct === '' ? 'Go value of type' : `Go struct field ${context.struct}.${context.stack.join('.')} of type`
  return new TypeMismatch(`json: cannot unmarshal ${value} into ${where} ${goType}`)
}

function struct(value: unknown, type: TypeSchema, context: Context): JsonObject {
  if (!isObject(value)) throw mismatch(describe(value), type.goName, context)
  const outer = context.struct
  context.struct = type.goName.slice(type.goName.indexOf('.') + 1)
  const result: JsonObject = {}
  for (const field of fieldsToWrite(value, type, context)) {
    const name = field.name
    const given = value[name]
    if (given === undefined || given === null) {
      fillZero(result, field)
      continue
    }
    for (const part of field.embeddedBy) context.stack.push(part)
    context.stack.push(name)
    const converted = convertValue(given, field.value, field, context)
    context.stack.length -= field.embeddedBy.length + 1
    if (field.omitsZero && !field.isPointer && isZero(converted, field.value)) continue
    result[name] = converted
  }
  context.struct = outer
  return result
}

/** Fields that are given and fields that are always written, in upstream's order: most fields of most structs are neither. */
function fieldsToWrite(value: JsonObject, type: TypeSchema, context: Context): readonly FieldSchema[] {
  const fields: FieldSchema[] = []
  let isSorted = true
  let last = -1
  for (const name in value) {
    if (value[name] === undefined) continue
    const field = type.byName.get(name)
    if (field === undefined) context.hasUnknown = true
    else {
      if (field.index < last) isSorted = false
      last = field.index
      fields.push(field)
    }
  }
  for (const field of type.alwaysWritten) {
    if (value[field.name] !== undefined) continue
    if (field.index < last) isSorted = false
    last = field.index
    fields.push(field)
  }
  return isSorted ? fields : fields.toSorted((a, b) => a.index - b.index)
}

/** Go's `omitempty`: structs are never empty. */
function isZero(value: unknown, schema: ValueSchema): boolean {
  if (value === '' || value === 0 || value === false) return schema.kind !== 'intOrString'
  if (schema.kind === 'list' || schema.kind === 'strings') return Array.isArray(value) && value.length === 0
  if (schema.kind === 'map' && isObject(value)) {
    for (const _ in value) return false
    return true
  }
  return false
}

function fillZero(into: JsonObject, field: FieldSchema): void {
  if (field.isPointer) return
  const zero = zeroOf(field.value, field.omitsZero)
  if (zero !== undefined) into[field.name] = zero
}

function zeroOf(schema: ValueSchema, omits: boolean): unknown {
  if (schema.kind === 'ref') return zeroStruct(schema.type)
  if (schema.kind === 'quantity') return '0'
  if (omits) return undefined
  switch (schema.kind) {
    case 'list':
    case 'strings':
      return []
    case 'map':
      return {}
    case 'string':
      return ''
    case 'bool':
      return false
    case 'int32':
    case 'int64':
    case 'double':
    case 'intOrString':
      return 0
    default:
      return undefined
  }
}

function zeroStruct(type: TypeSchema): JsonObject {
  const result: JsonObject = {}
  for (const field of type.fields) fillZero(result, field)
  return result
}

function convertValue(value: unknown, schema: ValueSchema, field: FieldSchema, context: Context): unknown {
  switch (schema.kind) {
    case 'string':
      if (typeof value !== 'string') throw mismatch(describe(value), leafType(field, schema), context)
      return value
    case 'bool':
      if (typeof value !== 'boolean') throw mismatch(describe(value), leafType(field, schema), context)
      return value
    case 'int32':
    case 'int64':
      if (typeof value !== 'number') throw mismatch(describe(value), leafType(field, schema), context)
      if (!Number.isInteger(value) || (schema.kind === 'int32' && (value | 0) !== value))
        throw mismatch(`number ${String(value)}`, leafType(field, schema), context)
      return value
    case 'double':
      if (typeof value !== 'number') throw mismatch(describe(value), leafType(field, schema), context)
      return value
    case 'ref':
      return struct(value, schema.type, context)
    case 'list': {
      if (!Array.isArray(value)) throw mismatch(describe(value), field.goType, context)
      const items = schema.items
      // A null element is Go's zero value.
      return value.map((item: unknown) => (item === null ? (zeroOf(items, false) ?? null) : convertValue(item, items, field, context)))
    }
    case 'map': {
      if (!isObject(value)) throw mismatch(describe(value), field.goType, context)
      const result: JsonObject = {}
      const values = schema.values
      for (const key of Object.keys(value)) {
        const item = value[key]
        if (item === undefined) continue
        // A null is Go's zero value; that of a time is written as null.
        setKey(result, key, (item === null ? zeroOf(values, false) : convertValue(item, values, field, context)) ?? null)
      }
      return result
    }
    default:
      return convertScalar(value, schema.kind, field, context)
  }
}

/** Go names a scalar inside a list or map by itself, and a field by its declared type. */
function leafType(field: FieldSchema, schema: ValueSchema): string {
  if (field.value === schema) return field.goType
  if (schema.kind === 'bytes') return '[]uint8'
  const { goType } = field
  if (goType.startsWith('[]')) return goType.slice(2).replace(/^\*/, '')
  return schema.kind === 'double' ? 'float64' : schema.kind
}

function convertScalar(
  value: unknown,
  kind: Exclude<ValueSchema['kind'], 'list' | 'map' | 'ref'>,
  field: FieldSchema,
  context: Context,
): unknown {
  switch (kind) {
    case 'time':
    case 'microtime': {
      if (typeof value !== 'string') throw mismatch(describe(value), 'string', context)
      const time = kind === 'time' ? normalizeTime(value) : normalizeMicroTime(value)
      if (time !== undefined) return time
      const layout = kind === 'time' ? '2006-01-02T15:04:05Z07:00' : '2006-01-02T15:04:05.000000Z07:00'
      throw new TypeMismatch(`parsing time ${JSON.stringify(value)} as "${layout}": cannot parse ${JSON.stringify(value)} as "2006"`)
    }
    case 'quantity': {
      const text = typeof value === 'number' ? String(value) : value
      const quantity = typeof text === 'string' ? text.trim() : ''
      if (shortQuantity.test(quantity)) return quantity
      if (!isQuantity(quantity))
        throw new TypeMismatch(`quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`)
      // Upstream keeps other quantities as they were written.
      return field.goType === 'v1.ResourceList' ? canonicalQuantity(quantity) : quantity
    }
    case 'intOrString':
      if (typeof value === 'string') return value
      if (typeof value !== 'number') throw new TypeMismatch(`json: cannot unmarshal ${describe(value)} into Go value of type int32`)
      if ((value | 0) !== value) throw new TypeMismatch(`json: cannot unmarshal number ${String(value)} into Go value of type int32`)
      return value
    case 'bytes': {
      if (typeof value !== 'string') throw mismatch(describe(value), leafType(field, { kind }), context)
      const text = value.includes('\n') || value.includes('\r') ? value.replaceAll(/[\r\n]/g, '') : value
      const at = base64Error(text)
      if (at >= 0) throw new TypeMismatch(`illegal base64 data at input byte ${at}`)
      return text
    }
    case 'strings':
      if (!Array.isArray(value)) throw mismatch(describe(value), field.goType, context)
      for (const item of value) if (typeof item !== 'string') throw mismatch(describe(item), 'string', context)
      return value
    case 'duration':
      if (typeof value !== 'string') throw new TypeMismatch(`json: cannot unmarshal ${describe(value)} into Go value of type string`)
      return value
    case 'schemaOrArray':
      if (Array.isArray(value)) return value.map((item: unknown) => jsonSchema(item))
      return isObject(value) ? jsonSchema(value) : undefined
    case 'schemaOrBool':
      if (typeof value === 'boolean') return value
      if (!isObject(value)) throw new TypeMismatch('boolean or JSON schema expected')
      return jsonSchema(value)
    case 'schemaOrStrings':
      if (isObject(value)) return jsonSchema(value)
      return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
    default:
      return value
  }
}

/** Upstream reads these with a decoder of their own: unknown fields inside are dropped unnoticed. */
function jsonSchema(value: unknown): JsonObject {
  return struct(value, knownType('apiextensions/v1.JSONSchemaProps'), { struct: '', stack: [], hasUnknown: true })
}
