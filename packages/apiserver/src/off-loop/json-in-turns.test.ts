import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copyInTurns, equalInTurns, freezeInTurns, parseInTurns, stringifyInTurns, weigh } from './json-in-turns.ts'

const long = Object.fromEntries(Array.from({ length: 12_000 }, (_, at) => [`key-${at}`, `value "${at}" \\ ü`]))
const list = Array.from({ length: 20_000 }, (_, at) => ({ at, inner: [at, null, true] }))
const deep = (levels: number, inner: unknown): unknown => (levels === 0 ? inner : { a: deep(levels - 1, inner), b: [levels] })

const values: Readonly<Record<string, unknown>> = {
  'an object of many': { apiVersion: 'v1', data: long, last: 1 },
  'a list of many': [1, list, { list }, 'end'],
  'a long text': { text: 'x'.repeat(200_000), 'a"\\\u0000ü': 'y'.repeat(100_000), list: ['z'.repeat(100_000)] },
  'much at the bottom': deep(50, [long, list]),
  'fields that are prototypes elsewhere': JSON.parse(
    `{"__proto__":${JSON.stringify(long)},"constructor":${JSON.stringify(list)},"a":{"__proto__":1}}`,
  ),
  'numbers for names': { ...Object.fromEntries(list.map(({ at }) => [`${at}`, at])), b: long, 1: long },
  'empty things': [long, {}, [], { a: {}, b: [] }, list, ''],
  'no object': 'x'.repeat(100_000),
}

/** What other programs wrote of the event loop's turns meanwhile. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  await work().finally(() => (isDone = true))
  return turns
}

describe('JSON in turns', () => {
  it.each(Object.keys(values))('reads and writes %s as JSON does', async (name) => {
    const value = values[name]
    const text = JSON.stringify(value)
    expect((await stringifyInTurns(value)).toString()).toBe(text)
    expect(JSON.stringify(await copyInTurns(value))).toBe(text)
    expect(JSON.stringify(await parseInTurns(Buffer.from(text)))).toBe(text)
    expect(JSON.stringify(await parseInTurns(Buffer.from(JSON.stringify(value, undefined, 2))))).toBe(text)
    expect(JSON.stringify(await parseInTurns(Buffer.from(text), { freezes: true }))).toBe(text)
  })

  it('leaves others their turns', async () => {
    const bytes = Buffer.from(JSON.stringify({ long, list }))
    expect(await turnsDuring(() => parseInTurns(bytes))).toBeGreaterThan(10)
    expect(await turnsDuring(() => stringifyInTurns({ long, list }))).toBeGreaterThan(10)
  })

  it('freezes all that it reads, when asked to', async () => {
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen))
    const bytes = Buffer.from(JSON.stringify({ long, list, deep: deep(100, list) }))
    expect(isFrozen(await parseInTurns(bytes, { freezes: true }))).toBe(true)
    const plain = await parseInTurns(bytes)
    expect(isFrozen(plain)).toBe(false)
    expect(await freezeInTurns(plain)).toBe(plain)
    expect(isFrozen(plain)).toBe(true)
  })

  it('leaves out what is undefined, and lets a replacer have its way with every value', async () => {
    const value = { long, none: undefined, list: [undefined, list, 1] }
    expect((await stringifyInTurns(value)).toString()).toBe(JSON.stringify(value))
    const replacer = (_key: string, inner: unknown): unknown => (inner === 7 ? 'seven' : inner)
    expect((await stringifyInTurns(value, replacer)).toString()).toBe(JSON.stringify(value, replacer))
  })

  it('refuses what is no JSON', async () => {
    await expect(parseInTurns(Buffer.from(`{"a":${JSON.stringify(list)}`))).rejects.toThrow(SyntaxError)
  })

  it('is the same for any value', { timeout: 60_000 }, async () => {
    const property = fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (value) => {
      const large = { before: value, list: [list, value, long], value }
      const text = JSON.stringify(large)
      expect((await stringifyInTurns(large)).toString()).toBe(text)
      expect(JSON.stringify(await parseInTurns(Buffer.from(text)))).toBe(text)
    })
    await fc.assert(property, { seed: 5, numRuns: 20 })
  })

  it('compares as it does at once', async () => {
    const value = { long, list, none: undefined }
    const turned = Object.fromEntries(Object.entries(long).toReversed())
    expect(await equalInTurns(value, { list, long: turned })).toBe(true)
    expect(await equalInTurns({ long: turned, list }, value)).toBe(true)
    expect(await equalInTurns(value, { list, long: { ...long, more: 1 } })).toBe(false)
    expect(await equalInTurns(value, { list, long: { ...long, 'key-11999': '' } })).toBe(false)
    expect(await equalInTurns(value, { list: list.slice(1), long })).toBe(false)
    expect(await equalInTurns(value, undefined)).toBe(false)
    expect(await equalInTurns([{ long }, list], [{ long: turned }, list])).toBe(true)
    const fields: unknown = Object.fromEntries(list.entries())
    expect(await equalInTurns([{ long }, list], [{ long: turned }, fields])).toBe(false)
    expect(await equalInTurns(list, fields)).toBe(false)
    expect(await turnsDuring(() => equalInTurns({ long }, { long: turned }))).toBeGreaterThan(2)
  })

  it('weighs no further than it is asked to', () => {
    expect(weigh({ a: [1, 'x', null] }, 100)).toBe(5)
    expect(weigh('x'.repeat(6400), 1000)).toBe(101)
    expect(weigh(list, 50)).toBe(50)
  })
})
