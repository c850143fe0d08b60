/** Protocol Buffers' wire format: varints and lengths, over one buffer. */

/** Bytes that a whole number takes as a varint; negative ones take ten, as int64 has it. */
export function sizeOfNumber(value: number): number {
  if (value < 0) return 10
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x200000) return 3
  if (value < 0x10000000) return 4
  let size = 5
  for (let rest = Math.floor(value / 0x800000000); rest > 0; rest = Math.floor(rest / 128)) size++
  return size
}

/** Bytes that a 64-bit integer takes as a varint. */
export function sizeOfBigint(value: bigint): number {
  if (value < 0n || value >= 2n ** 63n) return 10
  return value <= 0x1fffffffffffffn ? sizeOfNumber(Number(value)) : Math.ceil(value.toString(2).length / 7)
}

/** Fills a buffer of known length from its start on. */
export class WireWriter {
  readonly buffer: Buffer
  #at: number

  constructor(buffer: Buffer, at: number) {
    this.buffer = buffer
    this.#at = at
  }

  /** A varint; `value` is a safe integer. */
  number(value: number): void {
    if (value < 0) return this.bigint(BigInt(value))
    const { buffer } = this
    let [rest, at] = [value, this.#at]
    while (rest > 0x7f) {
      buffer[at++] = (rest & 0x7f) | 0x80
      rest = rest > 0x7fffffff ? Math.floor(rest / 128) : rest >>> 7
    }
    buffer[at++] = rest
    this.#at = at
  }

  /** A field whose tag is one byte. */
  taggedNumber(tag: number, value: number): void {
    this.buffer[this.#at++] = tag
    this.number(value)
  }

  /** As {@link WireWriter.taggedNumber}. */
  taggedBytes(tag: number, value: Uint8Array): void {
    this.buffer[this.#at++] = tag
    this.bytes(value)
  }

  /** As {@link WireWriter.taggedBytes}, of a part of `from`; it makes no array. */
  taggedSlice(tag: number, from: Buffer, start: number, end: number): void {
    this.buffer[this.#at++] = tag
    this.number(end - start)
    this.#at += from.copy(this.buffer, this.#at, start, end)
  }

  /** Bytes as they are. */
  raw(value: Uint8Array): void {
    this.buffer.set(value, this.#at)
    this.#at += value.length
  }

  /** A varint of 64 bits. */
  bigint(value: bigint): void {
    // In two halves, which are numbers: arithmetic with bigints allocates.
    let low = Number(BigInt.asUintN(32, value))
    let high = Number(BigInt.asUintN(32, value >> 32n))
    while (high > 0 || low > 0x7f) {
      this.buffer[this.#at++] = (low & 0x7f) | 0x80
      low = ((low >>> 7) | (high << 25)) >>> 0
      high >>>= 7
    }
    this.buffer[this.#at++] = low
  }

  /** A length, then bytes. */
  bytes(value: Uint8Array): void {
    this.number(value.length)
    this.raw(value)
  }

  /** A length, then the text in UTF-8, of which `length` is the number of bytes. */
  string(value: string, length: number): void {
    this.number(length)
    this.#at += this.buffer.write(value, this.#at, 'utf8')
  }
}

/** Reads a buffer from start to end. Throws `RangeError` when it ends too early or is malformed. */
export class WireReader {
  readonly buffer: Buffer
  at: number

  constructor(buffer: Buffer, at: number) {
    this.buffer = buffer
    this.at = at
  }

  /** A varint as int64. Beyond ±(2^53 - 1) the result is not a safe integer. */
  number(): number {
    const { buffer } = this
    const begin = this.at
    let value = 0
    for (let factor = 1, at = begin; at < begin + 7; factor *= 128, at++) {
      const byte = buffer[at]
      if (byte === undefined) throw truncated()
      if (byte < 0x80) {
        this.at = at + 1
        return value + byte * factor
      }
      value += (byte & 0x7f) * factor
    }
    return Number(this.bigint(true))
  }

  /** A varint of 64 bits. */
  bigint(isSigned: boolean): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.buffer[this.at++]
      if (byte === undefined) throw truncated()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)
    }
    throw new RangeError('Malformed message: a varint has more than ten bytes')
  }

  /** The position at which what a length announces ends. */
  end(limit: number): number {
    const end = this.number() + this.at
    if (!(end >= this.at && end <= limit)) throw truncated()
    return end
  }

  /** Bytes that share the buffer's memory. */
  bytes(limit: number): Uint8Array {
    const end = this.end(limit)
    const { buffer, at } = this
    this.at = end
    return new Uint8Array(buffer.buffer, buffer.byteOffset + at, end - at)
  }

  string(limit: number): string {
    const end = this.end(limit)
    const text = this.buffer.toString('utf8', this.at, end)
    this.at = end
    return text
  }

  /** Leaves out a field that is not known. */
  skip(wireType: number, limit: number): void {
    switch (wireType) {
      case 0:
        this.bigint(false)
        return
      case 1:
        this.at += 8
        break
      case 2:
        this.at = this.end(limit)
        return
      case 5:
        this.at += 4
        break
      default:
        throw new RangeError(`Malformed message: wire type ${wireType}`)
    }
    if (this.at > limit) throw truncated()
  }
}

function truncated(): RangeError {
  return new RangeError('Malformed message: it ends too early')
}
