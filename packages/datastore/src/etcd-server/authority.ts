/**
 * etcdctl and the Go client of etcd before 3.5 name the server in HTTP/2's `:authority` by its whole URL, "http://127.0.0.1:2379", or by the path of its
 * socket. nghttp2, on which node:http2 stands, ends such a request as malformed, because a "/" may not be there. Nothing here asks who was named,
 * so each "/" is made a "." before nghttp2 sees it: of the same length in HPACK, plain or Huffman-coded, so that nothing else moves.
 *
 * The client enters the value in HPACK's table with its first request and refers to it afterwards: one change a connection is enough.
 */
import type { Socket } from 'node:net'

const prefaceBytes = 24
const frameHeaderBytes = 9
const frameTypes = { headers: 1, priority: 2, settings: 4, windowUpdate: 8 } as const
const flags = { ack: 1, padded: 8, priority: 32 } as const
/** A client that sends so much before it has agreed to our settings is handed on as it is. */
const maxHeldBytes = 2 ** 20

/**
 * Reads a connection, from its first chunk on, up to its first request, and gives what it has read, for nghttp2 to read again.
 * Clients wait for our settings before they send one: empty ones are sent here, and their acknowledgement, which nghttp2 would not expect, is taken out.
 */
export function admit(socket: Socket, first: Buffer, ready: (read: Buffer) => void): void {
  const opening = new Opening()
  const take = (chunk: Buffer): void => {
    const read = opening.take(chunk)
    if (read === undefined) return
    socket.off('data', take)
    socket.pause()
    ready(read)
  }
  socket.write(Buffer.from([0, 0, 0, frameTypes.settings, 0, 0, 0, 0, 0]))
  socket.on('data', take)
  take(first)
}

/** The bytes of a connection up to the first request and the acknowledgement. */
class Opening {
  #held: Buffer = Buffer.alloc(0)
  /** Frames before this were looked at. */
  #at = prefaceBytes
  #isAgreed = false
  #isBegun = false

  /** All that came when both have come. */
  take(chunk: Buffer): Buffer | undefined {
    this.#held = Buffer.concat([this.#held, chunk])
    while (this.#held.length >= this.#at + frameHeaderBytes) {
      const length = this.#held.readUIntBE(this.#at, 3)
      const [type = 0, frameFlags = 0] = this.#held.subarray(this.#at + 3)
      const end = this.#at + frameHeaderBytes + length
      if (this.#held.length < end) break
      if (type === frameTypes.settings && (frameFlags & flags.ack) !== 0 && !this.#isAgreed) {
        this.#isAgreed = true
        this.#held = Buffer.concat([this.#held.subarray(0, this.#at), this.#held.subarray(end)])
        continue
      }
      if (type === frameTypes.headers && !this.#isBegun)
        patchAuthority(headerBlock(this.#held.subarray(this.#at + frameHeaderBytes, end), frameFlags))
      const isOpening = type === frameTypes.settings || type === frameTypes.windowUpdate || type === frameTypes.priority
      this.#isBegun ||= !isOpening
      this.#at = end
    }
    return (this.#isAgreed && this.#isBegun) || this.#held.length > maxHeldBytes ? this.#held : undefined
  }
}

/** HPACK's part of a HEADERS frame, which may have padding and a priority around it. */
function headerBlock(payload: Buffer, frameFlags: number): Buffer {
  const padding = (frameFlags & flags.padded) === 0 ? 0 : (payload[0] ?? 0)
  const start = ((frameFlags & flags.padded) === 0 ? 0 : 1) + ((frameFlags & flags.priority) === 0 ? 0 : 5)
  return payload.subarray(start, Math.max(start, payload.length - padding))
}

/** `:authority` in HPACK's static table. */
const authorityIndex = 1

/** Goes through a block of headers up to a literal `:authority`, and makes each "/" in it a ".". Exported for its test. */
export function patchAuthority(block: Buffer): void {
  const at = { value: 0 }
  while (at.value < block.length) {
    const first = block[at.value] ?? 0
    if ((first & 0x80) !== 0) readInteger(block, at, 7)
    else if ((first & 0xe0) === 0x20) readInteger(block, at, 5)
    else {
      const name = readInteger(block, at, (first & 0x40) === 0 ? 4 : 6)
      if (name === 0) readString(block, at)
      const { isHuffman, bytes } = readString(block, at)
      if (name !== authorityIndex) continue
      if (isHuffman) patchHuffman(bytes)
      else for (const [index, byte] of bytes.entries()) if (byte === 0x2f) bytes[index] = 0x2e
      return
    }
  }
}

function readInteger(block: Buffer, at: { value: number }, prefixBits: number): number {
  const mask = 2 ** prefixBits - 1
  let value = (block[at.value++] ?? 0) & mask
  if (value < mask) return value
  for (let factor = 1; at.value < block.length && factor < 2 ** 28; factor *= 128) {
    const byte = block[at.value++] ?? 0
    value += (byte & 0x7f) * factor
    if (byte < 0x80) break
  }
  return value
}

function readString(block: Buffer, at: { value: number }): { readonly isHuffman: boolean; readonly bytes: Buffer } {
  const isHuffman = ((block[at.value] ?? 0) & 0x80) !== 0
  const length = readInteger(block, at, 7)
  const bytes = block.subarray(at.value, at.value + length)
  at.value += length
  return { isHuffman, bytes }
}

/** HPACK's code is canonical: of the codes with so many bits, those below `end` are complete. A URL or a path has no longer ones. */
const codeLengths = [
  { bits: 5, end: 0b01010 },
  { bits: 6, end: 0b101110 },
  { bits: 7, end: 0b1111100 },
  { bits: 8, end: 0b11111110 },
] as const
const slashCode = 0b011000
const dotCode = 0b010111

function patchHuffman(bytes: Buffer): void {
  const bit = (index: number): number => ((bytes[index >> 3] ?? 0) >> (7 - (index & 7))) & 1
  const peek = (from: number, bits: number): number => {
    let code = 0
    for (let index = from; index < from + bits; index++) code = code * 2 + bit(index)
    return code
  }
  for (let from = 0; from + 5 <= bytes.length * 8;) {
    const { bits = 0 } = codeLengths.find((length) => peek(from, length.bits) < length.end) ?? {}
    if (bits === 0) return
    if (bits === 6 && peek(from, 6) === slashCode && from + 6 <= bytes.length * 8)
      for (let index = 0; index < 6; index++) {
        const [byte, mask] = [(from + index) >> 3, 1 << (7 - ((from + index) & 7))]
        const isSet = ((dotCode >> (5 - index)) & 1) === 1
        bytes[byte] = isSet ? (bytes[byte] ?? 0) | mask : (bytes[byte] ?? 0) & ~mask
      }
    from += bits
  }
}
