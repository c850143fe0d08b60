import { traversal } from '../costs.ts'
import { overload, type Overload } from '../overload.ts'
import {
  codePoints,
  Duration,
  EvaluationError,
  isObjectValue,
  ListValue,
  MapValue,
  Timestamp,
  typeName,
  TypeValue,
  Uint,
  type Value,
} from '../values.ts'
import { formatType } from '../types.ts'
import { patternOverload } from './regex.ts'
import { asList, asString } from './arguments.ts'
import { formatDouble } from './standard.ts'
import { formatDuration, formatTimestamp } from './time.ts'

const number = (value: Value | undefined): number => {
  if (typeof value !== 'bigint') throw new EvaluationError('no such overload')
  return Number(value)
}

const characters = (value: Value | undefined): string[] => Array.from(asString(value))

function charAt(text: Value | undefined, at: Value | undefined): string {
  const all = characters(text)
  const index = number(at)
  if (index < 0 || index > all.length) throw new EvaluationError(`index out of range: ${index}`)
  return all[index] ?? ''
}

/** Positions count characters. */
function indexOf(text: Value | undefined, part: Value | undefined, offset: Value | undefined): bigint {
  const [all, wanted] = [characters(text), characters(part)]
  const from = offset === undefined ? 0 : number(offset)
  if (wanted.length === 0 && offset === undefined) return 0n
  if (from < 0) throw new EvaluationError(`index out of range: ${from}`)
  if (wanted.length === 0) return BigInt(from)
  for (let at = from; at + wanted.length <= all.length; at++) if (wanted.every((one, index) => all[at + index] === one)) return BigInt(at)
  return -1n
}

function lastIndexOf(text: Value | undefined, part: Value | undefined, offset: Value | undefined): bigint {
  const [all, wanted] = [characters(text), characters(part)]
  const from = offset === undefined ? all.length : number(offset)
  if (wanted.length === 0) return BigInt(from)
  if (from < 0) throw new EvaluationError(`index out of range: ${from}`)
  if (offset !== undefined && from >= all.length) return -1n
  for (let at = Math.min(from, all.length - wanted.length); at >= 0; at--)
    if (wanted.every((one, index) => all[at + index] === one)) return BigInt(at)
  return -1n
}

function substring(text: Value | undefined, start: Value | undefined, end: Value | undefined): string {
  const all = characters(text)
  const from = number(start)
  const to = end === undefined ? all.length : number(end)
  if (from > to) throw new EvaluationError(`invalid substring range. start: ${from}, end: ${to}`)
  if (from < 0 || from > all.length) throw new EvaluationError(`index out of range: ${from}`)
  if (to < 0 || to > all.length) throw new EvaluationError(`index out of range: ${to}`)
  return all.slice(from, to).join('')
}

function replace(text: Value | undefined, part: Value | undefined, by: Value | undefined, limit: Value | undefined): string {
  const most = limit === undefined ? -1 : number(limit)
  const [source, wanted, replacement] = [asString(text), asString(part), asString(by)]
  if (most === 0) return source
  if (wanted === '') {
    const all = Array.from(source)
    const count = most < 0 ? all.length + 1 : most
    return all.map((one, index) => (index < count ? replacement + one : one)).join('') + (all.length < count ? replacement : '')
  }
  const pieces = source.split(wanted)
  const count = most < 0 ? pieces.length : most
  return pieces.reduce((result, piece, index) => result + (index <= count ? replacement : wanted) + piece)
}

function split(text: Value | undefined, separator: Value | undefined, limit: Value | undefined): ListValue {
  const most = limit === undefined ? -1 : number(limit)
  if (most === 0) return new ListValue([])
  const source = asString(text)
  const by = asString(separator)
  const pieces = by === '' ? Array.from(source) : source.split(by)
  if (most < 0 || pieces.length <= most) return new ListValue(pieces)
  return new ListValue([...pieces.slice(0, most - 1), pieces.slice(most - 1).join(by)])
}

function join(list: Value | undefined, separator: string): string {
  return [...asList(list)].map(asString).join(separator)
}

/** Text that reads as a literal. */
function quote(text: string): string {
  const escapes: Readonly<Record<string, string>> = {
    '\u0007': '\\a',
    '\b': '\\b',
    '\f': '\\f',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\v': '\\v',
    '\\': '\\\\',
    '"': '\\"',
  }
  return `"${text.replaceAll(/[\u0007\b\f\n\r\t\v\\"]/g, (one) => escapes[one] ?? one)}"` // eslint-disable-line no-control-regex -- these are what is escaped
}

/** Upstream's `format`: `%s %d %f %e %b %x %X %o %%`, with a precision for `%f` and `%e`. */
function format(template: string, args: ListValue): string {
  let next = 0
  const take = (): Value => {
    const value = args.at(next)
    if (value === undefined) throw new EvaluationError(`index ${next} out of range`)
    next++
    return value
  }
  return template.replaceAll(/%(?:\.(\d+))?([^]?)/g, (_whole, digits: string | undefined, verb: string) => {
    const precision = digits === undefined ? 6 : Number(digits)
    switch (verb) {
      case '%':
        return '%'
      case 's':
        return textOf(take())
      case 'd':
        return decimal(take())
      case 'f':
        return fixed(take(), precision)
      case 'e':
        return scientific(take(), precision)
      case 'b':
        return based(take(), 2)
      case 'o':
        return based(take(), 8)
      case 'x':
        return hexadecimal(take())
      case 'X':
        return hexadecimal(take()).toUpperCase()
      case '':
        throw new EvaluationError('unexpected end of string')
      default:
        throw new EvaluationError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`)
    }
  })
}

function textOf(value: Value): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return formatDouble(value)
  if (value instanceof Uint) return String(value.value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  if (value instanceof Duration) return formatDuration(value.nanoseconds)
  if (value instanceof Timestamp) return formatTimestamp(value.nanoseconds)
  if (value instanceof TypeValue) return formatType(value.type)
  if (value instanceof ListValue) return `[${[...value].map(textOf).join(', ')}]`
  if (value instanceof MapValue)
    return `{${[...value.keys()]
      .map((key) => [textOf(key), textOf(value.get(key) ?? null)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => `${key}: ${inner}`)
      .join(', ')}}`
  if (isObjectValue(value))
    return `{${value
      .fieldNames()
      .toSorted()
      .map((name) => `${name}: ${textOf(value.field(name) ?? null)}`)
      .join(', ')}}`
  throw new EvaluationError(
    `error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${typeName(value)}`,
  )
}

function decimal(value: Value): string {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint) return String(value.value)
  throw new EvaluationError(`error during formatting: decimal clause can only be used on integers, was given ${typeName(value)}`)
}

function doubleOf(value: Value, clause: string): number {
  if (typeof value === 'number') return value
  if (typeof value === 'string' && ['NaN', 'Infinity', '-Infinity'].includes(value)) return Number(value)
  throw new EvaluationError(`error during formatting: ${clause} clause can only be used on doubles, was given ${typeName(value)}`)
}

function fixed(value: Value, precision: number): string {
  const double = doubleOf(value, 'fixed-point')
  return Number.isFinite(double) ? roundedToEven(double, Math.min(precision, 100)) : special(double)
}

/** Where two results are as near, the even one: `2.5` is `2`. JavaScript takes the larger. */
function roundedToEven(value: number, digits: number): string {
  const rounded = value.toFixed(digits)
  // No double has more digits where it could be in the middle.
  const exact = value.toFixed(100)
  const cut = exact.indexOf('.') + 1 + digits
  if (!exact.includes('.') || !/^50*$/.test(exact.slice(cut))) return rounded
  const down = exact.slice(0, digits === 0 ? cut - 1 : cut)
  return Number(down.at(-1)) % 2 === 0 ? down : rounded
}

function scientific(value: Value, precision: number): string {
  const double = doubleOf(value, 'scientific')
  if (!Number.isFinite(double)) return special(double)
  return double.toExponential(Math.min(precision, 100)).replace(/e([+-])(\d)$/, 'e$10$2')
}

const special = (value: number): string => (Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity')

function based(value: Value, radix: number): string {
  if (typeof value === 'boolean' && radix === 2) return value ? '1' : '0'
  if (typeof value === 'bigint') return value.toString(radix)
  if (value instanceof Uint) return value.value.toString(radix)
  const clause = radix === 2 ? 'only integers and bools can be formatted as binary' : 'octal clause can only be used on integers'
  throw new EvaluationError(`error during formatting: ${clause}, was given ${typeName(value)}`)
}

function hexadecimal(value: Value): string {
  if (typeof value === 'bigint') return value.toString(16)
  if (value instanceof Uint) return value.value.toString(16)
  if (typeof value === 'string') return Buffer.from(value, 'utf8').toString('hex')
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  throw new EvaluationError(
    `error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given ${typeName(value)}`,
  )
}

const lower = (text: string): string => text.replaceAll(/[A-Z]/g, (one) => one.toLowerCase())
const upper = (text: string): string => text.replaceAll(/[a-z]/g, (one) => one.toUpperCase())
// What Unicode calls white space.
const trim = (text: string): string => text.replace(/^[\p{White_Space}]+/u, '').replace(/[\p{White_Space}]+$/u, '')

const sizes = (value: Value | undefined): number => (typeof value === 'string' ? codePoints(value) : 1)
const findCost = (args: readonly Value[]): number => Math.ceil((1 + sizes(args[0])) * 0.1) * Math.ceil(sizes(args[1]) * 0.25)
const searchCost = traversal()

/** Strings beyond CEL itself: cel-go's extensions and Kubernetes' regular expressions. */
export const stringFunctions: readonly Overload[] = [
  overload('string_char_at_int on string.charAt(int) string', charAt),
  overload('string_index_of_string on string.indexOf(string) int', (a, b) => indexOf(a, b, undefined), searchCost),
  overload('string_index_of_string_int on string.indexOf(string, int) int', indexOf, searchCost),
  overload('string_last_index_of_string on string.lastIndexOf(string) int', (a, b) => lastIndexOf(a, b, undefined), searchCost),
  overload('string_last_index_of_string_int on string.lastIndexOf(string, int) int', lastIndexOf, searchCost),
  overload('string_lower_ascii on string.lowerAscii() string', (a) => lower(asString(a)), traversal()),
  overload('string_upper_ascii on string.upperAscii() string', (a) => upper(asString(a)), traversal()),
  overload('string_replace_string_string on string.replace(string, string) string', (a, b, c) => replace(a, b, c, undefined), traversal(2)),
  overload('string_replace_string_string_int on string.replace(string, string, int) string', replace, traversal(2)),
  overload('string_split_string on string.split(string) list(string)', (a, b) => split(a, b, undefined), traversal(2)),
  overload('string_split_string_int on string.split(string, int) list(string)', split, traversal(2)),
  overload('string_substring_int on string.substring(int) string', (a, b) => substring(a, b, undefined), traversal()),
  overload('string_substring_int_int on string.substring(int, int) string', substring, traversal()),
  overload('string_trim on string.trim() string', (a) => trim(asString(a)), traversal()),
  overload(
    'list_join on list(string).join() string',
    (a) => join(a, ''),
    (_args, result) => Math.ceil(sizes(result) * 0.2),
  ),
  overload(
    'list_join_string on list(string).join(string) string',
    (a, b) => join(a, asString(b)),
    (_args, result) => Math.ceil(sizes(result) * 0.2),
  ),
  overload('strings_quote strings.quote(string) string', (a) => quote(asString(a))),
  overload('string_format on string.format(list(dyn)) string', (a, b) => format(asString(a), asList(b))),
  patternOverload('string_find_string on string.find(string) string', (pattern, text) => pattern.find(text), findCost),
  patternOverload(
    'string_find_all_string on string.findAll(string) list(string)',
    (pattern, text) => new ListValue(pattern.findAll(text, -1)),
    findCost,
  ),
  patternOverload(
    'string_find_all_string_int on string.findAll(string, int) list(string)',
    (pattern, text, limit) => new ListValue(pattern.findAll(text, number(limit))),
    findCost,
  ),
]
