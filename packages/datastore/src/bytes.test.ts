import fc from 'fast-check'
import { expect, it } from 'vitest'
import { compareBytes, isInRange, prefixRange, toBinaryString } from './bytes.ts'

it('compareBytes() orders as memcmp does, and binary strings order alike', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
      const order = Math.sign(Buffer.compare(a, b))
      expect(Math.sign(compareBytes(a, b))).toBe(order)
      expect(toBinaryString(a) < toBinaryString(b)).toBe(order < 0)
    }),
  )
})

it('prefixRange() holds exactly the keys that begin with the prefix, and leaves the prefix alone', () => {
  const byte = fc.constantFrom(0, 1, 254, 255)
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 3 }), fc.array(byte, { maxLength: 4 }), (prefix, key) => {
      const start = Buffer.from(prefix)
      expect(isInRange(prefixRange(start), Buffer.from(key))).toBe(prefix.every((value, index) => key[index] === value))
      expect([...start]).toEqual(prefix)
    }),
  )
})
