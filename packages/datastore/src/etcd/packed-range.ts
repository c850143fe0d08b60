import { releaseBytes } from '../bytes.ts'
import { readNumbers } from '../engine/packed-list.ts'
import type { ItemNumbers, PackedList } from '../engine/packed-list.ts'
import { encode } from './codec.ts'
import type { MessageInput } from './messages.ts'
import { sizeOfBigint, sizeOfNumber, WireWriter } from './wire.ts'

/** The tag of `kvs` in a `RangeResponse`. */
const kvsTag = 0x12

/** Some items of a list, ready to be written. */
interface MeasuredPart {
  readonly bytes: Buffer
  readonly numbers: ItemNumbers
  /** Of each item as a message. */
  readonly sizes: readonly number[]
}

/**
 * Encodes the answer to a range request from a packed list, after `headroom` bytes that are left for the caller to fill: the same bytes as
 * {@link encode} makes of the items, but without making them. The parts are empty afterwards.
 */
export function encodePackedRange(header: MessageInput<'ResponseHeader'>, { parts, more, count }: PackedList, headroom: number): Buffer {
  const [before, after] = [encode('RangeResponse', { header }), encode('RangeResponse', { more, count })]
  let size = headroom + before.length + after.length
  const measured = parts.map((part): MeasuredPart => {
    const numbers = readNumbers(part)
    const sizes = numbers[0].map((_, index) => measureItem(numbers, index))
    for (const itemSize of sizes) size += 1 + sizeOfNumber(itemSize) + itemSize
    const { buffer, byteOffset, byteLength } = part.bytes
    return { bytes: Buffer.from(buffer, byteOffset, byteLength), numbers, sizes }
  })
  const writer = new WireWriter(Buffer.allocUnsafe(size), headroom)
  writer.raw(before)
  for (const part of measured) {
    writeItems(part, writer)
    releaseBytes(part.bytes)
  }
  writer.raw(after)
  return writer.buffer
}

function measureItem([keyLengths, valueLengths, createRevisions, modRevisions, versions, leaseIds]: ItemNumbers, index: number): number {
  const [keyLength = 0, valueLength = 0, leaseId = 0] = [keyLengths[index], valueLengths[index], leaseIds[index]]
  return (
    (keyLength > 0 ? 1 + sizeOfNumber(keyLength) + keyLength : 0) +
    sizeOfField(createRevisions[index]) +
    sizeOfField(modRevisions[index]) +
    sizeOfField(versions[index]) +
    (valueLength > 0 ? 1 + sizeOfNumber(valueLength) + valueLength : 0) +
    (leaseId === 0 ? 0 : 1 + sizeOfBigint(BigInt(leaseId)))
  )
}

/** Of a number with its tag; zero is not sent. */
function sizeOfField(value = 0): number {
  return value === 0 ? 0 : 1 + sizeOfNumber(value)
}

function writeItems({ bytes, numbers, sizes }: MeasuredPart, writer: WireWriter): void {
  const [keyLengths, valueLengths, createRevisions, modRevisions, versions, leaseIds] = numbers
  let position = 0
  for (let index = 0; index < sizes.length; index++) {
    writer.taggedNumber(kvsTag, sizes[index] ?? 0)
    const keyEnd = position + (keyLengths[index] ?? 0)
    const end = keyEnd + (valueLengths[index] ?? 0)
    if (keyEnd > position) writer.taggedSlice(0x0a, bytes, position, keyEnd)
    writeField(writer, 0x10, createRevisions[index])
    writeField(writer, 0x18, modRevisions[index])
    writeField(writer, 0x20, versions[index])
    if (end > keyEnd) writer.taggedSlice(0x2a, bytes, keyEnd, end)
    const leaseId = leaseIds[index] ?? 0
    if (leaseId !== 0) {
      writer.number(0x30)
      writer.bigint(BigInt(leaseId))
    }
    position = end
  }
}

function writeField(writer: WireWriter, tag: number, value = 0): void {
  if (value !== 0) writer.taggedNumber(tag, value)
}
