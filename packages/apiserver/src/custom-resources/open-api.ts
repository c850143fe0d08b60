import { openApiName, type CustomOpenApi, type Descriptions, type JsonObject } from '@k3s/api'
import type { ServedResource } from '../registry/served-resource.ts'
import { isEmbedded, isIntOrString, itemsOf, preservesUnknown, type Schema } from './schema/schema.ts'
import { unstructuralReason, validateStructural } from './schema/structural.ts'

/** What is published about a version of a custom resource. */
export interface PublishedSchema {
  /** Undefined when everything is kept. */
  readonly schema: Schema | undefined
  /** Field paths without the leading dot. */
  readonly selectableFields: readonly string[]
}

type Dialect = 'v2' | 'v3'

/** The OpenAPI form of a custom resource, as clients check and explain objects by it. */
export function customOpenApi(
  served: ServedResource,
  published: PublishedSchema,
  dialect: Dialect,
  descriptions: Descriptions = {},
): CustomOpenApi {
  const { group, version, kind } = served.type
  const name = `${group.split('.').toReversed().join('.')}.${version}.${kind}`
  const texts = descriptions['core/v1.Pod'] ?? {}
  const context: Context = { dialect, texts }
  const { schema } = published
  const isOpen = schema === undefined || unstructuralReason(schema) !== undefined || validateStructural(schema, '').length > 0
  const isBare = isOpen || (dialect === 'v2' && preservesUnknown(schema))
  const body: JsonObject = isBare ? { type: 'object' } : withMeta(convert(schema, context), context)
  body['x-kubernetes-group-version-kind'] = [{ group, kind, version }]
  if (published.selectableFields.length > 0)
    body['x-kubernetes-selectable-fields'] = published.selectableFields.map((fieldPath) => ({ fieldPath }))
  return { resource: served.info, name, schema: body }
}

interface Context {
  readonly dialect: Dialect
  /** Descriptions of `apiVersion`, `kind` and `metadata`. */
  readonly texts: Readonly<Record<string, string>>
}

/** Fields that every object has. Required ones are named where the object stands in another. */
function withMeta(schema: JsonObject, { dialect, texts }: Context): JsonObject {
  const ref = { $ref: `${dialect === 'v3' ? '#/components/schemas/' : '#/definitions/'}${openApiName('meta/v1.ObjectMeta')}` }
  const described = (name: string): JsonObject => (texts[name] === undefined ? {} : { description: texts[name] })
  const present = schema['properties']
  return {
    ...schema,
    properties: {
      ...(typeof present === 'object' ? present : {}),
      apiVersion: { ...described('apiVersion'), type: 'string' },
      kind: { ...described('kind'), type: 'string' },
      metadata: dialect === 'v3' ? { ...described('metadata'), allOf: [ref] } : { ...described('metadata'), ...ref },
    },
  }
}

/** The schema as one dialect has it. Version 2 knows no alternatives and no nulls, and clients that read it cannot cope with open objects that have fields. */
function convert(schema: Schema, context: Context): JsonObject {
  const isV2 = context.dialect === 'v2'
  const { nullable, properties, items, additionalProperties, ...rest } = schema
  const result: JsonObject = { ...rest }
  const isNullable = nullable === true
  const isCut = isV2 && (isNullable || preservesUnknown(schema))
  if (isV2) for (const name of ['allOf', 'anyOf', 'oneOf', 'not']) delete result[name]
  else {
    if (isNullable) result['nullable'] = true
    if (isIntOrString(schema)) unfold(result, schema)
  }
  if (properties !== undefined && !isCut)
    result['properties'] = Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, convert(property, context)]))
  const inner = itemsOf({ items })
  if (inner !== undefined && !isCut) result['items'] = convert(inner, context)
  if (additionalProperties !== undefined)
    result['additionalProperties'] =
      typeof additionalProperties === 'object' ? convert(additionalProperties, context) : additionalProperties
  if (isV2) {
    const isOpenObject = preservesUnknown(schema) && schema.type === 'object'
    if (isNullable || isOpenObject || (schema.type === 'array' && result['items'] === undefined)) delete result['type']
    const required = requiredInV2(schema)
    if (required.length === 0) delete result['required']
    else result['required'] = required
  }
  if (!isEmbedded(schema) || (isV2 && preservesUnknown(schema))) return result
  const required = [...new Set([...(schema.required ?? []), 'kind', 'apiVersion'])]
  return { ...withMeta(result, context), required }
}

function unfold(result: JsonObject, schema: Schema): void {
  const either = [{ type: 'integer' }, { type: 'string' }]
  const isUnfolded = (parts: readonly Schema[] | undefined): boolean =>
    parts?.length === 2 && parts[0]?.type === 'integer' && parts[1]?.type === 'string'
  if (isUnfolded(schema.anyOf) || isUnfolded(schema.allOf?.[0]?.anyOf)) return
  if (schema.anyOf === undefined) result['anyOf'] = either
  else result['allOf'] = [{ anyOf: either }, ...(schema.allOf ?? [])]
}

function requiredInV2(schema: Schema): readonly string[] {
  const { additionalProperties, required = [] } = schema
  if (typeof additionalProperties === 'object' && additionalProperties.nullable === true) return []
  return required.filter((name) => schema.properties?.[name]?.nullable !== true)
}
