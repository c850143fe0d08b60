import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonSyntaxProblem } from './json-syntax.ts'

describe('jsonSyntaxProblem()', () => {
  it.each([
    ['', 'unexpected end of JSON input'],
    ['{', 'unexpected end of JSON input'],
    ['{"a": [1, {"b"', 'unexpected end of JSON input'],
    ['not json', "invalid character 'o' in literal null (expecting 'u')"],
    ['kind: X', "invalid character 'k' looking for beginning of value"],
    ['{"kind":"X"} x', "invalid character 'x' after top-level value"],
    ['{a}', "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"}', `invalid character '"' after object key:value pair`],
    ['[1 2]', "invalid character '2' after array element"],
    ['[1,]', "invalid character ']' looking for beginning of value"],
    ['"a\nb"', String.raw`invalid character '\n' in string literal`],
    [String.raw`"\x"`, "invalid character 'x' in string escape code"],
    [String.raw`"\u00g0"`, String.raw`invalid character 'g' in \u hexadecimal character escape`],
    ['-x', "invalid character 'x' in numeric literal"],
    ['01', "invalid character '1' after top-level value"],
    ['1.', 'unexpected end of JSON input'],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['1e+x', "invalid character 'x' in exponent of numeric literal"],
    ["'", String.raw`invalid character '\'' looking for beginning of value`],
    ['ä', "invalid character 'Ã' looking for beginning of value"],
  ])('says of %j: %s', (text, expected) => {
    expect(jsonSyntaxProblem(text)).toBe(expected)
  })

  it('names bytes that are no text', () => {
    expect(jsonSyntaxProblem(new Uint8Array([0x81]))).toBe(String.raw`invalid character '\u0081' looking for beginning of value`)
    expect(jsonSyntaxProblem(new Uint8Array([0x01]))).toBe(String.raw`invalid character '\x01' looking for beginning of value`)
  })

  it('has nothing to say of JSON, and of nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string(), fc.stringMatching(/^[{}[\]",:0-9.eE\-+ truefalsn\\]*$/)), (text) => {
        const isJson = ((): boolean => {
          try {
            JSON.parse(text)
            return true
          } catch {
            return false
          }
        })()
        expect(jsonSyntaxProblem(text) === undefined).toBe(isJson)
      }),
    )
  })

  it('does not mind how deep text nests', () => {
    expect(jsonSyntaxProblem('['.repeat(100_000))).toBe('unexpected end of JSON input')
  })
})
