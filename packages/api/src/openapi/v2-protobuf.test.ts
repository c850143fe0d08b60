import { describe, expect, it } from 'vitest'
import { WireReader } from '../codec/wire.ts'
import { openApiV2 } from './documents.ts'
import { encodeOpenApiV2 } from './v2-protobuf.ts'

/** The fields of a message in a readable form: number → values; text where it is the number of a text. */
function fields(reader: WireReader): Map<number, WireReader[]> {
  const found = new Map<number, WireReader[]>()
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if ((tag & 7) === 2) found.set(tag >> 3, [...(found.get(tag >> 3) ?? []), reader.message()])
    else reader.skip(tag & 7)
  }
  return found
}

describe('encodeOpenApiV2()', () => {
  const document = openApiV2()
  const bytes = Buffer.from(encodeOpenApiV2(document))
  const textOf = (reader: WireReader | undefined): string => (reader === undefined ? '' : bytes.toString('utf8', reader.at, reader.end))
  const top = fields(new WireReader(bytes, 0, bytes.length))

  it('holds every path and definition by name, in order', () => {
    expect(textOf(top.get(1)?.[0])).toBe('2.0')
    const names = (number: number, entry: number): string[] =>
      (top.get(number) ?? []).flatMap((all) => fields(all).get(entry) ?? []).map((item) => textOf(fields(item).get(1)?.[0]))
    expect(names(8, 2)).toEqual(Object.keys(document['paths'] as object))
    expect(names(9, 1)).toEqual(Object.keys(document['definitions'] as object))
  })

  it('writes the smallest document as gnostic does', () => {
    const small = encodeOpenApiV2({ swagger: '2.0', definitions: { A: { type: 'string', 'x-b': 1 } } })
    const swagger = '0a03322e30'
    const infoAndPaths = '12004200'
    const type = 'b201080a06737472696e67'
    const extension = 'fa010a0a03782d621203120131'
    expect(Buffer.from(small).toString('hex')).toBe(`${swagger}${infoAndPaths}4a1f0a1d0a01411218${type}${extension}`)
  })
})
