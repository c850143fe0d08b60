import { dyn, listOf, mapOf, simple, type CelType } from '@k3s/cel'
import { greatestOf } from '@k3s/lifecycle'
import { additionalOf, isEmbedded, isIntOrString, itemsOf, propertyOf, type Schema } from './schema.ts'

// The largest request, in bytes: what no limit bounds is bounded by it.
const maxRequestBytes = 3 * 1024 * 1024
const sizes = { bool: 4, number: 1, string: 2, duration: 3, date: 12, dateTime: 21 }

/** What expressions know of the values of a schema. */
export interface DeclType {
  readonly type: CelType
  /** Most characters, bytes or items of a value; 0 where that means nothing. */
  readonly maxElements: number
  /** Bytes of the shortest value as JSON. */
  readonly minSize: number
  /** Of lists and maps. */
  readonly element: DeclType | undefined
  /** Of objects, by escaped name. */
  readonly fields: ReadonlyMap<string, DeclType>
}

const noFields: ReadonlyMap<string, DeclType> = new Map()
const scalar = (type: CelType, minSize: number, maxElements = 0): DeclType => ({
  type,
  maxElements,
  minSize,
  element: undefined,
  fields: noFields,
})

/** How expressions see the values of a schema; undefined for what they do not see. Objects that are resources have their kind and names. */
export function declTypeOf(schema: Schema, isRoot: boolean): DeclType | undefined {
  const textLimit = schema.maxLength === undefined ? maxRequestBytes - 2 : Math.max(0, schema.maxLength) * 4
  if (isIntOrString(schema)) return scalar(dyn, 1, textLimit)
  const known = isRoot ? withMetadata(schema) : schema
  switch (known.type) {
    case 'array':
      return listType(known)
    case 'object':
      return objectType(known)
    case 'string':
      return stringType(known, textLimit)
    case 'boolean':
      return scalar(simple('bool'), sizes.bool)
    case 'number':
      return scalar(simple('double'), sizes.number)
    case 'integer':
      return scalar(simple('int'), sizes.number)
    default:
      return undefined
  }
}

function stringType(schema: Schema, textLimit: number): DeclType {
  switch (schema.format) {
    case 'byte':
      return scalar(simple('bytes'), sizes.string, schema.maxLength === undefined ? maxRequestBytes - 2 : Math.max(0, schema.maxLength))
    case 'duration':
      return scalar(simple('duration'), sizes.duration, 32)
    case 'date':
      return scalar(simple('timestamp'), sizes.date, sizes.date)
    case 'date-time':
      return scalar(simple('timestamp'), sizes.dateTime, 32)
    default: {
      const { enum: allowed = [] } = schema
      const longest = Math.max(0, greatestOf(allowed.map((one) => (typeof one === 'string' ? Buffer.byteLength(one) : 0))))
      return scalar(simple('string'), sizes.string, schema.maxLength === undefined && allowed.length > 0 ? longest : textLimit)
    }
  }
}

function listType(schema: Schema): DeclType | undefined {
  const items = itemsOf(schema)
  const element = items === undefined ? undefined : declTypeOf(items, isEmbedded(items))
  if (element === undefined) return undefined
  const maxElements =
    schema.maxItems === undefined ? Math.floor((maxRequestBytes - 2) / (element.minSize + 1)) : Math.max(0, schema.maxItems)
  return { type: listOf(element.type), maxElements, minSize: 2, element, fields: noFields }
}

function objectType(schema: Schema): DeclType | undefined {
  const additional = additionalOf(schema)
  if (additional !== undefined) {
    const element = declTypeOf(additional, isEmbedded(additional))
    if (element === undefined) return undefined
    const maxElements =
      schema.maxProperties === undefined ? Math.floor((maxRequestBytes - 2) / (element.minSize + 6)) : Math.max(0, schema.maxProperties)
    return { type: mapOf(simple('string'), element.type), maxElements, minSize: 2, element, fields: noFields }
  }
  const fields = new Map<string, DeclType>()
  let minSize = 2
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const field = declTypeOf(property, isEmbedded(property))
    if (field === undefined) continue
    const escaped = escapeName(name)
    if (escaped !== undefined) fields.set(escaped, field)
    if (schema.required?.includes(name) === true && property.default === undefined) minSize += name.length + field.minSize + 4
  }
  const type: CelType = { kind: 'object', name: 'object', fields: new Map([...fields].map(([name, field]) => [name, field.type])) }
  return { type, maxElements: 0, minSize, element: undefined, fields }
}

const text: Schema = { type: 'string' }

/** The schema with the fields that every resource has. */
export function withMetadata(schema: Schema): Schema {
  const metadata = propertyOf(schema, 'metadata')
  const isComplete =
    propertyOf(schema, 'kind')?.type === 'string' &&
    propertyOf(schema, 'apiVersion')?.type === 'string' &&
    metadata?.type === 'object' &&
    propertyOf(metadata, 'name')?.type === 'string' &&
    propertyOf(metadata, 'generateName')?.type === 'string'
  if (isComplete) return schema
  const names = { type: 'object', properties: { name: text, generateName: text } }
  return { ...schema, properties: { ...schema.properties, kind: text, apiVersion: text, metadata: names } }
}

const reserved = new Set([
  'true',
  'false',
  'null',
  'in',
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
])

const escapes: Readonly<Record<string, string>> = { __: '__underscores__', '.': '__dot__', '-': '__dash__', '/': '__slash__' }

/** A property's name as expressions write it: `a-b` is `a__dash__b`; undefined for names that cannot be written. */
export function escapeName(name: string): string | undefined {
  if (!/^[a-zA-Z_./-][a-zA-Z0-9_./-]*$/.test(name)) return undefined
  if (reserved.has(name)) return `__${name}__`
  return name.replaceAll(/__|[-./]/g, (one) => escapes[one] ?? one)
}
