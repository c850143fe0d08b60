/**
 * remotedialer's frames: `varint id, varint connection id, varint type, …, payload`, in one binary websocket message each.
 * Varints are Go's `PutVarint` (zig-zag). Connect and Data carry one more varint, a deadline in milliseconds that nobody reads any more.
 */

/** Message types, as remotedialer numbers them. */
export const messageTypes = {
  data: 1,
  connect: 2,
  error: 3,
  addClient: 4,
  removeClient: 5,
  pause: 6,
  resume: 7,
  syncConnections: 8,
} as const
export type MessageType = keyof typeof messageTypes

export interface Message {
  readonly type: MessageType
  /** 0 for messages that concern the session. */
  readonly connectionId: number
  readonly payload: Buffer
}

// What remotedialer's own sessions send.
const legacyDeadlineMs = 15_000
const names = new Map<number, MessageType>(Object.entries(messageTypes).map(([name, code]) => [code, name as MessageType])) // the keys of messageTypes

const zigZag = (value: bigint): bigint => (value >= 0n ? value << 1n : (-value << 1n) - 1n)

/** Go's PutVarint. */
export function writeVarint(value: number): Buffer {
  let rest = zigZag(BigInt(value))
  const bytes: number[] = []
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** Go's ReadVarint; undefined when the bytes end within it or it is longer than 64 bits. */
export function readVarint(bytes: Buffer, offset: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0n
  for (let at = offset, shift = 0n; at < bytes.length && shift < 70n; at++, shift += 7n) {
    const byte = bytes[at] ?? 0
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) {
      const signed = (value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n)
      return { value: Number(signed), next: at + 1 }
    }
  }
  return undefined
}

/** @param id of the message: any number, only for logs. */
export function encodeMessage(message: Message, id: number): Buffer {
  const hasDeadline = message.type === 'data' || message.type === 'connect'
  return Buffer.concat([
    writeVarint(id),
    writeVarint(message.connectionId),
    writeVarint(messageTypes[message.type]),
    ...(hasDeadline ? [writeVarint(legacyDeadlineMs)] : []),
    message.payload,
  ])
}

/** Undefined for bytes that are no frame, or of a type that this protocol does not have. */
export function decodeMessage(bytes: Buffer): Message | undefined {
  const id = readVarint(bytes, 0)
  const connection = id === undefined ? undefined : readVarint(bytes, id.next)
  const code = connection === undefined ? undefined : readVarint(bytes, connection.next)
  if (connection === undefined || code === undefined) return undefined
  const type = names.get(code.value)
  if (type === undefined) return undefined
  if (type !== 'data' && type !== 'connect') return { type, connectionId: connection.value, payload: bytes.subarray(code.next) }
  const deadline = readVarint(bytes, code.next)
  return deadline === undefined ? undefined : { type, connectionId: connection.value, payload: bytes.subarray(deadline.next) }
}

/** Ids of live connections, little-endian 64-bit each. */
export function encodeConnectionIds(ids: readonly number[]): Buffer {
  const payload = Buffer.alloc(ids.length * 8)
  for (const [at, id] of ids.entries()) payload.writeBigUInt64LE(BigInt(id), at * 8)
  return payload
}

export function decodeConnectionIds(payload: Buffer): readonly number[] {
  return Array.from({ length: Math.floor(payload.length / 8) }, (_, at) => Number(payload.readBigUInt64LE(at * 8)))
}
