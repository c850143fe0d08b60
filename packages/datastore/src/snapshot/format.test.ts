import { describe, expect, it } from 'vitest'
import {
  ChunkEncoder,
  chunkTypes,
  decodeItems,
  decodeLeases,
  encodeEnd,
  encodeItems,
  encodeLeases,
  encodeMeta,
  readChunks,
} from './format.ts'
import { readSnapshot, verifySnapshot } from './snapshot.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function* pieces(whole: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
}

/** A snapshot of these chunks, with hashes that are right whatever is in them. */
async function encode(...chunks: readonly (readonly [type: number, plain: Buffer])[]): Promise<Buffer> {
  const encoder = new ChunkEncoder(false)
  const parts: Uint8Array[] = [encoder.start]
  // The types are those of the format, or wrong on purpose.
  for (const [type, plain] of chunks) parts.push(await encoder.encode(type as 1, plain))
  return Buffer.concat(parts)
}

const item = { key: bytes('a'), value: bytes('1'), createRevision: 2, modRevision: 3, version: 2, leaseId: 7n }
const lease = { id: 7n, ttlSeconds: 2.5, deadlineMs: 1_767_225_600_000 }
const meta = [chunkTypes.meta, encodeMeta({ revision: 5, items: 1, createdAt: new Date(0), driver: 'memory' })] as const
const items = [chunkTypes.items, encodeItems([item])] as const
const leases = [chunkTypes.leases, encodeLeases([lease])] as const
const end = [chunkTypes.end, encodeEnd({ items: 1, leases: 1 })] as const

describe('the format of snapshots', () => {
  it('is the one that was published: bytes of version 1 are read', async () => {
    const plain =
      'SzNTIERBVEFTVE9SRQ0KGgEAAABcAAAAXAAAAJPcImN7ImZvcm1hdCI6MSwicmV2aXNpb24iOjUsIml0ZW1zIjoxLCJjcmVhdGVkQXQiOiIxOTcwLTAxLTAx' +
      'VDAwOjAwOjAwLjAwMFoiLCJkcml2ZXIiOiJtZW1vcnkifeSLL+95/to/eXwaqdF+tI+r/c9mkrey0nbuo/yPKgPfAgAAACoAAAAqAAAANGnXMAEAAAABAAAA' +
      'AgAAAAAAAAADAAAAAAAAAAIAAAAAAAAABwAAAAAAAABhMbHa2WoYr92FuBfb/m2ZmEBvM976YNWlgE49gGqbXTbeAwAAABgAAAAYAAAAcUG4NgcAAAAAAAAA' +
      'AAAAAAAABEAAAICqbbd5QjirioSK1zkqAlGLPaxg6Kh62yoMz4RU/NTKrEvx6eaRBAAAABYAAAAWAAAA/811t3siaXRlbXMiOjEsImxlYXNlcyI6MX2PPsuE' +
      'HpD8nzvpOYthHue+J9RJtll/PQOtaDXPnVymGA=='
    const compressed =
      'SzNTIERBVEFTVE9SRQ0KGgEBAABbAAAAXAAAAEoKaagotS/9AFiVAgAixREYgKlt2I23vxMgISjNGTLFwEslsVIbMmcECycU5aXNegfqMXHhv2E/oV7q5QFB' +
      '2byDc2tODSlv0QRgRiBMeJyalHlNKjpYEQIA6mSs18wDt4927La54v566a+AVPAUOAdthM3Re8x8ljW1b5P6ezYCAQAAJgAAAI0AAAAHgkp2KLUv/QBY7QAA' +
      'eAEAAABkAAAAAgADAAdhegUAAJcQOJ75LMB4AEjqUXjSA0b+4+gQFqJDCnUNWxABJvMudSJEQsB6vc8EnQMAAAAYAAAAGAAAAHFBuDYHAAAAAAAAAAAAAAAA' +
      'AARAAACAqm23eUJMSV2FSEQrPLyMCi2dfgcLU1Zyj+dhPxONOJTHyGHp+QQAAAAWAAAAFgAAAP/Ndbd7Iml0ZW1zIjoxLCJsZWFzZXMiOjF9rAs0EC6aQms+' +
      'U1oswRq0OlH15vsSgqD/pLRuE2RUmXI='
    for (const [published, value] of [
      [plain, '1'],
      [compressed, 'z'.repeat(100)],
    ] as const) {
      const state = await readSnapshot(pieces(Buffer.from(published, 'base64'), 7))
      expect(state.meta).toEqual({ revision: 5, items: 1, createdAt: new Date(0), driver: 'memory' })
      expect(await Array.fromAsync(state.pages())).toEqual([[{ ...item, value: bytes(value) }]])
      expect(await state.leases()).toEqual([lease])
    }
    expect((await encode(meta, items, leases, end)).toString('base64')).toBe(plain)
  })

  it('packs items and leases without loss', () => {
    const extreme = {
      key: new Uint8Array(300).fill(255),
      value: new Uint8Array(0),
      createRevision: 1,
      modRevision: Number.MAX_SAFE_INTEGER,
      version: 1,
      leaseId: 2n ** 63n - 1n,
    }
    expect(decodeItems({ type: 2, plain: encodeItems([item, extreme]), position: 0 })).toEqual([item, extreme])
    expect(decodeLeases({ type: 3, plain: encodeLeases([lease]), position: 0 })).toEqual([lease])
  })

  it('hands out chunks whatever the pieces are in which the bytes come', async () => {
    const whole = await encode(meta, items, end)
    for (const size of [1, 5, 16, 100, whole.length])
      expect((await Array.fromAsync(readChunks(pieces(whole, size)))).map(({ type }) => type)).toEqual([1, 2, 4])
  })

  for (const [name, chunks, reason] of [
    ['without what it says of itself', [items, end], 'does not begin'],
    ['with nothing', [], 'cut off'],
    ['without an end', [meta, items, leases], 'its end is missing'],
    ['with something behind its end', [meta, items, leases, end, leases], 'follows its end'],
    ['with a chunk that is not known', [meta, [9, Buffer.alloc(1)], end], 'type 9'],
    [
      'whose counts are wrong',
      [meta, items, leases, [chunkTypes.end, encodeEnd({ items: 2, leases: 1 })]],
      'has 1 items and 1 leases, not 2 and 1',
    ],
    ['whose lease is missing', [meta, items, [chunkTypes.end, encodeEnd({ items: 1, leases: 0 })]], 'lease 7 of a key is missing'],
    ['whose item is cut off', [meta, [chunkTypes.items, items[1].subarray(0, 20)], end], 'an item is cut off'],
    ['whose lease is cut off', [meta, items, [chunkTypes.leases, leases[1].subarray(0, 20)], end], 'a lease is cut off'],
    ['whose meta is no JSON', [[chunkTypes.meta, Buffer.from('{')], end], 'cannot be read'],
    ['whose meta lacks the revision', [[chunkTypes.meta, Buffer.from('{"format":1}')], end], 'incomplete'],
  ] as const)
    it(`${name} is refused though its hashes are right`, async () => {
      await expect(verifySnapshot(pieces(await encode(...chunks), 50))).rejects.toMatchObject({
        code: 'Damaged',
        message: expect.stringContaining(reason),
      })
    })

  it('of a newer version is refused with NewerSchema', async () => {
    const newer = Buffer.from(meta[1].toString().replace('"format":1', '"format":2'))
    await expect(verifySnapshot(pieces(await encode([chunkTypes.meta, newer], end), 50))).rejects.toMatchObject({ code: 'NewerSchema' })
  })

  it('with items that cannot be is refused: out of order, from the future, older than themselves', async () => {
    for (const wrong of [
      { ...item, key: new Uint8Array(0) },
      { ...item, modRevision: 6 },
      { ...item, createRevision: 4 },
      { ...item, version: 3 },
      { ...item, version: 0 },
    ])
      await expect(
        verifySnapshot(pieces(await encode(meta, [chunkTypes.items, encodeItems([wrong])], leases, end), 50)),
        JSON.stringify({ ...wrong, leaseId: 0 }),
      ).rejects.toMatchObject({ code: 'Damaged' })
    const two = [chunkTypes.meta, encodeMeta({ revision: 5, items: 2, createdAt: new Date(0), driver: 'memory' })] as const
    const doubled = await encode(two, items, items, leases, [chunkTypes.end, encodeEnd({ items: 2, leases: 1 })])
    await expect(verifySnapshot(pieces(doubled, 50))).rejects.toMatchObject({ message: expect.stringContaining('is not behind') })
  })
})
