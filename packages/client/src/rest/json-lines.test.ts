import { describe, expect, it } from 'vitest'
import { readJsonLines } from './json-lines.ts'

async function read(pieces: readonly string[], maxBytes = 1000): Promise<unknown[]> {
  async function* chunks() {
    for (const piece of pieces) yield Buffer.from(piece)
  }
  const values: unknown[] = []
  for await (const value of readJsonLines(chunks(), maxBytes)) values.push(value)
  return values
}

describe('readJsonLines()', () => {
  it('gives the same values wherever the text is cut', async () => {
    const text = '{"a":1}\n\n["b","ü"]\n3'
    const bytes = Buffer.from(text)
    for (let cut = 0; cut <= bytes.length; cut++) {
      async function* chunks() {
        yield bytes.subarray(0, cut)
        yield bytes.subarray(cut)
      }
      const values: unknown[] = []
      for await (const value of readJsonLines(chunks(), 1000)) values.push(value)
      expect(values).toEqual([{ a: 1 }, ['b', 'ü'], 3])
    }
  })

  it('refuses a text longer than the bound', async () => {
    await expect(read(['"aaaa', 'aaaaaaaa"\n'], 8)).rejects.toThrow(RangeError)
    expect(await read(['"aa"\n', '"bb"\n'], 4)).toEqual(['aa', 'bb'])
  })

  it('throws on what is no JSON', async () => {
    await expect(read(['{"a"\n'])).rejects.toThrow(SyntaxError)
  })
})
