import { isObject, type JsonObject } from '../codec/decode-object.ts'
import { typeSchema, type FieldSchema, type TypeSchema, type ValueSchema } from '../schema/table.ts'

/** What server-side apply needs to know about a value. */
export type MergeSchema =
  | { readonly kind: 'scalar'; readonly type: 'string' | 'numeric' | 'boolean' | 'untyped' }
  | {
      readonly kind: 'list'
      readonly listType: 'atomic' | 'set' | 'map'
      readonly keys: readonly string[]
      /** The default of a key that an item leaves out. */
      readonly keyDefault: (key: string) => unknown
      readonly items: MergeSchema
    }
  | {
      readonly kind: 'map'
      readonly isAtomic: boolean
      /** Of a declared field. */
      readonly field: (name: string) => MergeSchema | undefined
      /** Of keys that are not declared; undefined when there must be none. */
      readonly values: MergeSchema | undefined
    }
  /** Whatever the value is: objects are granular, lists atomic. */
  | { readonly kind: 'deduced' }

/** For objects without a schema. */
export const deducedSchema: MergeSchema = { kind: 'deduced' }
const untyped: MergeSchema = { kind: 'scalar', type: 'untyped' }
// Whatever it is, it is owned as a whole.
const atomicRaw: MergeSchema = { kind: 'map', isAtomic: true, field: () => undefined, values: deducedSchema }
const atomicList: MergeSchema = { kind: 'list', listType: 'atomic', keys: [], keyDefault: () => undefined, items: deducedSchema }

// Remembers what was made from constants.
const known = new WeakMap<TypeSchema, Map<boolean, MergeSchema>>()

/** The view of a built-in type. */
export function mergeSchemaOf(type: TypeSchema, isAtomic: boolean = type.isAtomic): MergeSchema {
  const views = known.get(type) ?? new Map<boolean, MergeSchema>()
  known.set(type, views)
  const view = views.get(isAtomic)
  if (view !== undefined) return view
  const fields = new Map<string, MergeSchema>()
  const made: MergeSchema = {
    kind: 'map',
    isAtomic,
    values: undefined,
    field: (name) => {
      const seen = fields.get(name)
      if (seen !== undefined) return seen
      const field = type.byName.get(name)
      if (field === undefined) return undefined
      const schema = ofValue(field.value, field)
      fields.set(name, schema)
      return schema
    },
  }
  views.set(isAtomic, made)
  return made
}

/** Fields that upstream always writes are, for it, nothing by default. */
function defaultOf(field: FieldSchema | undefined): unknown {
  if (field === undefined || field.default !== undefined || field.isPointer || field.omitsZero) return field?.default
  switch (field.value.kind) {
    case 'string':
      return ''
    case 'int32':
    case 'int64':
      return 0
    case 'bool':
      return false
    default:
      return undefined
  }
}

function ofValue(value: ValueSchema, field: FieldSchema | undefined): MergeSchema {
  switch (value.kind) {
    case 'string':
    case 'bytes':
      return { kind: 'scalar', type: 'string' }
    case 'bool':
      return { kind: 'scalar', type: 'boolean' }
    case 'int32':
    case 'int64':
    case 'double':
      return { kind: 'scalar', type: 'numeric' }
    case 'ref':
      return mergeSchemaOf(value.type, field?.mapType === undefined ? value.type.isAtomic : field.mapType === 'atomic')
    case 'map': {
      const values = ofValue(value.values, undefined)
      return { kind: 'map', isAtomic: field?.mapType === 'atomic', field: () => undefined, values }
    }
    case 'list': {
      const { items } = value
      return {
        kind: 'list',
        listType: field?.listType ?? 'atomic',
        keys: field?.mapKeys ?? [],
        keyDefault: (key) => (items.kind === 'ref' ? defaultOf(items.type.byName.get(key)) : undefined),
        items: ofValue(items, undefined),
      }
    }
    case 'strings':
      return atomicList
    case 'rawExtension':
      return atomicRaw
    case 'fieldsV1':
    case 'json':
    case 'schemaOrArray':
    case 'schemaOrBool':
    case 'schemaOrStrings':
      return deducedSchema
    default:
      return untyped
  }
}

/**
 * The view of a custom resource by the OpenAPI schema of its version (as a CustomResourceDefinition has it, with
 * `x-kubernetes-list-type` and its like). Without `schema` everything is deduced.
 */
export function mergeSchemaOfCustom(schema: unknown): MergeSchema {
  const root = isObject(schema) ? ofJsonSchema(schema) : deducedSchema
  const meta = typeSchema('meta/v1.ObjectMeta')
  if (root.kind !== 'map' || meta === undefined) return root
  const own: Readonly<Record<string, MergeSchema>> = { apiVersion: untyped, kind: untyped, metadata: mergeSchemaOf(meta) }
  return { ...root, field: (name) => (Object.hasOwn(own, name) ? own[name] : root.field(name)) }
}

function ofJsonSchema(schema: JsonObject): MergeSchema {
  if (schema['x-kubernetes-int-or-string'] === true) return untyped
  const { type } = schema
  if (type === 'array') {
    const items = isObject(schema['items']) ? schema['items'] : {}
    const listType = schema['x-kubernetes-list-type']
    const keys = schema['x-kubernetes-list-map-keys']
    const properties = isObject(items['properties']) ? items['properties'] : {}
    return {
      kind: 'list',
      listType: listType === 'set' || listType === 'map' ? listType : 'atomic',
      keys: Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : [],
      keyDefault: (key) => {
        const property = properties[key]
        return isObject(property) ? property['default'] : undefined
      },
      items: ofJsonSchema(items),
    }
  }
  if (type === 'string') return { kind: 'scalar', type: 'string' }
  if (type === 'boolean') return { kind: 'scalar', type: 'boolean' }
  if (type === 'integer' || type === 'number') return { kind: 'scalar', type: 'numeric' }
  const properties = isObject(schema['properties']) ? schema['properties'] : undefined
  const additional = schema['additionalProperties']
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true || (properties === undefined && !isObject(additional))
  if (type !== 'object' && properties === undefined) return deducedSchema
  const isAtomic = schema['x-kubernetes-map-type'] === 'atomic'
  if (isOpen && properties === undefined && !isAtomic) return deducedSchema
  const fields = new Map<string, MergeSchema>()
  for (const [name, property] of Object.entries(properties ?? {})) if (isObject(property)) fields.set(name, ofJsonSchema(property))
  return {
    kind: 'map',
    isAtomic,
    field: (name) => fields.get(name),
    values: isObject(additional) ? ofJsonSchema(additional) : isOpen ? deducedSchema : undefined,
  }
}

/** The schema that applies to `value`: never `deduced`. A value of another shape than declared is taken as it is. */
export function resolveSchema(schema: MergeSchema, value: unknown): Exclude<MergeSchema, { readonly kind: 'deduced' }> {
  // A symbol stands for a container that has lost everything.
  const isNothing = value === null || value === undefined || typeof value === 'symbol'
  if (schema.kind === 'map' && (isObject(value) || isNothing)) return schema
  if (schema.kind === 'list' && (Array.isArray(value) || isNothing)) return schema
  if (schema.kind === 'scalar' && (typeof value !== 'object' || value === null)) return schema
  if (Array.isArray(value)) return { kind: 'list', listType: 'atomic', keys: [], keyDefault: () => undefined, items: deducedSchema }
  if (isObject(value)) return { kind: 'map', isAtomic: false, field: () => undefined, values: deducedSchema }
  return { kind: 'scalar', type: 'untyped' }
}
