import type { Bytes } from '../contract.ts'

/** Marks, in the place of a length, the number of a byte string that the other side has already. */
const reference = 0x8000_0000

export interface ByteWriterOptions {
  /** Bytes expected; more makes the buffer grow. */
  readonly capacity?: number | undefined
  /** The byte strings that the reader has, with their numbers: one of these arrays is written as its number. What is written joins them. */
  readonly known?: Map<Bytes, number> | undefined
  /** Takes every byte string that is written, in order: what {@link ByteReaderOptions.strings} is to the other side's reader. */
  readonly written?: Bytes[] | undefined
}

/** Appends numbers, texts and bytes to one growing buffer, to be sent to another thread by transfer. */
export class ByteWriter {
  readonly #known: Map<Bytes, number> | undefined
  readonly #written: Bytes[] | undefined
  #bytes: Buffer
  #view: DataView
  #length = 0

  constructor({ capacity = 4096, known, written }: ByteWriterOptions = {}) {
    this.#known = known
    this.#written = written
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#view = new DataView(this.#bytes.buffer)
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
    this.#view.setFloat64(this.#length, value, true)
    this.#length += 8
  }

  bigint(value: bigint): void {
    this.#reserve(8)
    this.#view.setBigInt64(this.#length, value, true)
    this.#length += 8
  }

  bytes(value: Bytes): void {
    const number = this.#known?.get(value)
    if (number !== undefined) {
      this.#reserve(4)
      this.#view.setUint32(this.#length, reference + number, true)
      this.#length += 4
      return
    }
    this.#known?.set(value, this.#known.size)
    this.#written?.push(value)
    this.#reserve(4 + value.length)
    this.#view.setUint32(this.#length, value.length, true)
    this.#bytes.set(value, this.#length + 4)
    this.#length += 4 + value.length
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
    this.#view = new DataView(bytes.buffer)
  }
}

export interface ByteReaderOptions {
  /** The byte strings that this side has, in the order of their numbers. What is read joins them. */
  readonly strings?: Bytes[] | undefined
  /** {@link ByteReader.bytes} gives views: who keeps one keeps the whole message. Default: copies. */
  readonly givesViews?: boolean | undefined
}

/** Reads what a {@link ByteWriter} wrote, in the same order. */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #strings: Bytes[] | undefined
  readonly #givesViews: boolean
  #position = 0

  constructor(bytes: Uint8Array, { strings, givesViews = false }: ByteReaderOptions = {}) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#strings = strings
    this.#givesViews = givesViews
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
    this.#position += 8
    return this.#view.getFloat64(this.#position - 8, true)
  }

  bigint(): bigint {
    this.#position += 8
    const [low, high] = [this.#view.getUint32(this.#position - 8, true), this.#view.getUint32(this.#position - 4, true)]
    return low === 0 && high === 0 ? 0n : this.#view.getBigInt64(this.#position - 8, true)
  }

  bytes(): Bytes {
    const length = this.#view.getUint32(this.#position, true)
    this.#position += 4
    if (length >= reference) {
      const known = this.#strings?.[length - reference]
      if (known === undefined) throw new Error(`Invariant broken: byte string ${length - reference} of a message is known`)
      return known
    }
    this.#position += length
    const [begin, end] = [this.#position - length, this.#position]
    const value = this.#givesViews ? this.#bytes.subarray(begin, end) : this.#bytes.slice(begin, end)
    this.#strings?.push(value)
    return value
  }

  text(): string {
    const { buffer, byteOffset, length } = this.bytes()
    return Buffer.from(buffer, byteOffset, length).toString()
  }

  optional<T>(read: () => T): T | undefined {
    return this.boolean() ? read() : undefined
  }

  list<T>(read: () => T): T[] {
    const values: T[] = []
    for (let rest = this.number(); rest > 0; rest--) values.push(read())
    return values
  }
}
