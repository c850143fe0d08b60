import { formatType, simple, type CelType } from './types.ts'

/** A value. Ints are bigints, doubles numbers. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Uint
  | Duration
  | Timestamp
  | ListValue
  | MapValue
  | ObjectValue
  | Optional
  | TypeValue
  | Opaque

/** An error of evaluation: it may be short-cut by `&&`, `||` and the like. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError'
}

/** The budget is used up: nothing may catch this but the evaluator. */
export class BudgetExceeded extends Error {
  override readonly name = 'BudgetExceeded'
}

export class Uint {
  readonly value: bigint
  constructor(value: bigint) {
    if (value < 0n || value > 18446744073709551615n) throw new EvaluationError('unsigned integer overflow')
    this.value = value
  }
}

const maxInt = 9223372036854775807n
const minInt = -9223372036854775808n

/** Checks the range of an int. */
export function int(value: bigint): bigint {
  if (value > maxInt || value < minInt) throw new EvaluationError('integer overflow')
  return value
}

/** A span of time. */
export class Duration {
  readonly nanoseconds: bigint
  constructor(nanoseconds: bigint) {
    if (nanoseconds > maxInt || nanoseconds < minInt) throw new EvaluationError('duration out of range')
    this.nanoseconds = nanoseconds
  }
}

// Years 1 to 9999.
const minSeconds = -62135596800n
const maxSeconds = 253402300799n

/** A point in time. */
export class Timestamp {
  /** Since 1970. */
  readonly nanoseconds: bigint
  constructor(nanoseconds: bigint) {
    if (nanoseconds < minSeconds * 1_000_000_000n || nanoseconds > maxSeconds * 1_000_000_000n + 999_999_999n)
      throw new EvaluationError('timestamp overflow')
    this.nanoseconds = nanoseconds
  }
}

/** A list. Items of lists that come from outside are converted when they are asked for. */
export class ListValue {
  readonly #items: Value[]
  readonly length: number

  /** `items` may grow behind `length`, when lists that begin alike share it; it stays ours. */
  constructor(items: Value[], length: number = items.length) {
    this.#items = items
    this.length = length
  }

  at(index: number): Value | undefined {
    return index < this.length ? this.#items[index] : undefined
  }

  *[Symbol.iterator](): Generator<Value, void, void> {
    for (let index = 0; index < this.length; index++) {
      const item = this.at(index)
      if (item !== undefined) yield item
    }
  }

  /** Both lists, one behind the other. A list that grows by one at a time costs its length in all. */
  concat(other: ListValue): ListValue {
    if (this.#items.length === this.length && this.#items.length > 0) {
      for (const item of other) this.#items.push(item)
      return new ListValue(this.#items, this.length + other.length)
    }
    return new ListValue([...this, ...other])
  }

  equals(other: ListValue): boolean {
    if (this.length !== other.length) return false
    for (let index = 0; index < this.length; index++) {
      const [left, right] = [this.at(index), other.at(index)]
      if (left === undefined || right === undefined || !isEqual(left, right)) return false
    }
    return true
  }
}

/** Keys that are equal have the same text. */
export function keyOf(key: Value): string {
  if (typeof key === 'string') return `s${key}`
  if (typeof key === 'bigint') return `n${key}`
  if (key instanceof Uint) return `n${key.value}`
  if (typeof key === 'number') return Number.isInteger(key) ? `n${BigInt(key)}` : `d${key}`
  if (typeof key === 'boolean') return `b${String(key)}`
  throw new EvaluationError(`unsupported key type: ${typeName(key)}`)
}

/** A map with keys of any simple type. */
export class MapValue {
  readonly #entries: ReadonlyMap<string, readonly [Value, Value]>

  constructor(entries: Iterable<readonly [Value, Value]>) {
    const map = new Map<string, readonly [Value, Value]>()
    for (const entry of entries) map.set(keyOf(entry[0]), entry)
    this.#entries = map
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(keyOf(key))?.[1]
  }

  *keys(): Generator<Value, void, void> {
    for (const [key] of this.#entries.values()) yield key
  }
}

/** An object with named fields; absent ones have no value. */
export interface ObjectValue {
  readonly isObject: true
  readonly typeName: string
  field(name: string): Value | undefined
  fieldNames(): readonly string[]
}

export class Optional {
  readonly value: Value | undefined
  constructor(value: Value | undefined) {
    this.value = value
  }
}

export const none: Optional = new Optional(undefined)

/** A type as a value: what `type(x)` gives. */
export class TypeValue {
  readonly type: CelType
  constructor(type: CelType) {
    this.type = type
  }
}

/** A value of a library's type. */
export class Opaque {
  readonly typeName: string
  readonly content: unknown
  readonly #equals: (other: unknown) => boolean
  readonly #size: number
  constructor(typeName_: string, content: unknown, options: { readonly equals: (other: unknown) => boolean; readonly size?: number }) {
    this.typeName = typeName_
    this.content = content
    this.#equals = options.equals
    this.#size = options.size ?? 1
  }
  equals(other: Opaque): boolean {
    return this.typeName === other.typeName && this.#equals(other.content)
  }
  get size(): number {
    return this.#size
  }
}

export function isObjectValue(value: Value): value is ObjectValue {
  return typeof value === 'object' && value !== null && 'isObject' in value
}

/** The type of a value as far as the value itself tells: of lists and maps without that of their parts. */
export function typeOf(value: Value): CelType {
  if (value === null) return simple('null')
  switch (typeof value) {
    case 'boolean':
      return simple('bool')
    case 'bigint':
      return simple('int')
    case 'number':
      return simple('double')
    case 'string':
      return simple('string')
    default:
  }
  if (value instanceof Uint) return simple('uint')
  if (value instanceof Uint8Array) return simple('bytes')
  if (value instanceof Duration) return simple('duration')
  if (value instanceof Timestamp) return simple('timestamp')
  if (value instanceof ListValue) return { kind: 'list', of: simple('dyn') }
  if (value instanceof MapValue) return { kind: 'map', key: simple('dyn'), value: simple('dyn') }
  if (value instanceof Optional) return { kind: 'opaque', name: 'optional_type', parameters: [simple('dyn')] }
  if (value instanceof TypeValue) return { kind: 'type', of: simple('dyn') }
  if (value instanceof Opaque) return { kind: 'opaque', name: value.typeName, parameters: [] }
  return isObjectValue(value) ? { kind: 'object', name: value.typeName, fields: new Map() } : simple('dyn')
}

export function typeName(value: Value): string {
  const type = typeOf(value)
  return type.kind === 'list' || type.kind === 'map' || type.kind === 'type'
    ? type.kind
    : isOptionalType(type)
      ? 'optional_type'
      : formatType(type)
}

const isOptionalType = (type: CelType): boolean => type.kind === 'opaque' && type.name === 'optional_type'

/** The number of a numeric value, for comparisons between kinds; undefined for others. */
export function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value
  return value instanceof Uint ? value.value : undefined
}

export function isEqual(left: Value, right: Value): boolean {
  if (left === right) return true
  const [a, b] = [numberOf(left), numberOf(right)]
  // As cel-go, which compares integers with doubles as doubles.
  if (a !== undefined && b !== undefined) return typeof a === typeof b ? a === b : Number(a) === Number(b)
  if (left instanceof ListValue) return right instanceof ListValue && left.equals(right)
  if (left instanceof MapValue) return right instanceof MapValue && isEqualMap(left, right)
  if (left instanceof Uint8Array) return right instanceof Uint8Array && Buffer.compare(left, right) === 0
  if (left instanceof Duration) return right instanceof Duration && left.nanoseconds === right.nanoseconds
  if (left instanceof Timestamp) return right instanceof Timestamp && left.nanoseconds === right.nanoseconds
  if (left instanceof Optional) {
    if (!(right instanceof Optional)) return false
    if (left.value === undefined || right.value === undefined) return left.value === right.value
    return isEqual(left.value, right.value)
  }
  if (left instanceof TypeValue) return right instanceof TypeValue && shallowName(left.type) === shallowName(right.type)
  if (left instanceof Opaque) return right instanceof Opaque && left.equals(right)
  if (left !== null && right !== null && isObjectValue(left) && isObjectValue(right)) return isEqualObject(left, right)
  return false
}

/** `type([1])` is `list`, whatever is in it. */
function shallowName(type: CelType): string {
  return type.kind === 'list' || type.kind === 'map' || type.kind === 'type' ? type.kind : formatType(type)
}

function isEqualMap(left: MapValue, right: MapValue): boolean {
  if (left.size !== right.size) return false
  for (const key of left.keys()) {
    const [a, b] = [left.get(key), right.get(key)]
    if (a === undefined || b === undefined || !isEqual(a, b)) return false
  }
  return true
}

function isEqualObject(left: ObjectValue, right: ObjectValue): boolean {
  const names = left.fieldNames()
  if (names.length !== right.fieldNames().length) return false
  return names.every((name) => {
    const [a, b] = [left.field(name), right.field(name)]
    return a !== undefined && b !== undefined && isEqual(a, b)
  })
}

/** How much there is of a value, as costs count it: characters, bytes, items; 1 for what has no size. */
export function sizeOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value)
  if (value instanceof Uint8Array || value instanceof ListValue) return value.length
  if (value instanceof MapValue || value instanceof Opaque) return value.size
  if (value instanceof Optional) return value.value === undefined ? 1 : sizeOf(value.value)
  return 1
}

/** Number of code points. */
export function codePoints(text: string): number {
  let count = text.length
  for (let index = 0; index < text.length - 1; index++)
    if ((text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) count--
  return count
}
