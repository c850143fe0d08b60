import { isObject, type JsonObject } from '../codec/decode-object.ts'
import { WireWriter } from '../codec/wire.ts'

/**
 * Writes a value as the content of a message. As {@link WireWriter} writes from the end, what has the highest field number comes first.
 * Field numbers are those of gnostic's OpenAPIv2.proto.
 */
type Message = (writer: WireWriter, value: JsonObject) => void

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value])
const object = (value: unknown): JsonObject => (isObject(value) ? value : {})

function text(writer: WireWriter, number: number, value: unknown): void {
  if (typeof value !== 'string' || value === '') return
  writer.text(value)
  writer.tag(number, 2)
}

function flag(writer: WireWriter, number: number, value: unknown): void {
  if (value !== true) return
  writer.varint(1)
  writer.tag(number, 0)
}

function int(writer: WireWriter, number: number, value: unknown): void {
  if (typeof value !== 'number') return
  writer.varint(value)
  writer.tag(number, 0)
}

function double(writer: WireWriter, number: number, value: unknown): void {
  if (typeof value !== 'number') return
  writer.double(value)
  writer.tag(number, 1)
}

function texts(writer: WireWriter, number: number, values: unknown): void {
  for (const value of list(values).toReversed()) text(writer, number, value)
}

function message(writer: WireWriter, number: number, value: unknown, write: Message): void {
  if (!isObject(value)) return
  const from = writer.length
  write(writer, value)
  writer.close(number, from)
}

function messages(writer: WireWriter, number: number, values: readonly unknown[], write: Message): void {
  for (const value of values.toReversed()) message(writer, number, value, write)
}

/** Entries of a map, as messages of a name and a value. */
function named(writer: WireWriter, number: number, map: JsonObject, write: Message): void {
  for (const name of Object.keys(map).toReversed()) {
    const from = writer.length
    message(writer, 2, map[name], write)
    text(writer, 1, name)
    writer.close(number, from)
  }
}

/** A free value: YAML, of which JSON is a part. */
function any(writer: WireWriter, number: number, value: unknown): void {
  if (value === undefined) return
  const from = writer.length
  text(writer, 2, JSON.stringify(value))
  writer.close(number, from)
}

function extensions(writer: WireWriter, number: number, value: JsonObject): void {
  for (const name of Object.keys(value).toReversed()) {
    if (!name.startsWith('x-')) continue
    const from = writer.length
    any(writer, 2, value[name])
    text(writer, 1, name)
    writer.close(number, from)
  }
}

const schema: Message = (writer, value) => {
  extensions(writer, 31, value)
  any(writer, 30, value['example'])
  if (isObject(value['properties'])) message(writer, 25, value['properties'], (inner, properties) => named(inner, 1, properties, schema))
  messages(writer, 24, list(value['allOf']), schema)
  if (value['items'] !== undefined)
    message(writer, 23, { items: list(value['items']) }, (inner, items) => messages(inner, 1, list(items['items']), schema))
  if (value['type'] !== undefined) message(writer, 22, { types: value['type'] }, (inner, types) => texts(inner, 1, types['types']))
  const additional = value['additionalProperties']
  if (typeof additional === 'boolean') message(writer, 21, {}, (inner) => flag(inner, 2, additional))
  else if (isObject(additional)) message(writer, 21, additional, (inner) => message(inner, 1, additional, schema))
  for (const item of list(value['enum']).toReversed()) any(writer, 20, item)
  texts(writer, 19, value['required'])
  int(writer, 18, value['minProperties'])
  int(writer, 17, value['maxProperties'])
  flag(writer, 16, value['uniqueItems'])
  int(writer, 15, value['minItems'])
  int(writer, 14, value['maxItems'])
  text(writer, 13, value['pattern'])
  int(writer, 12, value['minLength'])
  int(writer, 11, value['maxLength'])
  flag(writer, 10, value['exclusiveMinimum'])
  double(writer, 9, value['minimum'])
  flag(writer, 8, value['exclusiveMaximum'])
  double(writer, 7, value['maximum'])
  double(writer, 6, value['multipleOf'])
  any(writer, 5, value['default'])
  text(writer, 4, value['description'])
  text(writer, 3, value['title'])
  text(writer, 2, value['format'])
  text(writer, 1, value['$ref'])
}

const bodyParameter: Message = (writer, value) => {
  message(writer, 5, value['schema'], schema)
  flag(writer, 4, value['required'])
  text(writer, 3, value['in'])
  text(writer, 2, value['name'])
  text(writer, 1, value['description'])
}

/** Query parameters have one field more than path parameters have, before the type. */
const otherParameter =
  (shift: 0 | 1): Message =>
  (writer, value) => {
    flag(writer, 19 + shift, value['uniqueItems'])
    text(writer, 6 + shift, value['format'])
    text(writer, 5 + shift, value['type'])
    text(writer, 4, value['name'])
    text(writer, 3, value['description'])
    text(writer, 2, value['in'])
    flag(writer, 1, value['required'])
  }

const parameter: Message = (writer, value) =>
  message(writer, 1, value, (inner) => {
    if (value['in'] === 'body') message(inner, 1, value, bodyParameter)
    else
      message(inner, 2, value, (other) =>
        value['in'] === 'path' ? message(other, 4, value, otherParameter(0)) : message(other, 3, value, otherParameter(1)),
      )
  })

const response: Message = (writer, value) =>
  message(writer, 1, value, (inner) => {
    message(inner, 2, value['schema'], (item, of) => message(item, 1, of, schema))
    text(inner, 1, value['description'])
  })

const operation: Message = (writer, value) => {
  extensions(writer, 13, value)
  texts(writer, 10, value['schemes'])
  message(writer, 9, value['responses'], (inner, responses) => named(inner, 1, responses, response))
  messages(writer, 8, list(value['parameters']), parameter)
  texts(writer, 7, value['consumes'])
  texts(writer, 6, value['produces'])
  text(writer, 5, value['operationId'])
  text(writer, 3, value['description'])
  texts(writer, 1, value['tags'])
}

const pathItem: Message = (writer, value) => {
  messages(writer, 9, list(value['parameters']), parameter)
  for (const [number, method] of [
    [8, 'patch'],
    [7, 'head'],
    [6, 'options'],
    [5, 'delete'],
    [4, 'post'],
    [3, 'put'],
    [2, 'get'],
  ] as const)
    message(writer, number, value[method], operation)
}

const securityDefinition: Message = (writer, value) =>
  message(writer, 2, value, (inner) => {
    text(inner, 4, value['description'])
    text(inner, 3, value['in'])
    text(inner, 2, value['name'])
    text(inner, 1, value['type'])
  })

/**
 * A Swagger 2.0 document in protobuf, the only form in which client-go asks for `/openapi/v2`: it accepts
 * `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`, and the answer must be called
 * `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`. Takes documents as `openApiV2` makes them, with definitions of custom resources added. Takes tens of milliseconds: cache the bytes.
 */
export function encodeOpenApiV2(document: JsonObject): Uint8Array {
  const writer = new WireWriter()
  message(writer, 13, document['securityDefinitions'], (inner, all) => named(inner, 1, all, securityDefinition))
  messages(writer, 12, list(document['security']), (inner, requirement) =>
    named(inner, 1, Object.fromEntries(Object.entries(requirement).map(([name, scopes]) => [name, { scopes }])), (value, { scopes }) =>
      texts(value, 1, scopes),
    ),
  )
  message(writer, 9, object(document['definitions']), (inner, all) => named(inner, 1, all, schema))
  message(writer, 8, object(document['paths']), (inner, all) => named(inner, 2, all, pathItem))
  message(writer, 2, object(document['info']), (inner, info) => {
    text(inner, 2, info['version'])
    text(inner, 1, info['title'])
  })
  text(writer, 1, document['swagger'])
  return writer.finish()
}
