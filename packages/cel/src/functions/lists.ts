import { overload, type Overload } from '../overload.ts'
import { Duration, EvaluationError, int, isEqual, isObjectValue, ListValue, MapValue, none, Optional, Uint, type Value } from '../values.ts'
import { asList } from './arguments.ts'
import { compare } from './standard.ts'

const comparable = ['int', 'uint', 'double', 'bool', 'duration', 'timestamp', 'string', 'bytes']
const summable = ['int', 'uint', 'double', 'duration']

/** Cost of going over a value with all that is in it. */
function traversalCost(value: Value | undefined): number {
  if (typeof value === 'string') return Math.floor(Buffer.byteLength(value) * 0.1)
  if (value instanceof Uint8Array) return Math.floor(value.length * 0.1)
  if (value instanceof ListValue) return [...value].reduce<number>((sum, item) => sum + traversalCost(item), 0)
  if (value instanceof MapValue)
    return [...value.keys()].reduce<number>((sum, key) => sum + traversalCost(key) + traversalCost(value.get(key)), 0)
  if (value !== undefined && value !== null && isObjectValue(value))
    return value.fieldNames().reduce<number>((sum, name) => sum + traversalCost(name) + traversalCost(value.field(name)), 0)
  return 1
}
const goesOver = (args: readonly Value[]): number => traversalCost(args[0])

function isSorted(list: ListValue): boolean {
  const items = [...list]
  return items.every((item, index) => index === 0 || compare(items[index - 1] ?? item, item) <= 0)
}

function extreme(list: ListValue, sign: number, name: string): Value {
  let best: Value | undefined
  for (const item of list) if (best === undefined || compare(item, best) * sign > 0) best = item
  if (best === undefined) throw new EvaluationError(`${name} called on empty list`)
  return best
}

const zeros: Readonly<Record<string, Value>> = { int: 0n, uint: new Uint(0n), double: 0, duration: new Duration(0n) }

function sum(list: ListValue, type: string): Value {
  return [...list].reduce((total, item) => {
    if (typeof total === 'bigint' && typeof item === 'bigint') return int(total + item)
    if (typeof total === 'number' && typeof item === 'number') return total + item
    if (total instanceof Uint && item instanceof Uint) return new Uint(total.value + item.value)
    if (total instanceof Duration && item instanceof Duration) return new Duration(total.nanoseconds + item.nanoseconds)
    throw new EvaluationError('no such overload')
  }, zeros[type] ?? 0n)
}

function indexOf(list: ListValue, wanted: Value): bigint {
  for (let index = 0; index < list.length; index++) if (isEqual(list.at(index) ?? null, wanted)) return BigInt(index)
  return -1n
}

function lastIndexOf(list: ListValue, wanted: Value): bigint {
  for (let index = list.length - 1; index >= 0; index--) if (isEqual(list.at(index) ?? null, wanted)) return BigInt(index)
  return -1n
}

const has = (list: ListValue, wanted: Value): boolean => indexOf(list, wanted) >= 0
const containsAll = (list: ListValue, others: ListValue): boolean => [...others].every((other) => has(list, other))

function slice(list: ListValue, start: Value, end: Value): ListValue {
  if (typeof start !== 'bigint' || typeof end !== 'bigint') throw new EvaluationError('no such overload')
  if (start < 0n || end < 0n) throw new EvaluationError(`cannot slice(${start}, ${end}), negative indexes not supported`)
  if (start > end) throw new EvaluationError(`cannot slice(${start}, ${end}), start index must be less than or equal to end index`)
  if (end > BigInt(list.length)) throw new EvaluationError(`cannot slice(${start}, ${end}), list is length ${list.length}`)
  return new ListValue([...list].slice(Number(start), Number(end)))
}

function flatten(list: ListValue, depth: number): Value[] {
  return [...list].flatMap((item) => (item instanceof ListValue && depth > 0 ? flatten(item, depth - 1) : [item]))
}

function distinct(list: ListValue): ListValue {
  const kept: Value[] = []
  for (const item of list) if (!kept.some((other) => isEqual(item, other))) kept.push(item)
  return new ListValue(kept)
}

function sortBy(list: ListValue, keys: ListValue): ListValue {
  if (list.length !== keys.length)
    throw new EvaluationError('@sortByAssociatedKeys() expected a list of the same size as the associated keys list')
  const pairs = [...list].map((item, index) => [keys.at(index) ?? null, item] as const)
  return new ListValue(pairs.toSorted(([a], [b]) => compare(a, b)).map(([, item]) => item))
}

// A range is made as a whole.
const maxRange = 1_000_000n

function range(length: Value | undefined): ListValue {
  if (typeof length !== 'bigint') throw new EvaluationError('no such overload')
  if (length > maxRange) throw new EvaluationError(`lists.range(${length}) is too long`)
  return new ListValue(Array.from({ length: Math.max(0, Number(length)) }, (_, index) => BigInt(index)))
}

const product = (args: readonly Value[]): number => {
  const [a, b] = args.map((one) => (one instanceof ListValue ? one.length : 1))
  return (a ?? 1) * (b ?? 1) + 10
}
const quadratic = (args: readonly Value[]): number => product([args[0] ?? null, args[0] ?? null])
const linear = (args: readonly Value[]): number => (args[0] instanceof ListValue ? args[0].length : 1) + 10

/** Lists and sets. */
export const listFunctions: readonly Overload[] = [
  ...comparable.flatMap((type) => [
    overload(`list_${type}_is_sorted_bool on list(${type}).isSorted() bool`, (a) => isSorted(asList(a)), goesOver),
    overload(`list_${type}_min_${type} on list(${type}).min() ${type}`, (a) => extreme(asList(a), -1, 'min'), goesOver),
    overload(`list_${type}_max_${type} on list(${type}).max() ${type}`, (a) => extreme(asList(a), 1, 'max'), goesOver),
    overload(`list_${type}_sort on list(${type}).sort() list(${type})`, (a) => new ListValue([...asList(a)].toSorted(compare)), quadratic),
    overload(
      `list_${type}_sortBy on list(A).@sortByAssociatedKeys(list(${type})) list(A)`,
      (a, b) => sortBy(asList(a), asList(b)),
      quadratic,
    ),
  ]),
  ...summable.map((type) => overload(`list_${type}_sum_${type} on list(${type}).sum() ${type}`, (a) => sum(asList(a), type), goesOver)),
  overload('list_a_index_of_int on list(A).indexOf(A) int', (a, b = null) => indexOf(asList(a), b), goesOver),
  overload('list_a_last_index_of_int on list(A).lastIndexOf(A) int', (a, b = null) => lastIndexOf(asList(a), b), goesOver),
  overload('list_slice on list(A).slice(int, int) list(A)', (a, b = null, c = null) => slice(asList(a), b, c), linear),
  overload('list_flatten on list(list(A)).flatten() list(A)', (a) => new ListValue(flatten(asList(a), 1)), linear),
  overload(
    'list_flatten_int on list(dyn).flatten(int) list(dyn)',
    (a, b = null) => {
      if (typeof b !== 'bigint' || b < 0n) throw new EvaluationError('level must be non-negative')
      return new ListValue(flatten(asList(a), Number(b)))
    },
    linear,
  ),
  overload('list_distinct on list(A).distinct() list(A)', (a) => distinct(asList(a)), quadratic),
  overload('list_reverse on list(A).reverse() list(A)', (a) => new ListValue([...asList(a)].toReversed()), linear),
  overload(
    'list_first on list(A).first() optional(A)',
    (a) => optional(asList(a).at(0)),
    () => 1,
  ),
  overload(
    'list_last on list(A).last() optional(A)',
    (a) => optional(asList(a).at(asList(a).length - 1)),
    () => 1,
  ),
  overload('lists_range lists.range(int) list(int)', range, (_args, result) => (result instanceof ListValue ? result.length : 1) + 10),
  overload('list_sets_contains_list sets.contains(list(A), list(A)) bool', (a, b) => containsAll(asList(a), asList(b)), product),
  overload(
    'list_sets_equivalent_list sets.equivalent(list(A), list(A)) bool',
    (a, b) => containsAll(asList(a), asList(b)) && containsAll(asList(b), asList(a)),
    (args) => 2 * product(args),
  ),
  overload(
    'list_sets_intersects_list sets.intersects(list(A), list(A)) bool',
    (a, b) => [...asList(b)].some((item) => has(asList(a), item)),
    product,
  ),
]

function optional(value: Value | undefined): Optional {
  return value === undefined ? none : new Optional(value)
}
