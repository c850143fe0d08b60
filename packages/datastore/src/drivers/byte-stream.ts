import type { Bytes } from '../contract.ts'

/** Appends numbers, texts and bytes to one growing buffer, to be sent to another thread by transfer. */
export class ByteWriter {
  #bytes: Buffer
  #length = 0

  constructor(capacity = 4096) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  boolean(value: boolean): void {
    this.u8(value ? 1 : 0)
  }

  /** Any number; revisions and counts among them. */
  number(value: number): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeDoubleLE(value, this.#length)
  }

  bigint(value: bigint): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeBigInt64LE(value, this.#length)
  }

  bytes(value: Bytes): void {
    this.#reserve(4 + value.length)
    this.#length = this.#bytes.writeUInt32LE(value.length, this.#length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  text(value: string): void {
    this.bytes(Buffer.from(value))
  }

  /** A flag, then the value if there is one. */
  optional<T>(value: T | undefined, write: (value: T) => void): void {
    this.boolean(value !== undefined)
    if (value !== undefined) write(value)
  }

  list<T>(values: readonly T[], write: (value: T) => void): void {
    this.number(values.length)
    values.forEach(write)
  }

  /** What was written; the writer must not be used any more. The buffer is the array's own, so that it can be transferred. */
  finish(): Uint8Array<ArrayBuffer> {
    // allocUnsafeSlow gives a buffer of its own, never a shared one.
    return new Uint8Array(this.#bytes.buffer as ArrayBuffer, 0, this.#length)
  }

  #reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#bytes.length) return
    const bytes = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(bytes, 0, 0, this.#length)
    this.#bytes = bytes
  }
}

/** Reads what a {@link ByteWriter} wrote, in the same order. */
export class ByteReader {
  /** Two views of the same memory: a Buffer reads numbers faster, but its slices would be Buffers. */
  readonly #bytes: Buffer
  readonly #plain: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#plain = bytes
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#bytes.length
  }

  u8(): number {
    return this.#bytes[this.#position++] ?? 0
  }

  boolean(): boolean {
    return this.u8() === 1
  }

  number(): number {
    const value = this.#bytes.readDoubleLE(this.#position)
    this.#position += 8
    return value
  }

  bigint(): bigint {
    const value = this.#bytes.readBigInt64LE(this.#position)
    this.#position += 8
    return value
  }

  /** A copy: an item that is kept does not keep the whole message. */
  bytes(): Bytes {
    return this.#plain.slice(...this.#span())
  }

  text(): string {
    return this.#bytes.toString('utf8', ...this.#span())
  }

  optional<T>(read: () => T): T | undefined {
    return this.boolean() ? read() : undefined
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.number() }, read)
  }

  #span(): [begin: number, end: number] {
    const begin = this.#position + 4
    this.#position = begin + this.#bytes.readUInt32LE(this.#position)
    return [begin, this.#position]
  }
}
