import { expect, it } from 'vitest'
import { literal, statementText, textBytes } from './statement-text.ts'

it.each([
  [null, 'null'],
  [42, '42'],
  [-1.5, '-1.5'],
  [2n ** 63n - 1n, '9223372036854775807'],
  ['a-b 1', "'a-b 1'"],
  ["o'neil", "convert(x'6f276e65696c' using utf8mb4)"],
  ['\\', "convert(x'5c' using utf8mb4)"],
  [new Uint8Array(), "x''"],
  [Uint8Array.of(0, 39, 92, 255), "x'00275cff'"],
  [Buffer.from('xaby').subarray(1, 3), "x'6162'"],
])('is, of %s, %s', (value, text) => {
  expect(literal(value)).toBe(text)
})

it.each([[Number.NaN], [Number.POSITIVE_INFINITY], [{}], [[1]], [true]])('literal(%o) is refused', (value) => {
  expect(() => literal(value)).toThrow('can be stored')
})

it('a statement has its values in their places, and its size is never underestimated', () => {
  const statement = { sql: 'insert into log values (?, ?, ?)', values: [1, Buffer.from('?'), "?'"] }
  const text = statementText(statement)
  expect(text).toBe("insert into log values (1, x'3f', convert(x'3f27' using utf8mb4))")
  expect(textBytes(statement)).toBeGreaterThanOrEqual(text.length)
  expect(() => statementText({ ...statement, values: [1] })).toThrow('1 values for 3 places')
})
