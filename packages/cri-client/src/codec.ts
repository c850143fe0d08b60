import { CriError } from './errors.ts'
import type { EnumSchema, FieldSchema, MessageSchema } from './schema.ts'

export interface CodecSchema {
  readonly messages: Readonly<Record<string, MessageSchema>>
  readonly enums: Readonly<Record<string, EnumSchema>>
}

interface Field {
  readonly name: string
  readonly number: number
  readonly type: string
  readonly label: 'repeated' | 'map' | undefined
  readonly kind: 'scalar' | 'enum' | 'message'
}
interface Message {
  readonly fields: readonly Field[]
  readonly byNumber: ReadonlyMap<number, Field>
}

const wireVarint = 0
const wireFixed64 = 1
const wireBytes = 2
const wireFixed32 = 5

/**
 * Reads and writes proto3 by a table of fields.
 *
 * A decoded message has every scalar, list and map (at its default when it was not sent); a message field that was not
 * sent is absent. An enum is its value's name, `UNRECOGNIZED` for a number that the table lacks. 64-bit integers are
 * numbers, rounded beyond 2^53. Unknown fields are skipped.
 */
export class Codec {
  readonly #schema: CodecSchema
  readonly #messages = new Map<string, Message>()
  readonly #enumNames = new Map<string, ReadonlyMap<number, string>>()

  constructor(schema: CodecSchema) {
    this.#schema = schema
  }

  /** Fields that are `undefined` are left out. Throws `INVALID_ARGUMENT` for what the type cannot hold. */
  encode(type: string, value: unknown): Buffer {
    const writer = new Writer()
    this.#write(writer, type, value)
    return writer.finish()
  }

  /** Throws `INTERNAL` for bytes that are no such message. */
  decode(type: string, bytes: Uint8Array): unknown {
    return this.#read(new Reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)), type)
  }

  #write(writer: Writer, type: string, value: unknown): void {
    const source = (value ?? {}) as Readonly<Record<string, unknown>> // callers give objects of the message's type
    for (const field of this.#message(type).fields) {
      const given = source[field.name]
      if (given === undefined || given === null) continue
      if (field.label === 'map') {
        for (const [key, item] of Object.entries(given)) {
          if (item === undefined) continue
          const entry = new Writer()
          this.#writeValue(entry, { ...field, number: 1, type: 'string', kind: 'scalar' }, key, false)
          this.#writeValue(entry, { ...field, number: 2 }, item, false)
          writer.bytes(field.number, entry.finish())
        }
      } else if (field.label === 'repeated') {
        const items = given as readonly unknown[] // by the same promise
        if (items.length === 0) continue
        if (field.kind === 'message' || field.type === 'string' || field.type === 'bytes') {
          for (const item of items) this.#writeValue(writer, field, item, true)
        } else {
          const packed = new Writer()
          for (const item of items) packed.varint(this.#number(field, item)) // CRI has no lists of doubles
          writer.bytes(field.number, packed.finish())
        }
      } else this.#writeValue(writer, field, given, false)
    }
  }

  #writeValue(writer: Writer, field: Field, value: unknown, isItem: boolean): void {
    if (field.kind === 'message') {
      const nested = new Writer()
      this.#write(nested, field.type, value)
      writer.bytes(field.number, nested.finish())
    } else if (field.type === 'string' || field.type === 'bytes') {
      const bytes = typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array) // the only other type of such a field
      if (bytes.length > 0 || isItem) writer.bytes(field.number, bytes)
    } else if (field.type === 'double') {
      if (value !== 0) writer.double(field.number, Number(value))
    } else {
      const number = this.#number(field, value)
      if (number === 0) return
      writer.tag(field.number, wireVarint)
      writer.varint(number)
    }
  }

  /** What a bool, an enum or an integer is as a varint. */
  #number(field: Field, value: unknown): number {
    if (field.kind === 'enum') {
      const number = this.#schema.enums[field.type]?.[String(value)]
      if (number === undefined) throw invalid(field, value)
      return number
    }
    const number = Number(value)
    const { min, max } = ranges[field.type] ?? { min: 0, max: 1 }
    if (!Number.isInteger(number) || number < min || number > max) throw invalid(field, value)
    return number
  }

  #read(reader: Reader, type: string): Record<string, unknown> {
    const { fields, byNumber } = this.#message(type)
    const message: Record<string, unknown> = {}
    for (const field of fields) {
      if (field.label === 'repeated') message[field.name] = []
      else if (field.label === 'map') message[field.name] = {}
      else if (field.kind !== 'message') message[field.name] = this.#zero(field)
    }
    while (!reader.atEnd) {
      const tag = reader.varint(false)
      const wire = tag & 7
      const field = byNumber.get(Math.floor(tag / 8))
      if (field === undefined) reader.skip(wire)
      else if (wire !== wireOf(field) && !(field.label === 'repeated' && wire === wireBytes)) throw malformed()
      else if (field.label === 'map') this.#readEntry(reader.sub(), field, message[field.name] as Record<string, unknown>) // set above
      else if (field.label === 'repeated') {
        const list = message[field.name] as unknown[] // set above
        if (wire === wireBytes && field.kind !== 'message' && field.type !== 'string' && field.type !== 'bytes') {
          const packed = reader.sub()
          while (!packed.atEnd) list.push(this.#readValue(packed, field))
        } else list.push(this.#readValue(reader, field))
      } else message[field.name] = this.#readValue(reader, field)
    }
    return message
  }

  #readEntry(reader: Reader, field: Field, map: Record<string, unknown>): void {
    let key = ''
    let value = field.kind === 'message' ? this.#read(new Reader(Buffer.alloc(0)), field.type) : this.#zero(field)
    while (!reader.atEnd) {
      const tag = reader.varint(false)
      if (tag >> 3 === 1) key = reader.slice().toString()
      else if (tag >> 3 === 2) value = this.#readValue(reader, field)
      else reader.skip(tag & 7)
    }
    // A label may be called "__proto__".
    Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true })
  }

  #readValue(reader: Reader, field: Field): unknown {
    if (field.kind === 'message') return this.#read(reader.sub(), field.type)
    if (field.kind === 'enum') return this.#enumName(field.type, reader.varint(true))
    switch (field.type) {
      case 'string':
        return reader.slice().toString()
      case 'bytes':
        return reader.slice()
      case 'bool':
        return reader.varint(false) !== 0
      case 'double':
        return reader.double()
      default:
        return reader.varint(field.type.startsWith('int'))
    }
  }

  #zero(field: Field): unknown {
    if (field.kind === 'enum') return this.#enumName(field.type, 0)
    if (field.type === 'string') return ''
    if (field.type === 'bytes') return Buffer.alloc(0)
    return field.type === 'bool' ? false : 0
  }

  #enumName(type: string, number: number): string {
    let names = this.#enumNames.get(type)
    if (names === undefined) {
      names = new Map(Object.entries(this.#schema.enums[type] ?? {}).map(([name, value]) => [value, name]))
      this.#enumNames.set(type, names)
    }
    return names.get(number) ?? 'UNRECOGNIZED'
  }

  #message(type: string): Message {
    let message = this.#messages.get(type)
    if (message === undefined) {
      const schema = this.#schema.messages[type]
      if (schema === undefined) throw new CriError('INTERNAL', `Unknown message type "${type}"`)
      const fields = Object.entries(schema).map(([name, field]) => this.#field(name, field))
      message = { fields, byNumber: new Map(fields.map((field) => [field.number, field])) }
      this.#messages.set(type, message)
    }
    return message
  }

  #field(name: string, [number, type, label]: FieldSchema): Field {
    const kind = type in this.#schema.messages ? 'message' : type in this.#schema.enums ? 'enum' : 'scalar'
    return { name, number, type, label, kind }
  }
}

// The 64-bit ranges end where a double's neighbour would leave them.
const ranges: Readonly<Record<string, { readonly min: number; readonly max: number }>> = {
  int32: { min: -(2 ** 31), max: 2 ** 31 - 1 },
  uint32: { min: 0, max: 2 ** 32 - 1 },
  int64: { min: -(2 ** 63), max: 2 ** 63 - 1024 },
  uint64: { min: 0, max: 2 ** 64 - 2048 },
}

/** How one value of the field is written. */
function wireOf({ kind, type, label }: Field): number {
  if (kind === 'message' || label === 'map' || type === 'string' || type === 'bytes') return wireBytes
  return type === 'double' ? wireFixed64 : wireVarint
}

const invalid = (field: Field, value: unknown): CriError =>
  new CriError('INVALID_ARGUMENT', `Field "${field.name}" cannot be ${JSON.stringify(value)}: not of type ${field.type}`)

class Writer {
  #buffer = Buffer.allocUnsafe(256)
  #length = 0

  tag(number: number, wire: number): void {
    this.varint(number * 8 + wire)
  }

  varint(value: number): void {
    this.#reserve(10)
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
      let rest = value
      while (rest > 127) {
        this.#buffer[this.#length++] = (rest % 128) | 128
        rest = Math.floor(rest / 128)
      }
      this.#buffer[this.#length++] = rest
      return
    }
    let rest = BigInt.asUintN(64, BigInt(value))
    while (rest > 127n) {
      this.#buffer[this.#length++] = Number(rest & 127n) | 128
      rest >>= 7n
    }
    this.#buffer[this.#length++] = Number(rest)
  }

  double(number: number, value: number): void {
    this.tag(number, wireFixed64)
    this.#reserve(8)
    this.#length = this.#buffer.writeDoubleLE(value, this.#length)
  }

  bytes(number: number, value: Uint8Array): void {
    this.tag(number, wireBytes)
    this.varint(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + size))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  get atEnd(): boolean {
    return this.#at >= this.#buffer.length
  }

  varint(isSigned: boolean): number {
    let value = 0
    let scale = 1
    for (let count = 0; count < 7; count++) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    let big = BigInt(value)
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      big |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(isSigned ? BigInt.asIntN(64, big) : BigInt.asUintN(64, big))
    }
    throw malformed()
  }

  double(): number {
    return this.#take(8).readDoubleLE()
  }

  slice(): Buffer {
    return this.#take(this.varint(false))
  }

  sub(): Reader {
    return new Reader(this.slice())
  }

  skip(wire: number): void {
    if (wire === wireVarint) this.varint(false)
    else if (wire === wireFixed64) this.#take(8)
    else if (wire === wireBytes) this.slice()
    else if (wire === wireFixed32) this.#take(4)
    else throw malformed()
  }

  #take(size: number): Buffer {
    const end = this.#at + size
    if (end > this.#buffer.length) throw malformed()
    const taken = this.#buffer.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  #byte(): number {
    const byte = this.#buffer[this.#at++]
    if (byte === undefined) throw malformed()
    return byte
  }
}

const malformed = (): CriError => new CriError('INTERNAL', 'Malformed protobuf message')
