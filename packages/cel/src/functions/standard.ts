import { overload, type Overload } from '../overload.ts'
import {
  codePoints,
  EvaluationError,
  int,
  isEqual,
  isObjectValue,
  keyOf,
  ListValue,
  MapValue,
  none,
  numberOf,
  Optional,
  Timestamp,
  Duration,
  typeOf,
  TypeValue,
  Uint,
  type Value,
} from '../values.ts'
import { asList, asString } from './arguments.ts'
import { patternOverload } from './regex.ts'
import { formatDuration, formatTimestamp } from './time.ts'

const asInt = (value: Value): bigint => {
  if (typeof value !== 'bigint') throw new EvaluationError('no such overload')
  return value
}
const asUint = (value: Value): bigint => {
  if (!(value instanceof Uint)) throw new EvaluationError('no such overload')
  return value.value
}
const asDouble = (value: Value): number => {
  if (typeof value !== 'number') throw new EvaluationError('no such overload')
  return value
}
const asBytes = (value: Value): Uint8Array => {
  if (!(value instanceof Uint8Array)) throw new EvaluationError('no such overload')
  return value
}
const asOptional = (value: Value): Optional => {
  if (!(value instanceof Optional)) throw new EvaluationError('no such overload')
  return value
}
const nanos = (value: Value): bigint => {
  if (value instanceof Duration || value instanceof Timestamp) return value.nanoseconds
  throw new EvaluationError('no such overload')
}

const order = (x: number, y: number): number => (x < y ? -1 : x > y ? 1 : x === y ? 0 : Number.NaN)

/** Negative, zero or positive; NaN when one is no number. Throws for values without an order. */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numberOf(a), numberOf(b)]
  // As cel-go, which compares integers with doubles as doubles.
  if (typeof x === 'bigint' && typeof y === 'bigint') return x < y ? -1 : x > y ? 1 : 0
  if (x !== undefined && y !== undefined) return order(Number(x), Number(y))
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b))
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  const [left, right] = [nanos(a), nanos(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

const comparisons: readonly (readonly [string, string, (order: number) => boolean])[] = [
  ['less', '_<_', (order) => order < 0],
  ['less_equals', '_<=_', (order) => order <= 0],
  ['greater', '_>_', (order) => order > 0],
  ['greater_equals', '_>=_', (order) => order >= 0],
]
const ordered = ['bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration']
const mixed = [
  ['int', 'double'],
  ['int', 'uint'],
  ['uint', 'double'],
  ['uint', 'int'],
  ['double', 'int'],
  ['double', 'uint'],
]

const relations: Overload[] = comparisons.flatMap(([id, name, test]) => [
  ...ordered.map((type) => overload(`${id}_${type} ${name}(${type}, ${type}) bool`, (a = null, b = null) => test(compare(a, b)))),
  ...mixed.map(([x = '', y = '']) => overload(`${id}_${x}_${y} ${name}(${x}, ${y}) bool`, (a = null, b = null) => test(compare(a, b)))),
])

function divide(a: bigint, b: bigint, isModulus: boolean): bigint {
  if (b === 0n) throw new EvaluationError(isModulus ? 'modulus by zero' : 'division by zero')
  return isModulus ? a % b : a / b
}

const arithmetic: Overload[] = [
  overload('add_int64 _+_(int, int) int', (a = null, b = null) => int(asInt(a) + asInt(b))),
  overload('add_uint64 _+_(uint, uint) uint', (a = null, b = null) => new Uint(asUint(a) + asUint(b))),
  overload('add_double _+_(double, double) double', (a = null, b = null) => asDouble(a) + asDouble(b)),
  overload('add_string _+_(string, string) string', (a, b) => asString(a) + asString(b)),
  overload('add_bytes _+_(bytes, bytes) bytes', (a = null, b = null) => Uint8Array.from([...asBytes(a), ...asBytes(b)])),
  overload('add_list _+_(list(A), list(A)) list(A)', (a, b) => asList(a).concat(asList(b))),
  overload('add_timestamp_duration _+_(timestamp, duration) timestamp', (a = null, b = null) => new Timestamp(nanos(a) + nanos(b))),
  overload('add_duration_timestamp _+_(duration, timestamp) timestamp', (a = null, b = null) => new Timestamp(nanos(a) + nanos(b))),
  overload('add_duration_duration _+_(duration, duration) duration', (a = null, b = null) => new Duration(nanos(a) + nanos(b))),
  overload('subtract_int64 _-_(int, int) int', (a = null, b = null) => int(asInt(a) - asInt(b))),
  overload('subtract_uint64 _-_(uint, uint) uint', (a = null, b = null) => new Uint(asUint(a) - asUint(b))),
  overload('subtract_double _-_(double, double) double', (a = null, b = null) => asDouble(a) - asDouble(b)),
  overload('subtract_timestamp_timestamp _-_(timestamp, timestamp) duration', (a = null, b = null) => new Duration(nanos(a) - nanos(b))),
  overload('subtract_timestamp_duration _-_(timestamp, duration) timestamp', (a = null, b = null) => new Timestamp(nanos(a) - nanos(b))),
  overload('subtract_duration_duration _-_(duration, duration) duration', (a = null, b = null) => new Duration(nanos(a) - nanos(b))),
  overload('multiply_int64 _*_(int, int) int', (a = null, b = null) => int(asInt(a) * asInt(b))),
  overload('multiply_uint64 _*_(uint, uint) uint', (a = null, b = null) => new Uint(asUint(a) * asUint(b))),
  overload('multiply_double _*_(double, double) double', (a = null, b = null) => asDouble(a) * asDouble(b)),
  overload('divide_int64 _/_(int, int) int', (a = null, b = null) => int(divide(asInt(a), asInt(b), false))),
  overload('divide_uint64 _/_(uint, uint) uint', (a = null, b = null) => new Uint(divide(asUint(a), asUint(b), false))),
  overload('divide_double _/_(double, double) double', (a = null, b = null) => asDouble(a) / asDouble(b)),
  overload('modulo_int64 _%_(int, int) int', (a = null, b = null) => int(divide(asInt(a), asInt(b), true))),
  overload('modulo_uint64 _%_(uint, uint) uint', (a = null, b = null) => new Uint(divide(asUint(a), asUint(b), true))),
  overload('negate_int64 -_(int) int', (a = null) => int(-asInt(a))),
  overload('negate_double -_(double) double', (a = null) => -asDouble(a)),
]

function contains(list: ListValue, wanted: Value): boolean {
  for (const item of list) if (isEqual(item, wanted)) return true
  return false
}

function sizeOfMap(value: Value): bigint {
  if (value instanceof MapValue) return BigInt(value.size)
  if (value !== null && isObjectValue(value)) return BigInt(value.fieldNames().length)
  throw new EvaluationError('no such overload')
}

function hasKey(map: Value, key: Value): boolean {
  if (map instanceof MapValue) return map.get(key) !== undefined
  return map !== null && isObjectValue(map) && typeof key === 'string' && map.field(key) !== undefined
}

function toInt(value: number): bigint {
  // The largest int is no double.
  if (!Number.isFinite(value) || value <= -9223372036854775808 || value >= 9223372036854775808)
    throw new EvaluationError('integer overflow')
  return BigInt(Math.trunc(value))
}

function toUint(value: number): Uint {
  if (!Number.isFinite(value) || value < 0 || value >= 18446744073709551616) throw new EvaluationError('unsigned integer overflow')
  return new Uint(BigInt(Math.trunc(value)))
}

function parseInteger(text: string): bigint {
  if (!/^[+-]?\d+$/.test(text)) throw new EvaluationError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  const value = BigInt(text.replace(/^\+/, ''))
  if (value > 9223372036854775807n || value < -9223372036854775808n)
    throw new EvaluationError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`)
  return value
}

function parseDouble(text: string): number {
  if (/^[+-]?(?:inf|infinity)$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  if (/^[+-]?nan$/i.test(text)) return Number.NaN
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text))
    throw new EvaluationError(`strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`)
  return Number(text)
}

function parseBool(text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false
  throw new EvaluationError(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`)
}

/** A double as Go's `%g` with the fewest digits. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power < -4 || power >= 21) return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  return BigIntText(value)
}

function BigIntText(value: number): string {
  return Number.isInteger(value) ? BigInt(value).toString() : String(value)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    // The decoder's own words say no more.
    throw new EvaluationError('invalid UTF-8 in bytes, cannot convert to string')
  }
}

const conversions: Overload[] = [
  overload('int64_to_int64 int(int) int', (a = null) => a),
  overload('uint64_to_int64 int(uint) int', (a = null) => int(asUint(a))),
  overload('double_to_int64 int(double) int', (a = null) => toInt(asDouble(a))),
  overload('string_to_int64 int(string) int', (a) => parseInteger(asString(a))),
  overload('timestamp_to_int64 int(timestamp) int', (a = null) => {
    const value = nanos(a)
    return value >= 0n || value % 1_000_000_000n === 0n ? value / 1_000_000_000n : value / 1_000_000_000n - 1n
  }),
  overload('duration_to_int64 int(duration) int', (a = null) => nanos(a)),
  overload('uint64_to_uint64 uint(uint) uint', (a = null) => a),
  overload('int64_to_uint64 uint(int) uint', (a = null) => new Uint(asInt(a))),
  overload('double_to_uint64 uint(double) uint', (a = null) => toUint(asDouble(a))),
  overload('string_to_uint64 uint(string) uint', (a) => {
    const text = asString(a)
    if (!/^\d+$/.test(text)) throw new EvaluationError(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`)
    return new Uint(BigInt(text))
  }),
  overload('double_to_double double(double) double', (a = null) => a),
  overload('int64_to_double double(int) double', (a = null) => Number(asInt(a))),
  overload('uint64_to_double double(uint) double', (a = null) => Number(asUint(a))),
  overload('string_to_double double(string) double', (a) => parseDouble(asString(a))),
  overload('bool_to_bool bool(bool) bool', (a = null) => a),
  overload('string_to_bool bool(string) bool', (a) => parseBool(asString(a))),
  overload('string_to_string string(string) string', (a = null) => a),
  overload('bool_to_string string(bool) string', (a = null) => String(a)),
  overload('int64_to_string string(int) string', (a = null) => String(asInt(a))),
  overload('uint64_to_string string(uint) string', (a = null) => String(asUint(a))),
  overload('double_to_string string(double) string', (a = null) => formatDouble(asDouble(a))),
  overload('bytes_to_string string(bytes) string', (a = null) => decodeUtf8(asBytes(a))),
  overload('timestamp_to_string string(timestamp) string', (a = null) => formatTimestamp(nanos(a))),
  overload('duration_to_string string(duration) string', (a = null) => formatDuration(nanos(a))),
  overload('bytes_to_bytes bytes(bytes) bytes', (a = null) => a),
  overload('string_to_bytes bytes(string) bytes', (a) => Uint8Array.from(Buffer.from(asString(a), 'utf8'))),
  overload('to_dyn dyn(A) dyn', (a = null) => a),
  overload('type type(A) type(A)', (a = null) => new TypeValue(typeOf(a))),
]

/** Two values that are the same zero: empty, false, 0 or null. */
function isZero(value: Value): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === '') return true
  if (value instanceof Uint) return value.value === 0n
  if (value instanceof Uint8Array || value instanceof ListValue) return value.length === 0
  if (value instanceof MapValue) return value.size === 0
  if (value instanceof Duration) return value.nanoseconds === 0n
  if (value instanceof Optional) return value.value === undefined
  return isObjectValue(value) && value.fieldNames().length === 0
}

const optionals: Overload[] = [
  overload('optional_of optional.of(V) optional(V)', (a = null) => new Optional(a)),
  overload('optional_ofNonZeroValue optional.ofNonZeroValue(V) optional(V)', (a = null) => (isZero(a) ? none : new Optional(a))),
  overload('optional_none optional.none() optional(V)', () => none),
  overload('optional_hasValue on optional(V).hasValue() bool', (a = null) => asOptional(a).value !== undefined),
  overload('optional_value on optional(V).value() V', (a = null) => {
    const { value } = asOptional(a)
    if (value === undefined) throw new EvaluationError('optional.none() dereference')
    return value
  }),
  overload('optional_or_optional on optional(V).or(optional(V)) optional(V)', (a = null, b = null) =>
    asOptional(a).value === undefined ? b : a,
  ),
  overload('optional_orValue_value on optional(V).orValue(V) V', (a = null, b = null) => asOptional(a).value ?? b),
  // What stands here is for the checker: the evaluator has these itself.
  overload('optional_list_optindex_optional_int _[?_](list(V), int) optional(V)', () => none),
  overload('optional_list_index_int _[_](optional(list(V)), int) optional(V)', () => none),
  overload('optional_map_optindex_optional_value _[?_](map(K, V), K) optional(V)', () => none),
  overload('optional_list_optindex_int _[?_](optional(list(V)), int) optional(V)', () => none),
  overload('optional_map_optindex _[?_](optional(map(K, V)), K) optional(V)', () => none),
  overload('optional_map_index_value _[_](optional(map(K, V)), K) optional(V)', () => none),
]

function mapInsert(map: Value, entries: Iterable<readonly [Value, Value]>): MapValue {
  if (!(map instanceof MapValue)) throw new EvaluationError('no such overload')
  const all: [Value, Value][] = []
  for (const key of map.keys()) all.push([key, map.get(key) ?? null])
  const known = new Set(all.map(([key]) => keyOf(key)))
  for (const [key, value] of entries) {
    if (known.has(keyOf(key))) throw new EvaluationError(`insert failed: key ${keyOf(key).slice(1)} already exists`)
    all.push([key, value])
  }
  return new MapValue(all)
}

function entriesOf(value: Value): [Value, Value][] {
  if (!(value instanceof MapValue)) throw new EvaluationError('no such overload')
  return [...value.keys()].map((key) => [key, value.get(key) ?? null])
}

/** Operators, conversions and the functions of CEL itself. */
export const standardFunctions: readonly Overload[] = [
  ...relations,
  ...arithmetic,
  ...conversions,
  ...optionals,
  overload('equals _==_(A, A) bool', (a = null, b = null) => isEqual(a, b)),
  overload('not_equals _!=_(A, A) bool', (a = null, b = null) => !isEqual(a, b)),
  overload('logical_not !_(bool) bool', (a = null) => {
    if (typeof a !== 'boolean') throw new EvaluationError('no such overload')
    return !a
  }),
  overload('logical_and _&&_(bool, bool) bool', () => false),
  overload('logical_or _||_(bool, bool) bool', () => false),
  overload('conditional _?_:_(bool, A, A) A', () => null),
  overload('not_strictly_false @not_strictly_false(bool) bool', () => true),
  overload('in_list @in(A, list(A)) bool', (a = null, b) => contains(asList(b), a)),
  overload('in_map @in(A, map(A, B)) bool', (a = null, b = null) => hasKey(b, a)),
  overload('index_list _[_](list(A), int) A', () => null),
  overload('index_map _[_](map(A, B), A) B', () => null),
  overload('size_string size(string) int', (a) => BigInt(codePoints(asString(a)))),
  overload('size_bytes size(bytes) int', (a = null) => BigInt(asBytes(a).length)),
  overload('size_list size(list(A)) int', (a) => BigInt(asList(a).length)),
  overload('size_map size(map(A, B)) int', (a = null) => sizeOfMap(a)),
  overload('string_size on string.size() int', (a) => BigInt(codePoints(asString(a)))),
  overload('bytes_size on bytes.size() int', (a = null) => BigInt(asBytes(a).length)),
  overload('list_size on list(A).size() int', (a) => BigInt(asList(a).length)),
  overload('map_size on map(A, B).size() int', (a = null) => sizeOfMap(a)),
  overload('contains_string on string.contains(string) bool', (a, b) => asString(a).includes(asString(b))),
  overload('ends_with_string on string.endsWith(string) bool', (a, b) => asString(a).endsWith(asString(b))),
  overload('starts_with_string on string.startsWith(string) bool', (a, b) => asString(a).startsWith(asString(b))),
  patternOverload('matches matches(string, string) bool', (pattern, text) => pattern.matches(text)),
  patternOverload('matches_string on string.matches(string) bool', (pattern, text) => pattern.matches(text)),
  overload('cel_mapInsert_key_value cel.@mapInsert(map(K, V), K, V) map(K, V)', (map = null, key = null, value = null) =>
    mapInsert(map, [[key, value]]),
  ),
  overload('cel_mapInsert_map cel.@mapInsert(map(K, V), map(K, V)) map(K, V)', (map = null, more = null) =>
    mapInsert(map, entriesOf(more)),
  ),
]
