/**
 * What members say to each other. Every frame has a fixed size, so nobody can make a reader hold more than one:
 *
 * ```
 * listener → dialer   "k3h1" challenge[32]
 * dialer → listener   "k3h1" member id[16] proof[32]
 * dialer → listener   revision[8] mac[32]        again and again, one a hint
 * ```
 *
 * Both know the datastore's secret, which is stored in the database: who can read it can read everything anyway. The key of a connection is made
 * of the secret, the challenge and both ids, so that neither a proof nor a hint is worth anything on another connection.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

const magic = Buffer.from('k3h1')
const [challengeBytes, idBytes, macBytes, revisionBytes] = [32, 16, 32, 8]

export const greetingBytes: number = magic.length + challengeBytes
export const helloBytes: number = magic.length + idBytes + macBytes
export const hintBytes: number = revisionBytes + macBytes

/** A member's id: 32 hexadecimal digits. */
export type MemberId = string

export interface KeyParts {
  readonly secret: Uint8Array
  readonly challenge: Uint8Array
  /** The dialer. */
  readonly from: MemberId
  /** The listener. */
  readonly to: MemberId
}

/** The key of one connection. */
export function connectionKey({ secret, challenge, from, to }: KeyParts): Buffer {
  return createHmac('sha256', secret)
    .update('k3s datastore hints 1')
    .update(challenge)
    .update(Buffer.from(from, 'hex'))
    .update(Buffer.from(to, 'hex'))
    .digest()
}

/** `challenge` is 32 random bytes. */
export function encodeGreeting(challenge: Uint8Array): Buffer {
  return Buffer.concat([magic, challenge])
}

/** The challenge of a frame of {@link greetingBytes}; undefined when it is none of ours. */
export function decodeGreeting(frame: Buffer): Buffer | undefined {
  return frame.subarray(0, magic.length).equals(magic) ? frame.subarray(magic.length) : undefined
}

export function encodeHello(key: Uint8Array, from: MemberId): Buffer {
  return Buffer.concat([magic, Buffer.from(from, 'hex'), proof(key)])
}

/** Who says hello and the key of the connection, when the frame of {@link helloBytes} proves that it knows the secret; else undefined. */
export function decodeHello(frame: Buffer, parts: Omit<KeyParts, 'from'>): { readonly from: MemberId; readonly key: Buffer } | undefined {
  const from = frame.subarray(magic.length, magic.length + idBytes).toString('hex')
  const key = connectionKey({ ...parts, from })
  const isOurs = frame.subarray(0, magic.length).equals(magic)
  return timingSafeEqual(frame.subarray(magic.length + idBytes), proof(key)) && isOurs ? { from, key } : undefined
}

/** `sequence` counts the hints of a connection from 0. */
export function encodeHint(key: Uint8Array, sequence: number, revision: number): Buffer {
  const body = Buffer.alloc(revisionBytes)
  body.writeBigUInt64BE(BigInt(revision))
  return Buffer.concat([body, mac(key, sequence, body)])
}

/** The revision of a frame of {@link hintBytes}; undefined when it was not made with this key at this place. */
export function decodeHint(key: Uint8Array, sequence: number, frame: Buffer): number | undefined {
  const body = frame.subarray(0, revisionBytes)
  if (!timingSafeEqual(frame.subarray(revisionBytes), mac(key, sequence, body))) return undefined
  return Number(body.readBigUInt64BE())
}

function proof(key: Uint8Array): Buffer {
  return createHmac('sha256', key).update('hello').digest()
}

function mac(key: Uint8Array, sequence: number, body: Uint8Array): Buffer {
  const place = Buffer.alloc(8)
  place.writeBigUInt64BE(BigInt(sequence))
  return createHmac('sha256', key).update(place).update(body).digest()
}
