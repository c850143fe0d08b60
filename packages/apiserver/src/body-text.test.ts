import { describe, expect, it } from 'vitest'
import { jsonText, yamlText } from './body-text.ts'

const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth))

describe('jsonText()', () => {
  it('refuses what is nested too deep, not what only looks so', () => {
    expect(jsonText(nested(1000))).toHaveLength(2000)
    expect(() => jsonText(nested(1001))).toThrow('exceeded max depth')
    expect(() => jsonText(Buffer.from('{"a":'.repeat(500_000)))).toThrow('exceeded max depth')
    const quoted = JSON.stringify({ a: `\\"${'['.repeat(5000)}`, b: '{}'.repeat(5000) })
    expect(jsonText(Buffer.from(quoted))).toBe(quoted)
    const flat = JSON.stringify(Array.from({ length: 5000 }, () => ({})))
    expect(jsonText(Buffer.from(flat))).toBe(flat)
  })
})

it('refuses what has more values than anything that means something', () => {
  expect(jsonText(Buffer.from(`[${'1,'.repeat(59_998)}1]`))).toHaveLength(119_999)
  expect(() => jsonText(Buffer.from(`[${'1,'.repeat(60_000)}1]`))).toThrow('limit of values is 60000')
  expect(jsonText(Buffer.from(JSON.stringify(',{['.repeat(50_000))))).toHaveLength(150_002)
})

describe('yamlText()', () => {
  it('bounds YAML, but not JSON', () => {
    const items = Array.from({ length: 55_000 }, () => 'abcdefghi')
    expect(() => yamlText(Buffer.from(items.map((item) => `- ${item}`).join('\n')))).toThrow('limit of YAML is 524288')
    expect(() => yamlText(Buffer.from(`[${items.join(',')}]`))).toThrow('limit of YAML is 524288')
    expect(yamlText(Buffer.from(JSON.stringify(items)))).toHaveLength(items.length * 12 + 1)
    expect(yamlText(Buffer.from('a: b'))).toBe('a: b')
  })
})
