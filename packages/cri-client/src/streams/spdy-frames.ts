/**
 * SPDY/3.1 on the wire, as far as Kubernetes' streams use it.
 *
 * A control frame is `8003 type(2) flags(1) length(3)`, a data frame `stream(4) flags(1) length(3)`. Header blocks are
 * one zlib stream a direction, over all frames, primed with a dictionary that both sides know. We write ours as stored
 * blocks, so that of the dictionary only its checksum is needed, and skip those of the peer.
 */

export const frameType = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 } as const

export const flagFin = 1
export const statusCancel = 5
export const frameHeaderBytes = 8

// The Adler-32 sum of SPDY/3's dictionary, which a zlib stream names at its start.
const dictionaryId = 0xe3c6a7c2
// Deflate with a 32 KiB window, a preset dictionary, and the check bits that make both bytes a multiple of 31.
const zlibHeader = [0x78, 0xbb] as const

/** Writes frames of one connection's direction. */
export class FrameWriter {
  #hasHeader = false

  /** Headers are given with lower-case names. `isFin`: we shall send no data. */
  synStream(streamId: number, headers: Readonly<Record<string, string>>, isFin: boolean): Buffer {
    const fixed = Buffer.alloc(10) // stream, associated stream, priority and slot: the last three are 0
    fixed.writeUInt32BE(streamId, 0)
    return control(frameType.synStream, isFin ? flagFin : 0, fixed, this.#headerBlock(headers))
  }

  #headerBlock(headers: Readonly<Record<string, string>>): Buffer {
    const entries = Object.entries(headers)
    const text = Buffer.concat([uint32(entries.length), ...entries.flatMap(([name, value]) => [sized(name), sized(value)])])
    const start = this.#hasHeader ? Buffer.alloc(0) : Buffer.concat([Buffer.from(zlibHeader), uint32(dictionaryId)])
    this.#hasHeader = true
    // The empty block behind it makes the reader hand out what it has.
    return Buffer.concat([start, storedBlock(text), storedBlock(Buffer.alloc(0))])
  }
}

/** The eight bytes before `length` (below 2^24) bytes of data. */
export function dataHeader(streamId: number, length: number, isFin: boolean): Buffer {
  const header = Buffer.alloc(frameHeaderBytes)
  header.writeUInt32BE(streamId, 0)
  header.writeUInt32BE(length, 4)
  header[4] = isFin ? flagFin : 0
  return header
}

export const rstStream = (streamId: number, status: number): Buffer => control(frameType.rstStream, 0, uint32(streamId), uint32(status))

export const ping = (id: Buffer): Buffer => control(frameType.ping, 0, id)

export const goAway = (): Buffer => control(frameType.goAway, 0, uint32(0), uint32(0))

function control(type: number, flags: number, ...parts: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(parts)
  const header = Buffer.alloc(frameHeaderBytes)
  header.writeUInt16BE(0x8003, 0)
  header.writeUInt16BE(type, 2)
  header.writeUInt32BE(payload.length, 4)
  header[4] = flags
  return Buffer.concat([header, payload])
}

/** A deflate block that is not the last and not compressed. */
function storedBlock(bytes: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt16LE(bytes.length, 1)
  head.writeUInt16LE(~bytes.length & 0xffff, 3)
  return Buffer.concat([head, bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const sized = (text: string): Buffer => Buffer.concat([uint32(Buffer.byteLength(text)), Buffer.from(text)])
