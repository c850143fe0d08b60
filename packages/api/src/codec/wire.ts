/** Reads protobuf's wire format. Every method throws a `RangeError` when the bytes end too early or make no sense. */
export class WireReader {
  readonly #bytes: Buffer
  readonly end: number
  at: number

  constructor(bytes: Buffer, start: number, end: number) {
    if (end > bytes.length || start > end) throw new RangeError('unexpected EOF')
    this.#bytes = bytes
    this.at = start
    this.end = end
  }

  /** Unsigned, exact to 2^53; {@link int64} for signed ones. */
  varint(): number {
    let value = 0
    let scale = 1
    for (let count = 0; count < 10; count++) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    throw new RangeError('proto: integer overflow')
  }

  /** Exact within ±2^53. */
  int64(): number {
    const start = this.at
    const value = this.varint()
    if (value < 2 ** 63) return value
    this.at = start
    let exact = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#byte()
      exact |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(BigInt.asIntN(64, exact))
    }
  }

  double(): number {
    this.#need(8)
    const value = this.#bytes.readDoubleLE(this.at)
    this.at += 8
    return value
  }

  /** The reader of an embedded message (or packed list); this one goes on after it. */
  message(): WireReader {
    const length = this.varint()
    this.#need(length)
    const reader = new WireReader(this.#bytes, this.at, this.at + length)
    this.at += length
    return reader
  }

  text(): string {
    const { at, end } = this.message()
    return this.#bytes.toString('utf8', at, end)
  }

  /** Shares memory with the input. */
  rawBytes(): Buffer {
    const { at, end } = this.message()
    return this.#bytes.subarray(at, end)
  }

  /** Passes over the value of a field whose tag was read. */
  skip(wireType: number): void {
    if (wireType === 0) this.varint()
    else if (wireType === 1) this.#advance(8)
    else if (wireType === 2) this.message()
    else if (wireType === 5) this.#advance(4)
    else throw new RangeError(`proto: illegal wireType ${wireType}`)
  }

  #byte(): number {
    if (this.at >= this.end) throw new RangeError('unexpected EOF')
    return this.#bytes[this.at++] ?? 0
  }

  #need(count: number): void {
    if (this.at + count > this.end) throw new RangeError('unexpected EOF')
  }

  #advance(count: number): void {
    this.#need(count)
    this.at += count
  }
}

/**
 * Writes protobuf's wire format from the last byte to the first, so that lengths are known when they are written:
 * the value of a field comes before its tag, the last field before the first.
 */
export class WireWriter {
  #bytes: Buffer = Buffer.allocUnsafe(1024)
  /** Where the written part starts. */
  #start = 1024

  /** Bytes written so far. */
  get length(): number {
    return this.#bytes.length - this.#start
  }

  /** What was written. The writer must not be used afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(this.#start)
  }

  /** A non-negative integer up to 2^53, or a negative one, as ten bytes of two's complement. */
  varint(value: number): void {
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value))
      const bytes: number[] = []
      for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
      bytes.push(Number(rest))
      this.raw(Buffer.from(bytes))
      return
    }
    let size = 1
    for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++
    let at = this.#reserve(size)
    for (let rest = value; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) {
        this.#bytes[at] = rest
        return
      }
      this.#bytes[at++] = (rest % 128) | 128
    }
  }

  double(value: number): void {
    const at = this.#reserve(8)
    this.#bytes.writeDoubleLE(value, at)
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    const at = this.#reserve(length)
    this.#bytes.write(value, at)
    this.varint(length)
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType)
  }

  /** Makes what was written since `length` was `from` an embedded message of field `number`. */
  close(number: number, from: number): void {
    this.varint(this.length - from)
    this.tag(number, 2)
  }

  #reserve(size: number): number {
    if (size > this.#start) {
      const written = this.length
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, written + size + 64))
      this.#bytes.copy(grown, grown.length - written, this.#start)
      this.#bytes = grown
      this.#start = grown.length - written
    }
    this.#start -= size
    return this.#start
  }
}
