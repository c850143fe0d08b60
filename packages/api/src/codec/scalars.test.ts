import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { schemaOf } from '../schema/table.ts'
import { base64Error } from './base64.ts'
import { formatDuration, parseDuration } from './duration.ts'
import { decodeMessage, decodeProtobuf, isProtobuf, readEnvelope } from './protobuf-decode.ts'
import { encodeProtobuf, encodeProtobufMessage } from './protobuf-encode.ts'
import { normalizeMicroTime, normalizeTime } from './time.ts'
import { WireReader, WireWriter } from './wire.ts'

describe('normalizeTime()', () => {
  it.each([
    ['2026-01-31T10:20:30Z', '2026-01-31T10:20:30Z'],
    ['2026-01-31T10:20:30.999Z', '2026-01-31T10:20:30Z'],
    ['2026-01-31T10:20:30+02:30', '2026-01-31T07:50:30Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'],
    ['2026-02-29T00:00:00Z', undefined],
    ['2026-01-31', undefined],
    ['2026-01-31T24:00:00Z', undefined],
    ['', undefined],
  ])('%s is %s', (text, expected) => {
    expect(normalizeTime(text)).toBe(expected)
  })

  it('keeps six decimals of a micro time', () => {
    expect(normalizeMicroTime('2026-01-31T10:20:30.1234567Z')).toBe('2026-01-31T10:20:30.123456Z')
    expect(normalizeMicroTime('1969-12-31T23:59:59.5Z')).toBe('1969-12-31T23:59:59.500000Z')
  })
})

describe('base64Error()', () => {
  it('agrees with what Buffer writes, and finds the first wrong byte', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => base64Error(Buffer.from(bytes).toString('base64')) === -1))
    expect(['a', 'ab=', 'a-==', '====', 'YQ=', 'YQ==='].map(base64Error)).toEqual([0, 2, 1, 0, 2, 2])
  })
})

describe('parseDuration()', () => {
  it('reads what formatDuration writes', () => {
    fc.assert(fc.property(fc.integer({ min: -1e15, max: 1e15 }), (nanos) => parseDuration(formatDuration(nanos)) === nanos))
    expect([3661e9, 90e9, 0, 1.5e6, 1500].map(formatDuration)).toEqual(['1h1m1s', '1m30s', '0s', '1.5ms', '1.5µs'])
    expect(parseDuration('5')).toBeUndefined()
  })
})

describe('WireWriter', () => {
  it('writes numbers and text that WireReader reads', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.string({ unit: 'binary' }), fc.double({ noNaN: true }), (int, text, double) => {
        const writer = new WireWriter()
        writer.double(double)
        writer.text(text)
        writer.varint(int)
        const bytes = writer.finish()
        const reader = new WireReader(bytes, 0, bytes.length)
        expect([reader.int64(), reader.text(), reader.double()]).toEqual([int, text.toWellFormed(), double])
        expect(reader.at).toBe(bytes.length)
      }),
    )
  })
})

describe('decodeProtobuf()', () => {
  const type = schemaOf('v1', 'ConfigMap')!
  const bytes = encodeProtobuf({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { b: 'ü', a: '' } }, type)

  it('reads the envelope first', () => {
    expect(isProtobuf(bytes)).toBe(true)
    expect(readEnvelope(bytes)).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
    expect(decodeProtobuf(bytes, () => type)).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a' },
      data: { a: '', b: 'ü' },
    })
  })

  it('carries objects in protobuf inside others', () => {
    const event = schemaOf('v1', 'WatchEvent')!
    const message = encodeProtobufMessage({ type: 'ADDED', object: bytes }, event)
    expect(decodeMessage(message, event)).toEqual({
      type: 'ADDED',
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { a: '', b: 'ü' } },
    })
  })

  it('passes over fields that it does not know', () => {
    const extended = Buffer.concat([bytes, Buffer.from([0xc2, 0x3e, 1, 65])])
    expect(decodeProtobuf(extended, () => type)).toMatchObject({ metadata: { name: 'a' } })
  })

  it('refuses broken bytes with BadRequest, whatever they are', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 5), fc.nat(255), (at, value) => {
        const broken = Uint8Array.from(bytes)
        broken[at + 4] = value
        let error: unknown
        try {
          decodeProtobuf(broken, () => type)
        } catch (thrown) {
          error = thrown
        }
        expect(error === undefined || (error as { reason?: string }).reason).toSatisfy(
          (reason) => reason === true || reason === 'BadRequest',
        )
      }),
    )
    expect(() => decodeProtobuf(bytes.subarray(0, bytes.length - 9), () => type)).toThrow('unexpected EOF')
    expect(() => decodeProtobuf(Buffer.from('{}'), () => type)).toThrow('expected prefix [107 56 115 0]')
    expect(() => decodeProtobuf(bytes, () => undefined)).toThrow('no kind "ConfigMap" is registered for version "v1"')
  })
})
