import { expect, it } from 'vitest'
import { patchAuthority } from './authority.ts'

/** HPACK's codes (RFC 7541, appendix B) of the characters below. */
const codes: Readonly<Record<string, string>> = {
  a: '00011',
  c: '00100',
  e: '00101',
  h: '100111',
  l: '101000',
  m: '101001',
  o: '00111',
  p: '101011',
  s: '01000',
  t: '01001',
  w: '1111000',
  x: '1111001',
  ':': '1011100',
  '/': '011000',
  '.': '010111',
}

/** A Huffman-coded string of HPACK, filled up with ones. */
function huffman(text: string): Buffer {
  const bits = text
    .split('')
    .map((character) => codes[character] ?? '')
    .join('')
  const bytes = (bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))
  return Buffer.from([0x80 | bytes.length, ...bytes])
}

const method = Buffer.from([0x83])
const path = Buffer.concat([Buffer.from([0x44]), huffman('/a/path')])
const patched = (...block: readonly Uint8Array[]): string => {
  const buffer = Buffer.concat(block)
  patchAuthority(buffer)
  return buffer.toString('hex')
}
const hex = (...block: readonly Uint8Array[]): string => Buffer.concat(block).toString('hex')
const literal = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])

it("the codes here are the specification's", () => {
  expect(huffman('https://www.example.com').subarray(1).toString('hex')).toBe('9d29ad171863c78f0b97c8e9ae82ae43d3') // C.6.1
})

it('each "/" of an authority becomes a ".", and nothing else is touched', () => {
  const end = Buffer.from([0x40, ...literal('name/'), ...literal('a/value')])
  for (const representation of [0x41, 0x01, 0x11]) {
    const name = Buffer.from([representation])
    expect(patched(method, path, name, huffman('https://www.example.com'), end)).toBe(
      hex(method, path, name, huffman('https:..www.example.com'), end),
    )
    expect(patched(method, path, name, literal('http://a/b'), end)).toBe(hex(method, path, name, literal('http:..a.b'), end))
    expect(patched(end, path, name, huffman('www.example.com'))).toBe(hex(end, path, name, huffman('www.example.com')))
  }
})

it('a block without one, or one that is cut off, is left as it is', () => {
  for (const block of [hex(method, path), hex(Buffer.from([0x41, 0x7f])), hex(Buffer.from([0x41])), ''])
    expect(patched(Buffer.from(block, 'hex'))).toBe(block)
})
