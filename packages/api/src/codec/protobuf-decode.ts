import {
  knownType,
  schemaOf,
  type FieldSchema,
  type InlineSchema,
  type ScalarKind,
  type TypeSchema,
  type ValueSchema,
} from '../schema/table.ts'
import { badRequest } from '../status.ts'
import { convert, isObject, setKey, TypeMismatch, type JsonObject } from './decode-object.ts'
import { formatDuration } from './duration.ts'
import { cannotBeHandled, type SchemaPicker, type TypeHead } from './json.ts'
import { formatMicroTime, formatTime } from './time.ts'
import { WireReader } from './wire.ts'

/** What the unions of JSON schemas hold. */
export const schemaProps = 'apiextensions/v1.JSONSchemaProps'

/** First bytes of every Kubernetes protobuf body. */
export const magic: Buffer = Buffer.from('k8s\0', 'latin1')

/** True when `bytes` start as a Kubernetes protobuf body does. */
export function isProtobuf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && magic.every((byte, index) => bytes[index] === byte)
}

/** What a body says about itself, without reading the object. */
export interface ProtobufEnvelope extends TypeHead {
  /** The object, in protobuf. Shares memory with the input. */
  readonly raw: Uint8Array
}

/** Opens the envelope (`runtime.Unknown`). Throws BadRequest when it is none. */
export function readEnvelope(bytes: Uint8Array): ProtobufEnvelope {
  if (!isProtobuf(bytes)) throw badRequest('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]')
  try {
    return envelope(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (error) {
    throw asBadRequest(error, { apiVersion: '', kind: '' })
  }
}

/**
 * Reads a protobuf body into the object that JSON would have given, in upstream's canonical form. `pick` is asked with the envelope's
 * type and must answer with a schema: custom resources have no protobuf. Unknown field numbers are passed over, as upstream does.
 * Throws BadRequest. 64-bit integers are exact within ±2^53.
 */
export function decodeProtobuf(bytes: Uint8Array, pick: SchemaPicker): JsonObject {
  const { apiVersion, kind, raw } = readEnvelope(bytes)
  const head = { apiVersion, kind }
  const type = pick(head)
  if (type === undefined || type.protoFields.length === 0)
    throw badRequest(`no kind "${kind}" is registered for version "${apiVersion}" with a protobuf form`)
  try {
    const object = decodeMessage(raw, type)
    return convert({ ...(kind === '' ? {} : { kind }), ...(apiVersion === '' ? {} : { apiVersion }), ...object }, type).object
  } catch (error) {
    throw asBadRequest(error, head)
  }
}

/** Reads one message without envelope. The result is not in canonical form, see {@link convert}. */
export function decodeMessage(bytes: Uint8Array, type: TypeSchema): JsonObject {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return readMessage(new WireReader(buffer, 0, buffer.length), type)
}

function asBadRequest(error: unknown, head: TypeHead): unknown {
  const isTheirs = error instanceof RangeError || error instanceof TypeMismatch || error instanceof SyntaxError
  if (!isTheirs) return error
  return head.kind === '' ? badRequest(error.message) : cannotBeHandled(head, error.message)
}

function envelope(buffer: Buffer): ProtobufEnvelope {
  const reader = new WireReader(buffer, 4, buffer.length)
  let apiVersion = ''
  let kind = ''
  let raw: Uint8Array = Buffer.alloc(0)
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 10) {
      const meta = reader.message()
      while (meta.at < meta.end) {
        const inner = meta.varint()
        if (inner === 10) apiVersion = meta.text()
        else if (inner === 18) kind = meta.text()
        else meta.skip(inner & 7)
      }
    } else if (tag === 18) raw = reader.rawBytes()
    else reader.skip(tag & 7)
  }
  return { apiVersion, kind, raw }
}

function fieldOf(type: TypeSchema, number: number): FieldSchema | InlineSchema | undefined {
  const fields = type.protoFields
  let low = 0
  let high = fields.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((fields[middle]?.number ?? 0) < number) low = middle + 1
    else high = middle
  }
  return fields[low]?.number === number ? fields[low] : undefined
}

function readMessage(reader: WireReader, type: TypeSchema): JsonObject {
  const object: JsonObject = {}
  while (reader.at < reader.end) {
    const tag = reader.varint()
    const wireType = tag & 7
    const field = fieldOf(type, Math.floor(tag / 8))
    if (field === undefined) reader.skip(wireType)
    else if (!('value' in field)) Object.assign(object, readMessage(reader.message(), field.type))
    else if (field.value.kind === 'list') {
      const known = object[field.name]
      const list: unknown[] = Array.isArray(known) ? known : []
      object[field.name] = list
      const items = field.value.items
      if (wireType === 2 && wireTypeOf(items) !== 2) {
        const packed = reader.message()
        while (packed.at < packed.end) list.push(readValue(packed, items))
      } else list.push(readValue(reader, items))
    } else if (field.value.kind === 'map') {
      const known = object[field.name]
      const map: JsonObject = isObject(known) ? known : {}
      object[field.name] = map
      readEntry(reader.message(), field.value.values, map)
    } else object[field.name] = readValue(reader, field.value)
  }
  return object
}

function readEntry(reader: WireReader, values: ValueSchema, into: JsonObject): void {
  let key = ''
  let value: unknown = values.kind === 'bytes' || values.kind === 'string' ? '' : undefined
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 10) key = reader.text()
    else if (tag >> 3 === 2) value = readValue(reader, values)
    else reader.skip(tag & 7)
  }
  setKey(into, key, value)
}

/** Walks the fields of a small message of fixed shape. */
function eachField(reader: WireReader, visit: (number: number, at: WireReader) => boolean): void {
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (!visit(tag >> 3, reader)) reader.skip(tag & 7)
  }
}

function wireTypeOf(value: ValueSchema): 0 | 1 | 2 {
  if (value.kind === 'bool' || value.kind === 'int32' || value.kind === 'int64') return 0
  return value.kind === 'double' ? 1 : 2
}

function readValue(reader: WireReader, schema: ValueSchema): unknown {
  switch (schema.kind) {
    case 'string':
      return reader.text()
    case 'bool':
      return reader.varint() !== 0
    case 'int32':
    case 'int64':
      return reader.int64()
    case 'double':
      return reader.double()
    case 'bytes':
      return reader.rawBytes().toString('base64')
    case 'ref':
      return readMessage(reader.message(), schema.type)
    case 'list':
    case 'map':
      throw new RangeError('proto: a list of lists has no wire form')
    default:
      return readScalarMessage(reader.message(), schema.kind)
  }
}

function parseRaw(raw: Buffer): unknown {
  if (raw.length === 0) return null
  if (!isProtobuf(raw)) return JSON.parse(raw.toString())
  return decodeProtobuf(raw, ({ apiVersion, kind }) => schemaOf(apiVersion, kind))
}

function readScalarMessage(reader: WireReader, kind: ScalarKind): unknown {
  switch (kind) {
    case 'time':
    case 'microtime': {
      if (reader.at === reader.end) return null
      let seconds = 0
      let nanos = 0
      eachField(reader, (number, at) => {
        if (number === 1) seconds = at.int64()
        else if (number === 2) nanos = at.int64()
        else return false
        return true
      })
      return kind === 'time' ? formatTime(seconds) : formatMicroTime(seconds, nanos)
    }
    case 'duration': {
      let nanos = 0
      eachField(reader, (number, at) => {
        if (number !== 1) return false
        nanos = at.int64()
        return true
      })
      return formatDuration(nanos)
    }
    case 'quantity': {
      let text = ''
      eachField(reader, (number, at) => {
        if (number !== 1) return false
        text = at.text()
        return true
      })
      return text === '' ? '0' : text
    }
    case 'intOrString': {
      let type = 0
      let int = 0
      let text = ''
      eachField(reader, (number, at) => {
        if (number === 1) type = at.int64()
        else if (number === 2) int = at.int64()
        else if (number === 3) text = at.text()
        else return false
        return true
      })
      return type === 1 ? text : int
    }
    case 'rawExtension':
    case 'fieldsV1':
    case 'json': {
      let value: unknown = null
      eachField(reader, (number, at) => {
        if (number !== 1) return false
        value = parseRaw(at.rawBytes())
        return true
      })
      return value
    }
    case 'strings': {
      const list: string[] = []
      eachField(reader, (number, at) => {
        if (number !== 1) return false
        list.push(at.text())
        return true
      })
      return list
    }
    default:
      return readSchemaUnion(reader, kind)
  }
}

function readSchemaUnion(reader: WireReader, kind: ScalarKind): unknown {
  let schema: JsonObject | undefined
  let allows = false
  const schemas: JsonObject[] = []
  const names: string[] = []
  const schemaNumber = kind === 'schemaOrBool' ? 2 : 1
  eachField(reader, (number, at) => {
    if (number === schemaNumber) schema = readMessage(at.message(), knownType(schemaProps))
    else if (kind === 'schemaOrBool' && number === 1) allows = at.varint() !== 0
    else if (kind === 'schemaOrArray' && number === 2) schemas.push(readMessage(at.message(), knownType(schemaProps)))
    else if (kind === 'schemaOrStrings' && number === 2) names.push(at.text())
    else return false
    return true
  })
  if (kind === 'schemaOrBool') return schema ?? allows
  if (kind === 'schemaOrArray') return schemas.length > 0 ? schemas : schema
  return names.length > 0 ? names : schema
}
