import { CriError } from './errors.ts'

/** One gRPC message as it is sent: a zero flag byte (not compressed), the length in four bytes, the message. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(5 + message.length)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, 5)
  return framed
}

/** Cuts a gRPC body into messages. */
export class FrameReader {
  readonly #maxBytes: number
  #pending: Buffer[] = []
  #size = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The messages that `chunk` completes. Throws `RESOURCE_EXHAUSTED` for one above the limit, `INTERNAL` for a compressed one. */
  push(chunk: Buffer): Buffer[] {
    this.#pending.push(chunk)
    this.#size += chunk.length
    const messages: Buffer[] = []
    while (this.#size >= 5) {
      const head = this.#peek(5)
      const length = head.readUInt32BE(1)
      if (head[0] !== 0) throw new CriError('INTERNAL', 'Compressed gRPC message, which was not asked for')
      if (length > this.#maxBytes)
        throw new CriError('RESOURCE_EXHAUSTED', `Message of ${length} bytes is above the limit of ${this.#maxBytes}`)
      if (this.#size < 5 + length) break
      const whole = this.#peek(5 + length)
      messages.push(whole.subarray(5, 5 + length))
      this.#size -= 5 + length
      this.#pending = this.#size > 0 ? [whole.subarray(5 + length)] : []
    }
    return messages
  }

  /** The pending bytes as one buffer when at least `size` of them are not in the first already. */
  #peek(size: number): Buffer {
    const first = this.#pending[0]
    if (first !== undefined && first.length >= size && this.#pending.length === 1) return first
    const joined = Buffer.concat(this.#pending)
    this.#pending = [joined]
    return joined
  }
}
