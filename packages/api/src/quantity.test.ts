import { describe, expect, it } from 'vitest'
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  isQuantity,
  quantityMilli,
  quantityNanos,
  quantityOf,
  quantityValue,
  subtractQuantities,
} from './quantity.ts'

describe('canonicalQuantity()', () => {
  it.each([
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['1.5', '1500m'],
    ['0.5Gi', '512Mi'],
    ['1024Mi', '1Gi'],
    ['1000Mi', '1000Mi'],
    ['100', '100'],
    ['1000', '1k'],
    ['3e6', '3e6'],
    ['1E', '1E'],
    ['0.1n', '1n'],
    ['-0.1n', '-1n'],
    ['0', '0'],
    ['.5', '500m'],
    ['5.', '5'],
    ['128', '128'],
    ['500Ki', '500Ki'],
    ['0.5Ki', '512'],
  ])('gives %s as %s', (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical)
  })
})

describe('quantity arithmetic', () => {
  it('rounds up to whole units and millis', () => {
    expect(quantityValue('1500m')).toBe(2)
    expect(quantityMilli('0.0001')).toBe(1)
    expect(quantityValue('1Gi')).toBe(2 ** 30)
    expect(quantityValue(undefined)).toBe(0)
  })
  it('keeps the format of the first operand that is not zero', () => {
    expect(addQuantities('100m', '900m')).toBe('1')
    expect(addQuantities('0', '1Gi')).toBe('1Gi')
    expect(subtractQuantities('1Gi', '512Mi')).toBe('512Mi')
    expect(quantityOf(2 ** 20, 'binarySI')).toBe('1Mi')
  })
  it('compares across formats', () => {
    expect(compareQuantities('1Ki', '1024')).toBe(0)
    expect(compareQuantities('1k', '1Ki')).toBe(-1)
  })
  it.each(['', '.', 'a', '1 Gi', '1GiB', '--1', '1ki'])('refuses %j', (text) => {
    expect(isQuantity(text)).toBe(false)
    expect(() => quantityValue(text)).toThrow(TypeError)
  })
})

describe('a quantity that is made to hurt', () => {
  it('is capped, rounded or refused at once', () => {
    expect(quantityValue('1e9999')).toBe(2 ** 63)
    expect(quantityValue('-1e9999')).toBe(-(2 ** 63))
    expect(quantityValue('20Ei')).toBe(2 ** 63)
    expect(quantityNanos('1e-9999')).toBe(1n)
    expect(quantityNanos('0e9999')).toBe(0n)
    expect(isQuantity('9'.repeat(1_000_000))).toBe(false)
    for (let count = 0; count < 10_000; count++) isQuantity('1e9999')
  })
})
