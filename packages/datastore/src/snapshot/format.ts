/**
 * The bytes of a snapshot.
 *
 * ```
 * snapshot  "K3S DATASTORE" CR LF SUB, then chunks: meta, items*, leases*, end; nothing follows, but what an etcd server adds: zeros up to a multiple of 512 bytes, and the SHA-256 of all before (32)
 * chunk     type (1 byte), compression (1: 0 none, 1 zstd), 0 (2), stored length (4), plain length (4), CRC-32 of these 12 bytes (4),
 *           payload as stored, SHA-256 (32) of: the SHA-256 of the chunk before (of the first chunk: of the 16 bytes at the start), these 16 bytes, payload
 * meta      JSON: {"format": 1, "revision", "items", "createdAt", "driver"}
 * items     each: key length (4), value length (4), create revision, mod revision, version, lease id (8 each), key, value; in byte order of the keys
 * leases    each: id (8), time to live in seconds (8, double), deadline in milliseconds since 1970 (8, double)
 * end       JSON: {"items", "leases"}: how many there were
 * ```
 *
 * Numbers are little-endian. Every hash covers all bytes before it, so the last one stands for the whole.
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { crc32, zstdCompress, zstdDecompress } from 'node:zlib'
import type { KeyValue } from '../contract.ts'
import type { RestoredLease } from '../engine/backend.ts'
import { DatastoreError } from '../errors.ts'

export const chunkTypes = { meta: 1, items: 2, leases: 3, end: 4 } as const
export type ChunkType = (typeof chunkTypes)[keyof typeof chunkTypes]

/** What a snapshot says of itself. */
export interface SnapshotMeta {
  readonly revision: number
  /** Keys in it. */
  readonly items: number
  readonly createdAt: Date
  /** The driver of the datastore it was taken from. */
  readonly driver: string
}

export interface SnapshotEnd {
  readonly items: number
  readonly leases: number
}

export const formatVersion = 1
const magic = Buffer.from('K3S DATASTORE\r\n\u001a', 'latin1')
const headerBytes = 16
const hashBytes = 32
/** etcdctl takes a snapshot for whole only when what precedes its SHA-256 is a multiple of this. */
const etcdBlockBytes = 512
/** Beyond any chunk that is written: one holds some MiB, or one item. */
const maxChunkBytes = 2 ** 30

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

const compressAsync = promisify(zstdCompress)
const decompressAsync = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(zstdDecompress)

export function damaged(where: number, reason: string, cause?: unknown): DatastoreError {
  return new DatastoreError('Damaged', `Snapshot is damaged at byte ${where}: ${reason}`, {
    hint: 'Use another snapshot, or copy this one anew from where it was taken',
    cause,
  })
}

/** Makes the bytes of a snapshot, chunk by chunk. */
export class ChunkEncoder {
  readonly #isCompressed: boolean
  #hash = sha256(magic)

  constructor(isCompressed: boolean) {
    this.#isCompressed = isCompressed
  }

  /** What comes before the first chunk. */
  get start(): Uint8Array {
    return magic
  }

  async encode(type: ChunkType, plain: Buffer): Promise<Uint8Array> {
    const compressed = this.#isCompressed ? await compressAsync(plain) : undefined
    const isWorth = compressed !== undefined && compressed.length < plain.length
    const payload = isWorth ? compressed : plain
    const header = Buffer.alloc(headerBytes)
    header.writeUInt8(type, 0)
    header.writeUInt8(isWorth ? 1 : 0, 1)
    header.writeUInt32LE(payload.length, 4)
    header.writeUInt32LE(plain.length, 8)
    header.writeUInt32LE(crc32(header.subarray(0, 12)), 12)
    this.#hash = sha256(this.#hash, header, payload)
    return Buffer.concat([header, payload, this.#hash])
  }
}

/** One chunk, with where it begins. */
export interface Chunk {
  readonly type: number
  readonly plain: Buffer
  readonly position: number
}

/** Reads chunks and checks each against its hash. Ends where the bytes end; throws `Damaged`. */
export async function* readChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Chunk, void, void> {
  const from = new ByteSource(source)
  try {
    const start = await from.read(magic.length)
    if (start === undefined || !start.equals(magic)) throw damaged(0, 'it does not begin as a snapshot does')
    let hash = sha256(magic)
    for (;;) {
      const { position } = from
      const header = await from.read(headerBytes)
      if (header === undefined) {
        if (from.position > position) throw damaged(position, 'it is cut off')
        return
      }
      const [storedBytes, plainBytes] = [header.readUInt32LE(4), header.readUInt32LE(8)]
      if (crc32(header.subarray(0, 12)) !== header.readUInt32LE(12) || storedBytes > maxChunkBytes || plainBytes > maxChunkBytes)
        throw damaged(position, 'the head of a chunk has another checksum')
      const payload = await from.read(storedBytes)
      const stored = payload === undefined ? undefined : await from.read(hashBytes)
      if (payload === undefined || stored === undefined) throw damaged(position, 'it is cut off')
      hash = sha256(hash, header, payload)
      if (!hash.equals(stored)) throw damaged(position, 'a chunk has another checksum, or is not in its place')
      yield { type: header.readUInt8(0), plain: await unpack(payload, header.readUInt8(1), plainBytes, position), position }
      if (header.readUInt8(0) === chunkTypes.end) return await checkTail(from)
    }
  } finally {
    await from.close()
  }
}

async function unpack(payload: Buffer, compression: number, plainBytes: number, position: number): Promise<Buffer> {
  try {
    if (compression > 1) throw new Error(`compression ${compression} is not known`)
    const plain = compression === 0 ? payload : await decompressAsync(payload, { maxOutputLength: Math.max(1, plainBytes) })
    if (plain.length !== plainBytes) throw new Error(`it has ${plain.length} bytes, not ${plainBytes}`)
    return plain
  } catch (cause) {
    throw damaged(position, 'a chunk cannot be unpacked', cause)
  }
}

/** Cuts a stream into pieces of asked sizes. */
/** What may follow the end: nothing, or what `etcdctl snapshot save` asks of an etcd server. */
async function checkTail(from: ByteSource): Promise<void> {
  const { position } = from
  const padding = await from.read((etcdBlockBytes - (position % etcdBlockBytes)) % etcdBlockBytes)
  const whole = from.digest()
  const stored = padding === undefined ? undefined : await from.read(hashBytes)
  if (from.position === position) return
  const isFitting = padding?.every((byte) => byte === 0) === true && stored?.equals(whole) === true && (await from.read(1)) === undefined
  if (!isFitting || from.position % etcdBlockBytes !== hashBytes) throw damaged(position, 'something follows its end')
}

class ByteSource {
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #parts: Uint8Array[] = []
  readonly #hash = createHash('sha256')
  #available = 0
  #isAtEnd = false
  /** Bytes handed out; at the end of the stream, all that it had. */
  position = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  /** Exactly `length` bytes; undefined when fewer are left, which are then skipped. */
  async read(length: number): Promise<Buffer | undefined> {
    while (this.#available < length && !this.#isAtEnd) {
      const { done, value } = await this.#iterator.next()
      if (done === true) this.#isAtEnd = true
      else {
        this.#parts.push(value)
        this.#available += value.length
      }
    }
    if (this.#available < length) {
      this.position += this.#available
      this.#parts.length = 0
      this.#available = 0
      return undefined
    }
    const taken: Uint8Array[] = []
    for (let left = length; left > 0;) {
      const part = this.#parts[0]
      if (part === undefined) throw new Error('Invariant broken: the parts are as long as was counted')
      taken.push(part.subarray(0, left))
      if (part.length > left) this.#parts[0] = part.subarray(left)
      else this.#parts.shift()
      left -= Math.min(left, part.length)
    }
    this.#available -= length
    this.position += length
    for (const part of taken) this.#hash.update(part)
    const [only] = taken
    if (taken.length === 1 && only !== undefined) return Buffer.from(only.buffer, only.byteOffset, only.byteLength)
    return Buffer.concat(taken)
  }

  /** The SHA-256 of what was handed out. */
  digest(): Buffer {
    return this.#hash.copy().digest()
  }

  /** Leaves the stream. */
  async close(): Promise<void> {
    if (!this.#isAtEnd) await this.#iterator.return?.()
  }
}

const itemHeadBytes = 40

export function encodeItems(items: readonly KeyValue[]): Buffer {
  const to = Buffer.allocUnsafe(items.reduce((sum, { key, value }) => sum + itemHeadBytes + key.length + value.length, 0))
  let at = 0
  for (const { key, value, createRevision, modRevision, version, leaseId } of items) {
    at = to.writeUInt32LE(key.length, at)
    at = to.writeUInt32LE(value.length, at)
    for (const number of [createRevision, modRevision, version]) at = to.writeBigUInt64LE(BigInt(number), at)
    at = to.writeBigInt64LE(leaseId, at)
    to.set(key, at)
    to.set(value, at + key.length)
    at += key.length + value.length
  }
  return to
}

/** The items have arrays of their own. */
export function decodeItems({ plain, position }: Chunk): readonly KeyValue[] {
  const items: KeyValue[] = []
  for (let at = 0; at < plain.length;) {
    const body = at + itemHeadBytes
    if (body > plain.length) throw damaged(position, 'an item is cut off')
    const keyEnd = body + plain.readUInt32LE(at)
    const end = keyEnd + plain.readUInt32LE(at + 4)
    if (end > plain.length) throw damaged(position, 'an item is cut off')
    items.push({
      key: new Uint8Array(plain.subarray(body, keyEnd)),
      value: new Uint8Array(plain.subarray(keyEnd, end)),
      createRevision: safeNumber(plain.readBigUInt64LE(at + 8), position),
      modRevision: safeNumber(plain.readBigUInt64LE(at + 16), position),
      version: safeNumber(plain.readBigUInt64LE(at + 24), position),
      leaseId: plain.readBigInt64LE(at + 32),
    })
    at = end
  }
  return items
}

function safeNumber(value: bigint, position: number): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw damaged(position, `${value} is not a revision`)
  return number
}

const leaseBytes = 24

export function encodeLeases(leases: readonly RestoredLease[]): Buffer {
  const to = Buffer.allocUnsafe(leases.length * leaseBytes)
  let at = 0
  for (const { id, ttlSeconds, deadlineMs } of leases) {
    at = to.writeBigInt64LE(id, at)
    at = to.writeDoubleLE(ttlSeconds, at)
    at = to.writeDoubleLE(deadlineMs, at)
  }
  return to
}

export function decodeLeases({ plain, position }: Chunk): readonly RestoredLease[] {
  if (plain.length % leaseBytes !== 0) throw damaged(position, 'a lease is cut off')
  return Array.from({ length: plain.length / leaseBytes }, (_, index) => {
    const at = index * leaseBytes
    const lease = { id: plain.readBigInt64LE(at), ttlSeconds: plain.readDoubleLE(at + 8), deadlineMs: plain.readDoubleLE(at + 16) }
    if (lease.id < 1n || !(lease.ttlSeconds > 0) || !Number.isFinite(lease.deadlineMs))
      throw damaged(position, 'a lease has impossible times')
    return lease
  })
}

export function encodeMeta({ revision, items, createdAt, driver }: SnapshotMeta): Buffer {
  return Buffer.from(JSON.stringify({ format: formatVersion, revision, items, createdAt: createdAt.toISOString(), driver }))
}

export function encodeEnd({ items, leases }: SnapshotEnd): Buffer {
  return Buffer.from(JSON.stringify({ items, leases }))
}

/** Throws `NewerSchema` for a format that a later version of this package writes. */
export function decodeMeta(chunk: Chunk): SnapshotMeta {
  const { format, revision, items, createdAt, driver } = parseJson(chunk)
  if (typeof format === 'number' && format > formatVersion)
    throw new DatastoreError('NewerSchema', `Cannot read snapshot: its format is ${format}, this program knows ${formatVersion}`, {
      hint: 'Use the newer release that wrote it',
    })
  const created = new Date(typeof createdAt === 'string' ? createdAt : Number.NaN)
  if (!isCount(revision) || revision < 1 || !isCount(items) || typeof driver !== 'string' || Number.isNaN(created.getTime()))
    throw damaged(chunk.position, 'what it says of itself is incomplete')
  return { revision, items, createdAt: created, driver }
}

export function decodeEnd(chunk: Chunk): SnapshotEnd {
  const { items, leases } = parseJson(chunk)
  if (!isCount(items) || !isCount(leases)) throw damaged(chunk.position, 'its counts are missing')
  return { items, leases }
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

function parseJson({ plain, position }: Chunk): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(plain.toString('utf8'))
    if (typeof value === 'object' && value !== null) return { ...value }
    throw new Error('it is not an object')
  } catch (cause) {
    throw damaged(position, 'what it says of itself cannot be read', cause)
  }
}
