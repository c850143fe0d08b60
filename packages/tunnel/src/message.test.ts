import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeConnectionIds,
  decodeMessage,
  encodeConnectionIds,
  encodeMessage,
  messageTypes,
  readVarint,
  writeVarint,
  type MessageType,
} from './message.ts'

describe('varints', () => {
  it.each([
    [0, '00'],
    [1, '02'],
    [-1, '01'],
    [63, '7e'],
    [64, '8001'],
    [15_000, 'b0ea01'],
  ])('writes %i as Go does', (value, hex) => {
    expect(writeVarint(value).toString('hex')).toBe(hex)
  })
  it('reads what it wrote', () => {
    fc.assert(fc.property(fc.maxSafeInteger(), (value) => readVarint(writeVarint(value), 0)?.value === value))
  })
})

describe('frames', () => {
  const types = Object.keys(messageTypes) as MessageType[]
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.nat(), fc.uint8Array(), fc.nat(), (type, connectionId, payload, id) => {
        const message = { type, connectionId, payload: Buffer.from(payload) }
        expect(decodeMessage(encodeMessage(message, id))).toEqual(message)
      }),
    )
  })
  it('that are damaged are refused, never misread into an exception', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void decodeMessage(Buffer.from(bytes))))
    expect(decodeMessage(Buffer.alloc(0))).toBeUndefined()
    expect(decodeMessage(Buffer.from([2, 2, 0x7e]))).toBeUndefined()
  })
  it('carry lists of connections', () => {
    expect(decodeConnectionIds(encodeConnectionIds([1, 2 ** 40]))).toEqual([1, 2 ** 40])
  })
})
