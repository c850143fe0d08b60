import type { Expr, Fold } from './ast.ts'
import type { Checked } from './checker.ts'
import { costs, perCharacter, perPatternCharacter } from './costs.ts'
import { accumulator } from './macros.ts'
import { formatType, type CelType } from './types.ts'
import { Uint } from './values.ts'

/** Least and most, both included. */
export interface CostRange {
  readonly min: number
  readonly max: number
}

/**
 * How large a value may be that stands at a path from a variable, such as `['self', 'spec', 'names', '@items']`; undefined when nothing bounds it.
 * `@items`, `@keys` and `@values` lead into lists and maps.
 */
export type SizeHint = (path: readonly string[]) => CostRange | undefined

/** Where counting stops: as large as upstream's numbers get. */
export const unboundedCost: number = 2 ** 64

const bound = (value: number): number => (value >= unboundedCost ? unboundedCost : value)
const add = (a: CostRange, b: CostRange): CostRange => ({ min: bound(a.min + b.min), max: bound(a.max + b.max) })
const multiply = (a: CostRange, b: CostRange): CostRange => ({ min: bound(a.min * b.min), max: bound(a.max * b.max) })
const scale = (a: CostRange, factor: number): CostRange => ({
  min: bound(Math.ceil(a.min * factor)),
  max: bound(Math.ceil(a.max * factor)),
})
const union = (a: CostRange, b: CostRange): CostRange => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) })
const fixed = (value: number): CostRange => ({ min: value, max: value })
const zero = fixed(0)
const unknown: CostRange = { min: 0, max: unboundedCost }

interface Entries {
  readonly isList: boolean
  readonly key: CostRange
  readonly value: CostRange
}

interface Local {
  readonly path: readonly string[]
  readonly size: CostRange | undefined
  readonly entries: Entries | undefined
}

/** What a function costs by itself, and the size of what it gives. */
interface CallEstimate {
  readonly cost: CostRange
  readonly size?: CostRange | undefined
}

/** The least and the most that an expression costs; follows cel-go's checker and Kubernetes' estimates for its libraries. */
export function estimateCost(checked: Checked, sizeOf: SizeHint): CostRange {
  return new Estimator(checked, sizeOf).cost(checked.expr)
}

class Estimator {
  readonly #checked: Checked
  readonly #sizeOf: SizeHint
  readonly #paths = new Map<number, readonly string[]>()
  readonly #sizes = new Map<number, CostRange>()
  readonly #entries = new Map<number, Entries>()
  readonly #locals = new Map<string, Local[]>()

  constructor(checked: Checked, sizeOf: SizeHint) {
    this.#checked = checked
    this.#sizeOf = sizeOf
  }

  cost(expr: Expr): CostRange {
    switch (expr.kind) {
      case 'constant':
        return zero
      case 'ident': {
        this.#paths.set(expr.id, this.#local(expr.name)?.path ?? [expr.name])
        return this.#checked.typeOf(expr).kind === 'type' ? zero : fixed(1)
      }
      case 'select': {
        const operand = this.cost(expr.operand)
        if (expr.isTest) return operand
        this.#paths.set(expr.id, [...this.#path(expr.operand), expr.field])
        const { kind } = this.#checked.typeOf(expr.operand)
        return kind === 'map' || kind === 'object' || kind === 'param' ? add(operand, fixed(1)) : operand
      }
      case 'call':
        return this.#call(expr)
      case 'list': {
        let sum: CostRange = zero
        let value: CostRange = expr.items.length === 0 ? zero : { min: unboundedCost, max: 0 }
        for (const item of expr.items) {
          sum = add(sum, this.cost(item.value))
          value = union(value, this.#sizeOrUnknown(item.value))
        }
        this.#entries.set(expr.id, { isList: true, key: fixed(1), value })
        return add(sum, fixed(costs.list))
      }
      case 'map': {
        let sum: CostRange = zero
        let [key, value]: CostRange[] =
          expr.entries.length === 0
            ? [zero, zero]
            : [
                { min: unboundedCost, max: 0 },
                { min: unboundedCost, max: 0 },
              ]
        for (const entry of expr.entries) {
          sum = add(sum, add(this.cost(entry.key), this.cost(entry.value)))
          key = union(key ?? zero, this.#sizeOrUnknown(entry.key))
          value = union(value ?? zero, this.#sizeOrUnknown(entry.value))
        }
        this.#entries.set(expr.id, { isList: false, key: key ?? zero, value: value ?? zero })
        return add(sum, fixed(costs.map))
      }
      case 'struct':
        return expr.fields.reduce((sum, { value }) => add(sum, this.cost(value)), fixed(costs.struct))
      case 'fold':
        return this.#fold(expr)
    }
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1)
  }

  #push(name: string, local: Local): void {
    const stack = this.#locals.get(name)
    if (stack === undefined) this.#locals.set(name, [local])
    else stack.push(local)
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop()
  }

  #path(expr: Expr): readonly string[] {
    if (expr.kind === 'ident') {
      const local = this.#local(expr.name)
      if (local !== undefined) return local.path
    }
    return this.#paths.get(expr.id) ?? []
  }

  #entriesOf(expr: Expr): Entries | undefined {
    return this.#entries.get(expr.id) ?? (expr.kind === 'ident' ? this.#local(expr.name)?.entries : undefined)
  }

  #size(expr: Expr): CostRange | undefined {
    const known = this.#sizes.get(expr.id)
    if (known !== undefined) return known
    if (expr.kind === 'constant') {
      const { value } = expr
      if (typeof value === 'string') return fixed(Buffer.byteLength(value))
      return fixed(value instanceof Uint8Array ? value.length : 1)
    }
    if (expr.kind === 'list') return fixed(expr.items.length)
    if (expr.kind === 'map') return fixed(expr.entries.length)
    const hinted = this.#hint(this.#path(expr))
    if (hinted !== undefined) return hinted
    if (isScalar(this.#checked.typeOf(expr))) return fixed(1)
    return expr.kind === 'ident' ? this.#local(expr.name)?.size : undefined
  }

  #hint(path: readonly string[]): CostRange | undefined {
    return path.length === 0 || path[0] === accumulator ? undefined : this.#sizeOf(path)
  }

  #sizeOrUnknown(expr: Expr | undefined): CostRange {
    return (expr === undefined ? undefined : this.#size(expr)) ?? unknown
  }

  #fold(expr: Fold): CostRange {
    let sum = add(this.cost(expr.range), this.cost(expr.initial))
    const initial: Local = { path: this.#path(expr.initial), size: this.#size(expr.initial), entries: this.#entriesOf(expr.initial) }
    if (expr.range.kind === 'list' && expr.range.items.length === 0 && expr.accumulator !== accumulator) {
      this.#push(expr.accumulator, initial)
      sum = add(sum, this.cost(expr.result))
      this.#pop(expr.accumulator)
      const size = this.#size(expr.result)
      if (size !== undefined) this.#sizes.set(expr.id, size)
      return sum
    }
    this.#push(expr.accumulator, initial.path.length === 0 ? { ...initial, path: [accumulator] } : initial)
    this.#pushLoop(expr)
    const loop = add(this.cost(expr.condition), this.cost(expr.step))
    this.#pop(expr.first)
    if (expr.second !== undefined) this.#pop(expr.second)
    sum = add(sum, this.cost(expr.result))
    this.#pop(expr.accumulator)
    const count = this.#sizeOrUnknown(expr.range)
    sum = add(sum, multiply(count, loop))
    if (expr.initial.kind === 'constant') this.#sizes.set(expr.id, fixed(1))
    else if (expr.initial.kind === 'list' || expr.initial.kind === 'map') {
      this.#sizes.set(expr.id, count)
      const entries = this.#entriesOf(expr.step)
      if (entries !== undefined) this.#entries.set(expr.id, entries)
    }
    return sum
  }

  #pushLoop({ range, first, second }: Fold): void {
    const entries = this.#entriesOf(range)
    const isList = entries?.isList ?? this.#checked.typeOf(range).kind === 'list'
    const path = this.#path(range)
    const below = (step: string): readonly string[] => (path.length === 0 ? [] : [...path, step])
    if (second === undefined) {
      this.#push(first, { path: below(isList ? '@items' : '@keys'), size: isList ? entries?.value : entries?.key, entries: undefined })
      return
    }
    this.#push(first, { path: below(isList ? '@indices' : '@keys'), size: entries?.key, entries: undefined })
    this.#push(second, { path: below(isList ? '@items' : '@values'), size: entries?.value, entries: undefined })
  }

  #call(expr: Extract<Expr, { kind: 'call' }>): CostRange {
    const argCosts = expr.args.map((arg) => this.cost(arg))
    if (expr.name === 'dyn') {
      const [arg] = expr.args
      const size = arg === undefined ? undefined : this.#size(arg)
      if (size !== undefined) this.#sizes.set(expr.id, size)
      return add(fixed(1), argCosts[0] ?? zero)
    }
    const target = expr.target === undefined ? zero : this.cost(expr.target)
    const overloads = this.#checked.overloadsOf(expr)
    const ids = overloads.length > 0 ? overloads.map(({ id }) => id) : [expr.name]
    let range: CostRange = { min: unboundedCost, max: 0 }
    let size: CostRange | undefined
    for (const id of ids) {
      const one = this.#function(expr, id, argCosts)
      range = union(range, one.cost)
      if (one.size !== undefined) size = size === undefined ? one.size : union(size, one.size)
      const [container] = expr.args
      if ((id === 'index_list' || id === 'index_map') && container !== undefined) {
        size = this.#entriesOf(container)?.value
        const path = this.#path(container)
        if (path.length > 0) this.#paths.set(expr.id, [...path, id === 'index_list' ? '@items' : '@values'])
      }
      size ??= this.#size(expr)
    }
    if (size !== undefined) this.#sizes.set(expr.id, size)
    return add(target, range)
  }

  #function(expr: Extract<Expr, { kind: 'call' }>, id: string, argCosts: readonly CostRange[]): CallEstimate {
    const args = argCosts.reduce(add, zero)
    const own = this.#libraryCall(expr, id)
    if (own !== undefined) return { cost: add(own.cost, args), size: own.size }
    const [first, second, third] = expr.args
    const sizes = expr.args.map((arg) => this.#sizeOrUnknown(arg))
    const target = this.#sizeOrUnknown(expr.target ?? first)
    switch (id) {
      case 'string_to_bytes':
        return { cost: add(scale(sizes[0] ?? unknown, perCharacter), args), size: scale(sizes[0] ?? unknown, 4) }
      case 'bytes_to_string':
        return { cost: add(scale(sizes[0] ?? unknown, perCharacter), args), size: sizes[0] }
      case 'strings_quote':
        return { cost: add(scale(sizes[0] ?? unknown, perCharacter), args), size: add(scale(sizes[0] ?? unknown, 2), fixed(2)) }
      case 'string_format':
        return { cost: add(scale(target, perCharacter), args) }
      case 'starts_with_string':
      case 'ends_with_string':
        return { cost: add(scale(sizes[0] ?? unknown, perCharacter), args) }
      case 'in_list':
        return { cost: add(sizes[1] ?? unknown, args) }
      case 'matches':
      case 'matches_string': {
        const pattern = expr.target === undefined ? (sizes[1] ?? unknown) : (sizes[0] ?? unknown)
        const text = scale(add(target, fixed(1)), perCharacter)
        return { cost: add(multiply(text, scale(pattern, perPatternCharacter)), args) }
      }
      case 'contains_string':
        return { cost: add(multiply(scale(target, perCharacter), scale(sizes[0] ?? unknown, perCharacter)), args) }
      case 'logical_and':
      case 'logical_or':
        return { cost: { min: argCosts[0]?.min ?? 0, max: args.max } }
      case 'conditional': {
        const entries = second === undefined || third === undefined ? undefined : [this.#entriesOf(second), this.#entriesOf(third)]
        const [a, b] = entries ?? []
        if (a !== undefined && b !== undefined)
          this.#entries.set(expr.id, { isList: a.isList, key: union(a.key, b.key), value: union(a.value, b.value) })
        return {
          cost: add(argCosts[0] ?? zero, union(argCosts[1] ?? zero, argCosts[2] ?? zero)),
          size: union(sizes[1] ?? unknown, sizes[2] ?? unknown),
        }
      }
      case 'add_string':
      case 'add_bytes':
      case 'add_list': {
        const size = add(sizes[0] ?? unknown, sizes[1] ?? unknown)
        const [a, b] = [first, second].map((one) => (one === undefined ? undefined : this.#entriesOf(one)))
        if (a !== undefined && b !== undefined)
          this.#entries.set(expr.id, { isList: a.isList, key: union(a.key, b.key), value: union(a.value, b.value) })
        return { cost: add(id === 'add_list' ? fixed(1) : scale(size, perCharacter), args), size }
      }
      default:
    }
    if (/^(?:equals|not_equals|(?:less|greater)(?:_equals)?_(?:string|bytes))$/.test(id)) {
      const smallest = Math.min(sizes[0]?.max ?? unboundedCost, sizes[1]?.max ?? unboundedCost)
      return { cost: add(scale({ min: smallest > 0 ? 1 : 0, max: smallest }, perCharacter), args) }
    }
    return { cost: add(fixed(1), args) }
  }

  /** Kubernetes' own estimates; undefined where cel-go's hold. */
  #libraryCall(expr: Extract<Expr, { kind: 'call' }>, id: string): CallEstimate | undefined {
    const { target } = expr
    const size = target === undefined ? undefined : this.#sizeOrUnknown(target)
    const sizes = expr.args.map((arg) => this.#sizeOrUnknown(arg))
    const argument = sizes[0] ?? unknown
    switch (expr.name) {
      case 'isSorted':
      case 'sum':
      case 'max':
      case 'min':
      case 'indexOf':
      case 'lastIndexOf': {
        if (target === undefined || size === undefined) return undefined
        const type = this.#checked.typeOf(target)
        if (type.kind !== 'list') return { cost: scale(size, perCharacter) }
        return { cost: multiply(size, this.#comparison(target, type.of)) }
      }
      case 'url':
        return { cost: scale(argument, perCharacter), size: argument }
      case 'lowerAscii':
      case 'upperAscii':
      case 'substring':
      case 'trim':
        return size === undefined ? undefined : { cost: scale(size, perCharacter), size }
      case 'replace':
        return size === undefined
          ? undefined
          : { cost: scale(size, 2 * perCharacter), size: replacedSize(size, argument, sizes[1] ?? unknown) }
      case 'split': {
        if (size === undefined) return undefined
        const limit = expr.args[1]
        const max =
          limit?.kind === 'constant' && typeof limit.value === 'bigint'
            ? bound(limit.value < 0n ? unboundedCost : Number(limit.value))
            : size.max
        return { cost: scale(size, 2 * perCharacter), size: { min: 0, max } }
      }
      case 'join': {
        if (target === undefined || size === undefined) return undefined
        let result = multiply(size, this.#itemSize(target))
        if (expr.args.length > 0)
          result = add(result, multiply(argument, { min: Math.max(0, size.min - 1), max: Math.max(0, size.max - 1) }))
        return { cost: scale(result, perCharacter), size: result }
      }
      case 'find':
      case 'findAll': {
        if (size === undefined) return undefined
        const text = scale(add(size, fixed(1)), perCharacter)
        return { cost: multiply(text, scale(argument, perPatternCharacter)), size: { min: 0, max: size.max } }
      }
      case 'cidr':
      case 'isIP':
      case 'isCIDR':
      case 'quantity':
      case 'isQuantity':
      case 'semver':
      case 'isSemver':
        return { cost: scale(argument, perCharacter) }
      case 'ip':
        return id === 'cidr_ip' ? { cost: fixed(1) } : { cost: scale(argument, perCharacter) }
      case 'ip.isCanonical':
        return { cost: scale(argument, 2 * perCharacter) }
      case 'containsIP':
      case 'containsCIDR': {
        let cost = scale({ min: 8, max: 32 }, perCharacter)
        if (id.endsWith('_string')) cost = add(cost, scale(argument, perCharacter))
        if (expr.name === 'containsCIDR') cost = add(add(cost, scale({ min: 4, max: 16 }, perCharacter)), fixed(1))
        return { cost }
      }
      case 'validate':
        return { cost: scale(scale(argument, perCharacter), 128 * perPatternCharacter) }
      case 'distinct':
      case 'sort':
      case '@sortByAssociatedKeys': {
        if (target === undefined || size === undefined) return undefined
        const type = this.#checked.typeOf(target)
        const item = type.kind === 'list' ? this.#comparison(target, type.of) : fixed(1)
        return { cost: add(multiply(multiply(size, size), item), fixed(costs.list)), size }
      }
      case 'slice':
      case 'flatten':
      case 'reverse':
        return size === undefined ? undefined : { cost: add(size, fixed(costs.list)), size: { min: 0, max: size.max } }
      case 'lists.range': {
        const [length] = expr.args
        const value = length?.kind === 'constant' ? length.value : undefined
        const count = typeof value === 'bigint' ? fixed(Number(value)) : value instanceof Uint ? fixed(Number(value.value)) : unknown
        return { cost: add(count, fixed(costs.list)), size: count }
      }
      case 'sets.contains':
      case 'sets.intersects':
      case 'sets.equivalent': {
        const product = multiply(argument, sizes[1] ?? unknown)
        return { cost: add(expr.name === 'sets.equivalent' ? scale(product, 2) : product, fixed(costs.list)) }
      }
      case '_==_': {
        const [left, right] = expr.args
        if (left === undefined || right === undefined) return undefined
        const [a, b] = [left, right].map((one) => formatType(this.#checked.typeOf(one)))
        return a === b && a !== undefined && constantEquality.has(a) ? { cost: fixed(1) } : undefined
      }
      default:
        return nominal.has(expr.name) ? { cost: fixed(1) } : undefined
    }
  }

  /** Cost of looking at one item of a list. */
  #comparison(list: Expr, item: CelType): CostRange {
    return item.kind === 'string' || item.kind === 'bytes' ? add(fixed(1), scale(this.#itemSize(list), perCharacter)) : fixed(1)
  }

  #itemSize(list: Expr): CostRange {
    const path = this.#path(list)
    return this.#entriesOf(list)?.value ?? this.#hint(path.length === 0 ? [] : [...path, '@items']) ?? unknown
  }
}

const constantEquality = new Set(['net.IP', 'net.CIDR', 'kubernetes.Quantity', 'kubernetes.Semver'])
const nominal = new Set([
  'masked',
  'prefixLength',
  'family',
  'isUnspecified',
  'isLoopback',
  'isLinkLocalMulticast',
  'isLinkLocalUnicast',
  'isGlobalUnicast',
  'format.named',
  'sign',
  'asInteger',
  'isInteger',
  'asApproximateFloat',
  'isGreaterThan',
  'isLessThan',
  'compareTo',
  'add',
  'sub',
  'major',
  'minor',
  'patch',
  'getScheme',
  'getHostname',
  'getHost',
  'getPort',
  'getEscapedPath',
  'getQuery',
])

function isScalar({ kind }: CelType): boolean {
  return ['bool', 'int', 'uint', 'double', 'timestamp', 'duration', 'null'].includes(kind)
}

function replacedSize(size: CostRange, part: CostRange, by: CostRange): CostRange {
  let max = size.max
  if (part.min === 0) max = bound((size.max + 1) * by.max + size.max)
  else if (by.max > part.min) max = bound(Math.ceil(size.max / part.min) * by.max)
  let min = size.min
  if (part.max === 0) min = bound((size.min + 1) * by.min + size.min)
  else if (part.max > by.min) min = bound(Math.ceil(size.min / part.max) * by.min)
  return { min, max }
}
