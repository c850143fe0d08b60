/**
 * Encodes and decodes the messages of `messages.ts`. Encoding measures first, then fills a buffer of exactly that length: each byte of a value is copied once.
 */
import { emptyBytes } from '../bytes.ts'
import type { Message, MessageInput, MessageName } from './messages.ts'
import { messages } from './messages.ts'
import { sizeOfBigint, sizeOfNumber, WireReader, WireWriter } from './wire.ts'

type ScalarKind = 'bytes' | 'string' | 'bool' | 'enum' | 'int64' | 'uint64' | 'uint32' | 'clamped' | 'id' | 'uid'

interface Field {
  readonly name: string
  readonly number: number
  readonly kind: ScalarKind | 'message'
  /** Of kind `message`. */
  readonly shape: Shape | undefined
  readonly isRepeated: boolean
  /** Sent even when it is zero. */
  readonly hasPresence: boolean
  /** Repeated numbers travel in one field. */
  readonly isPacked: boolean
  readonly tag: number
  readonly tagSize: number
}

type KeyValueInput = MessageInput<'KeyValue'>

interface Shape {
  readonly isKeyValue: boolean
  readonly fields: readonly Field[]
  readonly byNumber: readonly (Field | undefined)[]
  /** What a message is decoded into: every field with its zero value. */
  readonly zero: Readonly<Record<string, unknown>>
}

type Fields = Record<string, unknown>

/** The sizes of submessages and packed fields, in the order in which the first pass meets them: the second needs them again. */
class Sizes {
  readonly list: number[] = []
  #next = 0
  take(): number {
    return this.list[this.#next++] ?? 0
  }
}

/** The one value of an empty repeated field. */
const none: readonly never[] = Object.freeze([])

const shapes: ReadonlyMap<string, Shape> = compile()

/**
 * Encodes a message, after `headroom` bytes that are left for the caller to fill.
 * Throws `RangeError` for a number that is not a safe integer.
 */
export function encode<Name extends MessageName>(name: Name, message: MessageInput<Name>, headroom = 0): Buffer {
  const shape = shapeOf(name)
  const sizes = new Sizes()
  const fields = message as Fields // every message is one
  const size = measure(shape, fields, sizes)
  const buffer = Buffer.allocUnsafe(headroom + size)
  write(shape, fields, sizes, new WireWriter(buffer, headroom))
  return buffer
}

/** Decodes a message. Its bytes share the memory of `buffer`. Throws `RangeError` when it is malformed or holds a number beyond 2^53. */
export function decode<Name extends MessageName>(name: Name, buffer: Buffer, start = 0): Message<Name> {
  return read(shapeOf(name), new WireReader(buffer, start), buffer.length) as Message<Name> // its shape has those fields
}

function shapeOf(name: string): Shape {
  const shape = shapes.get(name)
  if (shape === undefined) throw new Error(`Invariant broken: there is no message "${name}"`)
  return shape
}

function compile(): ReadonlyMap<string, Shape> {
  const result = new Map<string, { isKeyValue: boolean; fields: Field[]; byNumber: (Field | undefined)[]; zero: Fields }>()
  for (const name of Object.keys(messages)) result.set(name, { isKeyValue: name === 'KeyValue', fields: [], byNumber: [], zero: {} })
  for (const [name, specs] of Object.entries<Readonly<Record<string, string>>>(messages)) {
    const shape = result.get(name)
    for (const [fieldName, spec] of Object.entries(specs)) {
      const field = compileField(fieldName, spec, result)
      shape?.fields.push(field)
      if (shape !== undefined) shape.byNumber[field.number] = field
      if (shape !== undefined) shape.zero[fieldName] = zeroOf(field)
    }
    shape?.fields.sort((a, b) => a.number - b.number)
  }
  return result
}

function compileField(name: string, spec: string, all: ReadonlyMap<string, Shape>): Field {
  const words = spec.split(' ')
  const number = Number(words.pop())
  const type = words.pop() ?? ''
  const shape = all.get(type)
  const kind = shape === undefined ? (type as ScalarKind) : 'message' // the table's types are checked by its test
  const isRepeated = words[0] === 'repeated'
  const isPacked = isRepeated && !isLengthDelimited(kind)
  const tag = number * 8 + (isPacked || isLengthDelimited(kind) ? 2 : 0)
  return { name, number, kind, shape, isRepeated, isPacked, hasPresence: words[0] === 'oneof', tag, tagSize: sizeOfNumber(tag) }
}

function isLengthDelimited(kind: Field['kind']): boolean {
  return kind === 'message' || kind === 'bytes' || kind === 'string'
}

function zeroOf({ kind, isRepeated, hasPresence }: Field): unknown {
  if (isRepeated) return none
  if (hasPresence) return undefined
  switch (kind) {
    case 'message':
      return undefined
    case 'bytes':
      return emptyBytes
    case 'string':
      return ''
    case 'bool':
      return false
    case 'id':
    case 'uid':
      return 0n
    default:
      return 0
  }
}

function measure(shape: Shape, message: Fields, sizes: Sizes): number {
  let size = 0
  for (const field of shape.fields) {
    const value = message[field.name]
    if (value === undefined) continue
    if (!field.isRepeated) {
      if (isSent(field, value)) size += field.tagSize + measureValue(field, value, sizes)
      continue
    }
    const values = value as readonly unknown[] // repeated
    if (!field.isPacked) for (const item of values) size += field.tagSize + measureValue(field, item, sizes)
    else if (values.length > 0) {
      const slot = sizes.list.push(0) - 1
      let length = 0
      for (const item of values) length += measureValue(field, item, sizes)
      sizes.list[slot] = length
      size += field.tagSize + sizeOfNumber(length) + length
    }
  }
  return size
}

/**
 * KeyValue by hand: lists and watches consist of it, and the general way takes eight times as long.
 * Its fields have tags of one byte.
 */
function measureKeyValue({ key, createRevision, modRevision, version, value, leaseId }: KeyValueInput): number {
  let size = 0
  if (key !== undefined && key.length > 0) size += 1 + sizeOfNumber(key.length) + key.length
  if (createRevision !== undefined && createRevision !== 0) size += 1 + sizeOfNumber(checkSafe(createRevision))
  if (modRevision !== undefined && modRevision !== 0) size += 1 + sizeOfNumber(checkSafe(modRevision))
  if (version !== undefined && version !== 0) size += 1 + sizeOfNumber(checkSafe(version))
  if (value !== undefined && value.length > 0) size += 1 + sizeOfNumber(value.length) + value.length
  if (leaseId !== undefined && leaseId !== 0n) size += 1 + sizeOfBigint(leaseId)
  return size
}

function writeKeyValue({ key, createRevision, modRevision, version, value, leaseId }: KeyValueInput, writer: WireWriter): void {
  if (key !== undefined && key.length > 0) writer.taggedBytes(0x0a, key)
  if (createRevision !== undefined && createRevision !== 0) writer.taggedNumber(0x10, createRevision)
  if (modRevision !== undefined && modRevision !== 0) writer.taggedNumber(0x18, modRevision)
  if (version !== undefined && version !== 0) writer.taggedNumber(0x20, version)
  if (value !== undefined && value.length > 0) writer.taggedBytes(0x2a, value)
  if (leaseId === undefined || leaseId === 0n) return
  writer.number(0x30)
  writer.bigint(leaseId)
}

function checkSafe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new RangeError('A revision or version is not a safe integer')
  return value
}

function measureValue(field: Field, value: unknown, sizes: Sizes): number {
  switch (typeof value) {
    case 'number':
      if (!Number.isSafeInteger(value)) throw new RangeError(`"${field.name}" is not a safe integer`)
      return sizeOfNumber(value)
    case 'bigint':
      return sizeOfBigint(value)
    case 'boolean':
      return 1
    case 'string': {
      const length = Buffer.byteLength(value)
      sizes.list.push(length)
      return sizeOfNumber(length) + length
    }
    default: {
      if (field.shape === undefined) {
        const { length } = value as Uint8Array // what is left
        return sizeOfNumber(length) + length
      }
      const slot = sizes.list.push(0) - 1
      const length = field.shape.isKeyValue ? measureKeyValue(value as KeyValueInput) : measure(field.shape, value as Fields, sizes) // what is left
      sizes.list[slot] = length
      return sizeOfNumber(length) + length
    }
  }
}

/** Zero values are not sent, but where presence matters. */
function isSent(field: Field, value: unknown): boolean {
  if (field.hasPresence) return true
  if (field.kind === 'bytes') return (value as Uint8Array).length > 0 // its kind
  return value !== 0 && value !== false && value !== '' && value !== 0n
}

function write(shape: Shape, message: Fields, sizes: Sizes, writer: WireWriter): void {
  for (const field of shape.fields) {
    const value = message[field.name]
    if (value === undefined) continue
    if (!field.isRepeated) {
      if (!isSent(field, value)) continue
      writer.number(field.tag)
      writeValue(field, value, sizes, writer)
      continue
    }
    const values = value as readonly unknown[] // repeated
    if (field.isPacked && values.length > 0) {
      writer.number(field.tag)
      writer.number(sizes.take())
    }
    for (const item of values) {
      if (!field.isPacked) writer.number(field.tag)
      writeValue(field, item, sizes, writer)
    }
  }
}

function writeValue(field: Field, value: unknown, sizes: Sizes, writer: WireWriter): void {
  switch (typeof value) {
    case 'number':
      return writer.number(value)
    case 'bigint':
      return writer.bigint(value)
    case 'boolean':
      return writer.number(value ? 1 : 0)
    case 'string':
      return writer.string(value, sizes.take())
    default:
      if (field.shape === undefined) return writer.bytes(value as Uint8Array) // what is left
      writer.number(sizes.take())
      if (field.shape.isKeyValue) return writeKeyValue(value as KeyValueInput, writer) // its shape
      return write(field.shape, value as Fields, sizes, writer) // what is left
  }
}

function read(shape: Shape, reader: WireReader, end: number): Fields {
  const message: Fields = { ...shape.zero }
  while (reader.at < end) {
    const tag = reader.number()
    const field = shape.byNumber[tag >>> 3]
    const wireType = tag & 7
    if (field === undefined || !isFitting(field, wireType)) {
      reader.skip(wireType, end)
      continue
    }
    if (!field.isRepeated) {
      const value = readValue(field, reader, end)
      // A submessage that comes in parts is merged; no encoder of etcd's messages sends one so.
      message[field.name] = value
      continue
    }
    const before = message[field.name]
    const values = (before === none ? [] : before) as unknown[] // repeated
    message[field.name] = values
    if (wireType === 2 && field.isPacked) {
      const packedEnd = reader.end(end)
      while (reader.at < packedEnd) values.push(readValue(field, reader, packedEnd))
    } else values.push(readValue(field, reader, end))
  }
  if (reader.at > end) throw new RangeError('Malformed message: a field passes its end')
  return message
}

function isFitting(field: Field, wireType: number): boolean {
  return wireType === (isLengthDelimited(field.kind) ? 2 : 0) || (wireType === 2 && field.isPacked)
}

function readValue(field: Field, reader: WireReader, limit: number): unknown {
  switch (field.kind) {
    case 'message': {
      const end = reader.end(limit)
      return field.shape === undefined ? undefined : read(field.shape, reader, end)
    }
    case 'bytes':
      return reader.bytes(limit)
    case 'string':
      return reader.string(limit)
    case 'bool':
      return reader.number() !== 0
    case 'id':
      return reader.bigint(true)
    case 'uid':
      return reader.bigint(false)
    case 'clamped':
      return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, reader.number()))
    default: {
      const value = reader.number()
      if (!Number.isSafeInteger(value)) throw new RangeError(`Malformed message: "${field.name}" is beyond 2^53`)
      return value
    }
  }
}
