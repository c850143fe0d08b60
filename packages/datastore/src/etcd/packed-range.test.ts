import { expect, it } from 'vitest'
import type { KeyValue } from '../contract.ts'
import type { PackedItems } from '../engine/packed-list.ts'
import { unpackItems } from '../engine/packed-list.ts'
import { encode } from './codec.ts'
import { encodePackedRange } from './packed-range.ts'

const header = { clusterId: 2n ** 64n - 1n, memberId: 7n, revision: 2 ** 40, raftTerm: 2 }

const items: readonly KeyValue[] = [
  { key: Buffer.from('a'), value: Buffer.alloc(0), createRevision: 1, modRevision: 1, version: 1, leaseId: 0n },
  { key: Buffer.from('b/ü'), value: Buffer.alloc(127, 1), createRevision: 127, modRevision: 128, version: 2, leaseId: 1n },
  {
    key: Buffer.alloc(300, 'k'),
    value: Buffer.alloc(70_000, 2),
    createRevision: 2 ** 35,
    modRevision: 2 ** 53 - 1,
    version: 300,
    leaseId: 2n ** 63n - 1n,
  },
]

function pack(part: readonly KeyValue[]): PackedItems {
  const leases = part.map(({ leaseId }) => (leaseId === 0n ? 0 : String(leaseId)))
  const columns = [
    part.map(({ key }) => key.length),
    part.map(({ value }) => value.length),
    part.map(({ createRevision }) => createRevision),
    part.map(({ modRevision }) => modRevision),
    part.map(({ version }) => version),
    leases,
  ]
  const bytes = Uint8Array.from(Buffer.concat(part.flatMap(({ key, value }) => [key, value])))
  return { bytes, numbers: JSON.stringify(columns) }
}

it.each([
  { name: 'nothing', parts: [], count: 0, more: false },
  { name: 'a count alone', parts: [], count: 9, more: false },
  { name: 'one part', parts: [items], count: 3, more: false },
  { name: 'several parts with more to come', parts: [items.slice(0, 1), items.slice(1)], count: 1000, more: true },
])('encodePackedRange() gives the bytes of encode(): $name', ({ parts, count, more }) => {
  const packed = encodePackedRange(header, { revision: header.revision, parts: parts.map(pack), count, more }, 5)
  expect(packed.subarray(5)).toEqual(encode('RangeResponse', { header, kvs: parts.flat(), more, count }))
})

it('unpackItems() gives what was packed', () => {
  expect(unpackItems(pack(items)).map((item) => ({ ...item, key: Buffer.from(item.key), value: Buffer.from(item.value) }))).toEqual(items)
})
