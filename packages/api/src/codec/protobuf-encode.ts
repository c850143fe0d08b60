import { knownType, type FieldSchema, type ScalarKind, type TypeSchema, type ValueSchema } from '../schema/table.ts'
import { isObject, type JsonObject } from './decode-object.ts'
import { parseDuration } from './duration.ts'
import { magic, schemaProps } from './protobuf-decode.ts'
import { parseTime } from './time.ts'
import { WireWriter } from './wire.ts'

/**
 * Writes an object in protobuf with its envelope, byte for byte as upstream does. Fields without a place in the schema are left out.
 * The object is not checked: values must have the types of the schema, as those from a codec have.
 */
export function encodeProtobuf(object: JsonObject, type: TypeSchema): Uint8Array {
  const { apiVersion, kind } = object
  const writer = new WireWriter()
  // contentType and contentEncoding are empty.
  writer.varint(0)
  writer.tag(4, 2)
  writer.varint(0)
  writer.tag(3, 2)
  const from = writer.length
  writeMessage(writer, object, type)
  writer.close(2, from)
  const meta = writer.length
  writer.text(typeof kind === 'string' ? kind : '')
  writer.tag(2, 2)
  writer.text(typeof apiVersion === 'string' ? apiVersion : '')
  writer.tag(1, 2)
  writer.close(1, meta)
  writer.raw(magic)
  return writer.finish()
}

/**
 * Writes one message without envelope: an item of a list, or a `meta/v1.WatchEvent` of a protobuf watch (to be preceded by its length in
 * four bytes, big end first). A raw extension may be given as bytes, such as those of {@link encodeProtobuf}.
 */
export function encodeProtobufMessage(object: JsonObject, type: TypeSchema): Uint8Array {
  const writer = new WireWriter()
  writeMessage(writer, object, type)
  return writer.finish()
}

function writeMessage(writer: WireWriter, object: JsonObject, type: TypeSchema): void {
  for (let index = type.protoFields.length - 1; index >= 0; index--) {
    const field = type.protoFields[index]
    if (field === undefined) continue
    if (!('value' in field)) {
      const from = writer.length
      writeMessage(writer, object, field.type)
      writer.close(field.number, from)
      continue
    }
    writeField(writer, field, object[field.name])
  }
}

function writeField(writer: WireWriter, field: FieldSchema, value: unknown): void {
  const { number } = field
  const schema = field.value
  if (schema.kind === 'list') {
    if (!Array.isArray(value)) return
    for (let index = value.length - 1; index >= 0; index--) writeValue(writer, number, schema.items, value[index])
  } else if (schema.kind === 'map') {
    if (!isObject(value)) return
    for (const key of Object.keys(value).toSorted(byBytes).toReversed()) {
      const from = writer.length
      writeValue(writer, 2, schema.values, value[key])
      writer.text(key)
      writer.tag(1, 2)
      writer.close(number, from)
    }
  } else {
    const isAbsent = value === undefined || value === null
    if (isAbsent && (field.isPointer || schema.kind === 'bytes' || schema.kind === 'strings')) return
    writeValue(writer, number, schema, value)
  }
}

/** Go sorts map keys by their UTF-8 bytes. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0)

function writeValue(writer: WireWriter, number: number, schema: ValueSchema, value: unknown): void {
  switch (schema.kind) {
    case 'string':
      writer.text(textOf(value))
      writer.tag(number, 2)
      return
    case 'bool':
      writer.varint(value === true ? 1 : 0)
      writer.tag(number, 0)
      return
    case 'int32':
    case 'int64':
      writer.varint(numberOf(value))
      writer.tag(number, 0)
      return
    case 'double':
      writer.double(numberOf(value))
      writer.tag(number, 1)
      return
    case 'bytes': {
      const bytes = Buffer.from(textOf(value), 'base64')
      writer.raw(bytes)
      writer.varint(bytes.length)
      writer.tag(number, 2)
      return
    }
    case 'list':
    case 'map':
      throw new RangeError('proto: a list of lists has no wire form')
    default: {
      const from = writer.length
      if (schema.kind === 'ref') writeMessage(writer, isObject(value) ? value : {}, schema.type)
      else writeScalarMessage(writer, schema.kind, value)
      writer.close(number, from)
    }
  }
}

function writeInt(writer: WireWriter, number: number, value: number): void {
  writer.varint(value)
  writer.tag(number, 0)
}

function writeText(writer: WireWriter, number: number, value: string): void {
  writer.text(value)
  writer.tag(number, 2)
}

function writeSchema(writer: WireWriter, number: number, value: unknown): void {
  const from = writer.length
  writeMessage(writer, isObject(value) ? value : {}, knownType(schemaProps))
  writer.close(number, from)
}

function writeScalarMessage(writer: WireWriter, kind: ScalarKind, value: unknown): void {
  switch (kind) {
    case 'time':
    case 'microtime': {
      const time = typeof value === 'string' ? parseTime(value) : undefined
      if (time === undefined) return
      writeInt(writer, 2, kind === 'time' ? 0 : time.nanos)
      writeInt(writer, 1, time.seconds)
      return
    }
    case 'duration':
      writeInt(writer, 1, typeof value === 'string' ? (parseDuration(value) ?? 0) : 0)
      return
    case 'quantity':
      writeText(writer, 1, typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '0')
      return
    case 'intOrString':
      writeText(writer, 3, textOf(value))
      writeInt(writer, 2, numberOf(value))
      writeInt(writer, 1, typeof value === 'string' ? 1 : 0)
      return
    case 'rawExtension':
    case 'fieldsV1':
    case 'json':
      if (value instanceof Uint8Array) {
        writer.raw(value)
        writer.varint(value.length)
        writer.tag(1, 2)
      } else if (value !== undefined && value !== null) writeText(writer, 1, JSON.stringify(value))
      return
    case 'strings':
      if (Array.isArray(value)) for (let index = value.length - 1; index >= 0; index--) writeText(writer, 1, textOf(value[index]))
      return
    case 'schemaOrBool':
      if (isObject(value)) writeSchema(writer, 2, value)
      writeInt(writer, 1, value === true || isObject(value) ? 1 : 0)
      return
    case 'schemaOrArray':
      if (Array.isArray(value)) for (let index = value.length - 1; index >= 0; index--) writeSchema(writer, 2, value[index])
      else if (isObject(value)) writeSchema(writer, 1, value)
      return
    case 'schemaOrStrings':
      if (Array.isArray(value)) for (let index = value.length - 1; index >= 0; index--) writeText(writer, 2, textOf(value[index]))
      else if (isObject(value)) writeSchema(writer, 1, value)
  }
}
