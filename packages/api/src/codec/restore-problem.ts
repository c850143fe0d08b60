import type { FieldSchema, TypeSchema, ValueSchema } from '../schema/table.ts'
import { base64Error } from './base64.ts'
import { isObject, type JsonObject } from './decode-object.ts'

const goKind = (value: unknown): string => {
  if (Array.isArray(value)) return 'slice'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  return typeof value === 'string' ? 'string' : 'map'
}

/**
 * Why an object that a strategic merge patch made does not fit its type, in the words of upstream's converter, which are others than those of its JSON
 * decoder; undefined when it fits, or when a type with a reader of its own (a quantity, a time) refuses it.
 */
export function restoreProblem(object: JsonObject, type: TypeSchema): string | undefined {
  for (const field of type.fields) {
    const value = object[field.name]
    const problem = value === undefined || value === null ? undefined : problemAt(value, field.value, field)
    if (problem !== undefined) return problem
  }
  return undefined
}

function problemAt(value: unknown, schema: ValueSchema, field: FieldSchema): string | undefined {
  const found = goKind(value)
  switch (schema.kind) {
    case 'ref':
      return isObject(value) ? restoreProblem(value, schema.type) : `cannot restore struct from: ${found}`
    case 'list':
      return Array.isArray(value) ? firstOf(value, schema.items, field) : `cannot restore slice from ${found}`
    case 'map':
      return isObject(value) ? firstOf(Object.values(value), schema.values, field) : `cannot restore map from ${found}`
    case 'strings':
      return Array.isArray(value) ? firstOf(value, { kind: 'string' }, field) : `cannot restore slice from ${found}`
    case 'bytes': {
      if (typeof value !== 'string') return `cannot restore slice from ${found}`
      const at = base64Error(value.replaceAll(/[\r\n]/g, ''))
      return at < 0 ? undefined : `error decoding from json: illegal base64 data at input byte ${at}`
    }
    case 'string':
      if (found === 'string') return undefined
      return found === 'int64' ? `cannot convert int64 to ${goNameOf(schema, field)}` : 'unrecognized type: string'
    case 'bool':
      return found === 'bool' ? undefined : 'unrecognized type: bool'
    case 'int32':
    case 'int64':
    case 'double':
      if (found === 'int64' || (found === 'float64' && schema.kind === 'double')) return undefined
      return found === 'float64' ? `cannot convert float64 to ${goNameOf(schema, field)}` : `unrecognized type: ${goKindOf(schema)}`
    default:
      return undefined
  }
}

const goKindOf = ({ kind }: ValueSchema): string => (kind === 'double' ? 'float64' : kind)

/** What is inside of lists and maps has the name of its kind, but for lists of named types. */
function goNameOf(schema: ValueSchema, { value, goType }: FieldSchema): string {
  if (schema === value) return goType
  return goType.startsWith('[]') ? goType.slice(2).replace(/^\*/, '') : goKindOf(schema)
}

function firstOf(values: readonly unknown[], schema: ValueSchema, field: FieldSchema): string | undefined {
  for (const value of values) {
    const problem = value === null ? undefined : problemAt(value, schema, field)
    if (problem !== undefined) return problem
  }
  return undefined
}
