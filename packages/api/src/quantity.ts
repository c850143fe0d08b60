import type { Quantity } from './scalars.ts'

/**
 * Amounts such as `100m`, `1.5Gi` or `3e6`, exact to the nano, as apimachinery's resource.Quantity: smaller fractions round up
 * (away from zero). Values are `bigint` nanos inside, so that sums never lose anything.
 */

const nano = 1_000_000_000n
const decimalSuffixes: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const binarySuffixes: Readonly<Record<string, bigint>> = {
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n,
}

// The sign, digits with at most one point, and a suffix: binary, decimal SI or an exponent.
const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d{1,4}|[numkMGTPE]?)$/

type Format = 'decimalSI' | 'binarySI' | 'decimalExponent'

interface Parsed {
  readonly nanos: bigint
  readonly format: Format
}

const divideAwayFromZero = (value: bigint, by: bigint): bigint => {
  const quotient = value / by
  if (value % by === 0n) return quotient
  return value < 0n ? quotient - 1n : quotient + 1n
}

// Longer ones say nothing, and arithmetic on them is quadratic.
const maxLength = 256

// As upstream: what is larger than 2^63 - 1 is that.
const maxNanos = (2n ** 63n - 1n) * nano
const capped = (nanos: bigint): bigint => (nanos > maxNanos ? maxNanos : nanos < -maxNanos ? -maxNanos : nanos)

function parse(text: string): Parsed | undefined {
  if (text.length > maxLength) return undefined
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match
  if (whole === '' && fraction === '') return undefined
  const digits = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n)
  const binary = binarySuffixes[suffix]
  if (binary !== undefined)
    return { nanos: capped(divideAwayFromZero(digits * binary * nano, 10n ** BigInt(fraction.length))), format: 'binarySI' }
  const isExponent = /^[eE][+-]?\d/.test(suffix)
  const exponent = (isExponent ? Number(suffix.slice(1)) : (decimalSuffixes[suffix] ?? 0)) - fraction.length + 9
  // More places than these lead beyond the cap, or to less than a nano.
  const places = BigInt(Math.min(Math.abs(exponent), maxLength + 30))
  const nanos = exponent >= 0 ? digits * 10n ** places : divideAwayFromZero(digits, 10n ** places)
  return { nanos: capped(nanos), format: isExponent ? 'decimalExponent' : 'decimalSI' }
}

/** True when `text` is a quantity. */
export function isQuantity(text: string): boolean {
  return parse(text) !== undefined
}

/** Nanos of a quantity (`1` is 1_000_000_000n); a number is taken as its decimal text. Throws a `TypeError` when it is none. */
export function quantityNanos(quantity: Quantity | number): bigint {
  const parsed = parse(String(quantity))
  if (parsed === undefined) {
    throw new TypeError(`quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`)
  }
  return parsed.nanos
}

/** Whole units, rounded up: bytes of a memory quantity, for example. Precise to 2^53. */
export function quantityValue(quantity: Quantity | number | undefined): number {
  return quantity === undefined ? 0 : Number(divideAwayFromZero(quantityNanos(quantity), nano))
}

/** Thousandths, rounded up: millicores of a CPU quantity. Precise to 2^53. */
export function quantityMilli(quantity: Quantity | number | undefined): number {
  return quantity === undefined ? 0 : Number(divideAwayFromZero(quantityNanos(quantity), nano / 1000n))
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
export function compareQuantities(a: Quantity | number, b: Quantity | number): number {
  const difference = quantityNanos(a) - quantityNanos(b)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** Sum in the format of the first operand that is not zero. */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return format(quantityNanos(a) + quantityNanos(b), formatOf(quantityNanos(a) === 0n ? b : a))
}

/** `a - b`, in the format of `a` (of `b` when `a` is zero). */
export function subtractQuantities(a: Quantity, b: Quantity): Quantity {
  return format(quantityNanos(a) - quantityNanos(b), formatOf(quantityNanos(a) === 0n ? b : a))
}

/** Upstream's canonical form: no fraction, the largest suffix that keeps it exact; `1000m` is `1`, `0.5Gi` is `512Mi`. Throws a `TypeError` when it is none. */
export function canonicalQuantity(quantity: Quantity | number): Quantity {
  return format(quantityNanos(quantity), formatOf(String(quantity)))
}

/** A quantity of whole units in binary (`1Gi`) or decimal (`1G`) form. */
export function quantityOf(value: number, style: 'binarySI' | 'decimalSI'): Quantity {
  return format(BigInt(Math.ceil(value)) * nano, style)
}

/** A CPU quantity of `milli` millicores. */
export function milliQuantity(milli: number): Quantity {
  return format(BigInt(Math.ceil(milli)) * (nano / 1000n), 'decimalSI')
}

const formatOf = (text: string): Format => parse(text)?.format ?? 'decimalSI'

function format(nanos: bigint, style: Format): Quantity {
  if (nanos === 0n) return '0'
  if (style === 'binarySI') {
    // Upstream falls back to decimal when the amount is not whole or below one unit of Ki.
    if (nanos % nano === 0n && (nanos >= 1024n * nano || nanos <= -1024n * nano)) {
      let value = nanos / nano
      let suffix = ''
      for (const next of Object.keys(binarySuffixes)) {
        if (value % 1024n !== 0n) break
        value /= 1024n
        suffix = next
      }
      return `${value}${suffix}`
    }
  }
  let value = nanos
  let exponent = -9
  while (value % 1000n === 0n && exponent < 18) {
    value /= 1000n
    exponent += 3
  }
  if (style === 'decimalExponent') return exponent === 0 ? `${value}` : `${value}e${exponent}`
  const suffix = Object.entries(decimalSuffixes).find(([, power]) => power === exponent)?.[0] ?? ''
  return `${value}${suffix}`
}
