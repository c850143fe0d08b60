import type { JsonObject } from '../codec/decode-object.ts'
import { type FieldSchema, type GroupVersionKind, type ScalarKind, type TypeSchema, type ValueSchema } from '../schema/table.ts'
import { groupInfos } from '../schema/resources.ts'

/** Descriptions of types: type (`core/v1.Pod`) → field → text; the type's own is under the empty name. */
export type Descriptions = Readonly<Record<string, Readonly<Record<string, string>>>>

export type Dialect = 'v2' | 'v3'

/** Where upstream publishes the types of a module that is not of k8s.io/api. */
const prefixes: Readonly<Record<string, string>> = {
  'meta/v1': 'io.k8s.apimachinery.pkg.apis.meta.v1',
  'apiextensions/v1': 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
  'apiregistration/v1': 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1',
}

/** Scalars that have a published name of their own. */
const scalarNames: Partial<Record<ScalarKind, string>> = {
  time: 'io.k8s.apimachinery.pkg.apis.meta.v1.Time',
  microtime: 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime',
  duration: 'io.k8s.apimachinery.pkg.apis.meta.v1.Duration',
  quantity: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  intOrString: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
  rawExtension: 'io.k8s.apimachinery.pkg.runtime.RawExtension',
  fieldsV1: 'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1',
  json: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON',
  schemaOrArray: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray',
  schemaOrBool: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool',
  schemaOrStrings: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray',
}

function scalarSchema(name: string, dialect: Dialect): JsonObject {
  switch (name.slice(name.lastIndexOf('.') + 1)) {
    case 'Time':
    case 'MicroTime':
      return { type: 'string', format: 'date-time' }
    case 'Duration':
      return { type: 'string' }
    case 'Quantity':
      return dialect === 'v3' ? { oneOf: [{ type: 'string' }, { type: 'number' }] } : { type: 'string' }
    case 'IntOrString':
      return { ...(dialect === 'v3' ? { oneOf: [{ type: 'integer' }, { type: 'string' }] } : { type: 'string' }), format: 'int-or-string' }
    case 'RawExtension':
    case 'FieldsV1':
      return { type: 'object' }
    default:
      return {}
  }
}

/** `io.k8s.api.core.v1.Pod` for `core/v1.Pod`. */
export function openApiName(typeName: string): string {
  const dot = typeName.indexOf('.')
  const module = typeName.slice(0, dot)
  return `${prefixes[module] ?? `io.k8s.api.${module.replace('/', '.')}`}${typeName.slice(dot)}`
}

/** Collects the schemas of types and of all that they refer to, under upstream's names. */
export class SchemaCollector {
  readonly #dialect: Dialect
  readonly #descriptions: Descriptions
  readonly #schemas = new Map<string, JsonObject>()

  constructor(dialect: Dialect, descriptions: Descriptions | undefined) {
    this.#dialect = dialect
    this.#descriptions = descriptions ?? {}
  }

  /** Adds a type (no-op for one that is there) and answers with the reference to it. */
  ref(type: TypeSchema): JsonObject {
    const name = openApiName(type.name)
    if (!this.#schemas.has(name)) {
      // First, so that a type that contains itself ends.
      this.#schemas.set(name, {})
      this.#schemas.set(name, this.#struct(type))
    }
    return this.#refTo(name)
  }

  /** By name, sorted. */
  schemas(): Record<string, JsonObject> {
    return Object.fromEntries([...this.#schemas].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  #refTo(name: string): JsonObject {
    return { $ref: `${this.#dialect === 'v3' ? '#/components/schemas/' : '#/definitions/'}${name}` }
  }

  #struct(type: TypeSchema): JsonObject {
    const texts = this.#descriptions[type.name] ?? {}
    const properties: JsonObject = {}
    for (const field of type.fields.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
      properties[field.name] = this.#field(field, texts[field.name])
    const required = type.fields.filter((field) => field.isRequired).map((field) => field.name)
    const kinds = publishedKinds(type)
    return {
      ...(texts[''] === undefined ? {} : { description: texts[''] }),
      type: 'object',
      ...(required.length === 0 ? {} : { required }),
      ...(type.fields.length === 0 ? {} : { properties }),
      ...(kinds.length === 0 ? {} : { 'x-kubernetes-group-version-kind': kinds }),
      ...(type.isAtomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    }
  }

  #field(field: FieldSchema, description: string | undefined): JsonObject {
    const schema = this.#value(field.value)
    const extra: JsonObject = {}
    if (description !== undefined) extra['description'] = description
    if (this.#dialect === 'v3') {
      const standard = field.default ?? zeroDefault(field.value, field)
      if (standard !== undefined) extra['default'] = standard
      if (field.enum !== undefined && field.value.kind === 'string') extra['enum'] = field.enum
    }
    if (field.format !== undefined) extra['format'] = field.format
    if (field.listType !== undefined) extra['x-kubernetes-list-type'] = field.listType
    if (field.mapKeys.length > 0) extra['x-kubernetes-list-map-keys'] = field.mapKeys
    if (field.patchStrategy.length > 0) extra['x-kubernetes-patch-strategy'] = field.patchStrategy.join(',')
    if (field.patchMergeKey !== undefined) extra['x-kubernetes-patch-merge-key'] = field.patchMergeKey
    if (field.mapType !== undefined) extra['x-kubernetes-map-type'] = field.mapType
    if (this.#dialect === 'v3' && field.enum !== undefined && isObjectSchema(schema['items']))
      schema['items'] = { ...schema['items'], enum: field.enum }
    return withExtra(schema, extra, this.#dialect)
  }

  #value(value: ValueSchema): JsonObject {
    switch (value.kind) {
      case 'ref':
        return this.ref(value.type)
      case 'list':
        return { type: 'array', items: this.#element(value.items) }
      case 'map':
        return { type: 'object', additionalProperties: this.#element(value.values) }
      case 'strings':
        return { type: 'array', items: this.#element({ kind: 'string' }) }
      case 'string':
        return { type: 'string' }
      case 'bytes':
        return { type: 'string', format: 'byte' }
      case 'bool':
        return { type: 'boolean' }
      case 'int32':
      case 'int64':
        return { type: 'integer', format: value.kind }
      case 'double':
        return { type: 'number', format: 'double' }
      default: {
        const name = scalarNames[value.kind]
        if (name === undefined) return {}
        if (!this.#schemas.has(name)) this.#schemas.set(name, scalarSchema(name, this.#dialect))
        return this.#refTo(name)
      }
    }
  }

  /** Of a list or a map. */
  #element(value: ValueSchema): JsonObject {
    const standard = this.#dialect === 'v2' ? undefined : value.kind === 'ref' ? {} : zeroOfScalar(value)
    return withExtra(this.#value(value), standard === undefined ? {} : { default: standard }, this.#dialect)
  }
}

function isObjectSchema(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** OpenAPI 3.0 allows nothing beside `$ref`. */
function withExtra(schema: JsonObject, extra: JsonObject, dialect: Dialect): JsonObject {
  if (dialect === 'v3' && '$ref' in schema && Object.keys(extra).length > 0) return { allOf: [schema], ...extra }
  return { ...schema, ...extra }
}

function zeroOfScalar(value: ValueSchema): unknown {
  if (value.kind === 'string') return ''
  if (value.kind === 'bool') return false
  return value.kind === 'int32' || value.kind === 'int64' || value.kind === 'double' ? 0 : undefined
}

/** Upstream publishes the zero values that its encoder always writes as defaults. */
function zeroDefault(value: ValueSchema, field: FieldSchema): unknown {
  if (field.isPointer) return undefined
  if (value.kind === 'ref') return {}
  return field.omitsZero ? undefined : zeroOfScalar(value)
}

/** DeleteOptions and WatchEvent are kinds of every group version. */
function publishedKinds(type: TypeSchema): readonly GroupVersionKind[] {
  const [, kind] = type.name.split('.')
  if (kind === undefined || (type.name !== 'meta/v1.DeleteOptions' && type.name !== 'meta/v1.WatchEvent')) return type.kinds
  return groupInfos().flatMap(({ group, versions }) => versions.map((version) => ({ group, kind, version })))
}
