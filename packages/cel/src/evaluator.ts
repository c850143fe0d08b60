import type { Expr, Fold } from './ast.ts'
import type { Checked } from './checker.ts'
import { callCost, costs } from './costs.ts'
import { estimateCost, type CostRange, type SizeHint } from './estimate.ts'
import type { Overload } from './overload.ts'
import type { CelType } from './types.ts'
import {
  BudgetExceeded,
  EvaluationError,
  isObjectValue,
  keyOf,
  ListValue,
  MapValue,
  none,
  Optional,
  typeOf,
  TypeValue,
  Uint,
  type ObjectValue,
  type Value,
} from './values.ts'

/** What an evaluation gave. */
export type Outcome =
  | { readonly value: Value; readonly cost: number }
  /** `isOverBudget`: it was stopped, and did not fail by itself. */
  | { readonly error: string; readonly isOverBudget: boolean; readonly cost: number }

/** A checked expression, ready to run. */
export interface Program {
  readonly type: CelType
  /** Variables that it uses. */
  readonly variables: ReadonlySet<string>
  /**
   * Runs it, at most at the cost of `limit`. Throws nothing but what an authorizer throws, and bugs. Blocks as long as the cost says: about 0.1 µs for
   * each unit, but for calls that go over more than they cost. `look` is called after each call and now and then: what it throws ends the run and comes out.
   */
  evaluate(variables: Readonly<Record<string, Value>>, limit: number, look?: () => void): Outcome
  /** The least and the most that it may cost. `sizeOf` tells how large a value at a path of a variable may be. */
  estimate(sizeOf: SizeHint): CostRange
}

const chargesBetweenLooks = 64

/** What one run has used of its budget, and its variables. */
class Run {
  cost = 0
  readonly slots: (Value | Failure | undefined)[]
  readonly #limit: number
  readonly #look: (() => void) | undefined
  #charges = 0

  constructor(slots: (Value | Failure | undefined)[], limit: number, look: (() => void) | undefined) {
    this.slots = slots
    this.#limit = limit
    this.#look = look
  }

  charge(cost: number): void {
    this.cost += cost
    if (this.cost > this.#limit) throw new BudgetExceeded('operation cancelled: actual cost limit exceeded')
    if (this.#look !== undefined && ++this.#charges % chargesBetweenLooks === 0) this.#look()
  }

  look(): void {
    this.#look?.()
  }
}

/** An error in a loop's accumulator: it counts when it is looked at. */
class Failure {
  readonly error: EvaluationError
  constructor(error: EvaluationError) {
    this.error = error
  }
}

type Step = (run: Run) => Value

export function evaluateProgram(checked: Checked): Program {
  const compiler = new Compiler(checked)
  const step = compiler.compile(checked.expr)
  const { slotCount, globals } = compiler
  return {
    type: checked.type,
    variables: checked.variables,
    evaluate(variables, limit, look) {
      const slots: (Value | Failure | undefined)[] = Array.from({ length: slotCount })
      for (const [name, slot] of globals) slots[slot] = Object.hasOwn(variables, name) ? variables[name] : undefined
      const run = new Run(slots, limit, look)
      try {
        return { value: step(run), cost: run.cost }
      } catch (error) {
        if (error instanceof BudgetExceeded) return { error: error.message, isOverBudget: true, cost: run.cost }
        if (error instanceof EvaluationError) return { error: error.message, isOverBudget: false, cost: run.cost }
        // Deeply nested values: the expression itself is bounded.
        if (error instanceof RangeError) return { error: 'value is nested too deeply', isOverBudget: false, cost: run.cost }
        throw error
      }
    },
    estimate: (sizeOf) => estimateCost(checked, sizeOf),
  }
}

const noOverload = (): EvaluationError => new EvaluationError('no such overload')

class Compiler {
  slotCount = 0
  readonly globals = new Map<string, number>()
  readonly #checked: Checked
  readonly #scopes: Map<string, number>[] = []

  constructor(checked: Checked) {
    this.#checked = checked
  }

  compile(expr: Expr): Step {
    switch (expr.kind) {
      case 'constant': {
        const { value } = expr
        return () => value
      }
      case 'ident':
        return this.#ident(expr)
      case 'select':
        return this.#select(expr)
      case 'call':
        return this.#call(expr)
      case 'list':
        return this.#list(expr)
      case 'map':
        return this.#map(expr)
      case 'struct':
        return this.#struct(expr)
      case 'fold':
        return this.#fold(expr)
    }
  }

  #ident(expr: Extract<Expr, { kind: 'ident' }>): Step {
    const { name } = expr
    const type = this.#checked.typeOf(expr)
    const local = this.#scopes.findLast((scope) => scope.has(name))?.get(name)
    if (local === undefined && type.kind === 'type' && !this.#checked.variables.has(name)) {
      const value = new TypeValue(type.of)
      return () => value
    }
    let slot = local ?? this.globals.get(name)
    if (slot === undefined) this.globals.set(name, (slot = this.slotCount++))
    const index = slot
    return (run) => {
      run.charge(1)
      const value = run.slots[index]
      if (value instanceof Failure) throw value.error
      if (value === undefined) throw new EvaluationError(`no such attribute(s): ${name}`)
      return value
    }
  }

  #select(expr: Extract<Expr, { kind: 'select' }>): Step {
    const operand = this.compile(expr.operand)
    const { field } = expr
    if (expr.isTest) return (run) => hasField(operand(run), field)
    return (run) => {
      const value = operand(run)
      run.charge(1)
      if (value instanceof Optional) return selectOptional(value, field)
      return fieldOf(value, field)
    }
  }

  #call(expr: Extract<Expr, { kind: 'call' }>): Step {
    const args = (expr.target === undefined ? expr.args : [expr.target, ...expr.args]).map((arg) => this.compile(arg))
    const [first, second, third] = args
    if (first !== undefined && second !== undefined) {
      switch (expr.name) {
        case '_&&_':
          return logic(first, second, false)
        case '_||_':
          return logic(first, second, true)
        case '_?_:_':
          if (third !== undefined) return conditional(first, second, third)
          break
        case '_?._':
          return optionalStep(first, second, selectOptional)
        case '_[?_]':
          return optionalStep(first, second, indexOptional)
        case '_[_]':
          return (run) => {
            const value = first(run)
            const key = second(run)
            run.charge(1)
            return value instanceof Optional ? indexOptional(value, key) : index(value, key)
          }
        default:
      }
    }
    if (expr.name === '@not_strictly_false' && first !== undefined) return notStrictlyFalse(first)
    const pattern = expr.target === undefined ? expr.args[1] : expr.args[0]
    const overloads = this.#checked.overloadsOf(expr)
    return overloaded(pattern?.kind === 'constant' ? overloads.map((one) => withConstantPattern(one, pattern.value)) : overloads, args)
  }

  #list(expr: Extract<Expr, { kind: 'list' }>): Step {
    if (expr.items.every(({ value }) => value.kind === 'constant')) {
      // Made once: it costs nothing, as cel-go has it.
      const items = expr.items.flatMap(({ value }) => (value.kind === 'constant' ? [value.value] : []))
      if (items.length > 0) {
        const list = new ListValue(items)
        return () => list
      }
    }
    const items = expr.items.map(({ value, isOptional }) => ({ step: this.compile(value), isOptional }))
    return (run) => {
      const values: Value[] = []
      for (const { step, isOptional } of items) {
        const value = step(run)
        if (!isOptional) values.push(value)
        else if (!(value instanceof Optional)) throw noOverload()
        else if (value.value !== undefined) values.push(value.value)
      }
      run.charge(costs.list)
      return new ListValue(values)
    }
  }

  #map(expr: Extract<Expr, { kind: 'map' }>): Step {
    const entries = expr.entries.map(({ key, value, isOptional }) => ({ key: this.compile(key), value: this.compile(value), isOptional }))
    return (run) => {
      const pairs: [Value, Value][] = []
      const seen = new Set<string>()
      for (const entry of entries) {
        const key = entry.key(run)
        const value = entry.value(run)
        const given = entry.isOptional ? optionalValue(value) : value
        const text = keyOf(key)
        if (seen.has(text)) throw new EvaluationError(`Failed with repeated key`)
        seen.add(text)
        if (given !== undefined) pairs.push([key, given])
      }
      run.charge(costs.map)
      return new MapValue(pairs)
    }
  }

  #struct(expr: Extract<Expr, { kind: 'struct' }>): Step {
    const fields = expr.fields.map(({ name, value, isOptional }) => ({ name, step: this.compile(value), isOptional }))
    return (run) => {
      const values = new Map<string, Value>()
      for (const { name, step, isOptional } of fields) {
        const value = isOptional ? optionalValue(step(run)) : step(run)
        if (value !== undefined) values.set(name, value)
      }
      run.charge(costs.struct)
      return madeObject(expr.name, values)
    }
  }

  #fold(expr: Fold): Step {
    const range = this.compile(expr.range)
    const initial = this.compile(expr.initial)
    const accumulator = this.slotCount++
    this.#scopes.push(new Map([[expr.accumulator, accumulator]]))
    const first = this.slotCount++
    const second = expr.second === undefined ? undefined : this.slotCount++
    const loop = new Map([[expr.first, first]])
    if (expr.second !== undefined && second !== undefined) loop.set(expr.second, second)
    this.#scopes.push(loop)
    const condition = this.compile(expr.condition)
    const step = this.compile(expr.step)
    this.#scopes.pop()
    const result = this.compile(expr.result)
    this.#scopes.pop()
    return (run) => {
      const over = range(run)
      // What the loop binds is bound anew by each run of it: loops within loops end before the outer one goes on.
      run.slots[accumulator] = initial(run)
      for (const [one, two] of itemsOf(over)) {
        run.slots[first] = second === undefined && over instanceof ListValue ? two : one
        if (second !== undefined) run.slots[second] = two
        if (condition(run) !== true) break
        run.slots[accumulator] = attempt(step, run)
      }
      return result(run)
    }
  }
}

/** Index and item of lists, key and value of maps and objects. */
function* itemsOf(value: Value): Generator<readonly [Value, Value], void, void> {
  if (value instanceof ListValue) {
    let position = 0n
    for (const item of value) yield [position++, item]
  } else if (value instanceof MapValue) {
    for (const key of value.keys()) yield [key, value.get(key) ?? null]
  } else if (value !== null && isObjectValue(value)) {
    for (const name of value.fieldNames()) yield [name, value.field(name) ?? null]
  } else throw noOverload()
}

function attempt(step: Step, run: Run): Value | Failure {
  try {
    return step(run)
  } catch (error) {
    if (error instanceof EvaluationError) return new Failure(error)
    throw error
  }
}

/** `decisive` on either side decides, whatever the other side is. */
function logic(left: Step, right: Step, decisive: boolean): Step {
  return (run) => {
    const first = attempt(left, run)
    if (first === decisive) return decisive
    const second = attempt(right, run)
    if (second === decisive) return decisive
    if (first instanceof Failure) throw first.error
    if (second instanceof Failure) throw second.error
    if (typeof first !== 'boolean' || typeof second !== 'boolean') throw noOverload()
    return !decisive
  }
}

function conditional(condition: Step, then: Step, otherwise: Step): Step {
  return (run) => {
    const value = condition(run)
    if (typeof value !== 'boolean') throw noOverload()
    return value ? then(run) : otherwise(run)
  }
}

function notStrictlyFalse(inner: Step): Step {
  return (run) => attempt(inner, run) !== false
}

function optionalStep(operand: Step, key: Step, get: (value: Optional, key: Value) => Value): Step {
  return (run) => {
    const value = operand(run)
    const name = key(run)
    run.charge(1)
    return get(value instanceof Optional ? value : new Optional(value), name)
  }
}

/** A regular expression that stands in the expression is read once, when it is first needed. */
function withConstantPattern(one: Overload, pattern: Value): Overload {
  const { withPattern } = one
  if (withPattern === undefined || typeof pattern !== 'string') return one
  let run: Overload['run'] | undefined
  return { ...one, run: (args) => (run ??= withPattern(pattern))(args) }
}

function overloaded(candidates: readonly Overload[], args: readonly Step[]): Step {
  const [only] = candidates
  return (run) => {
    const values = args.map((arg) => arg(run))
    const found =
      candidates.length === 1 && only !== undefined && accepts(only, values) ? only : candidates.find((one) => accepts(one, values))
    if (found === undefined) throw noOverload()
    const result = found.run(values)
    run.charge(callCost(found, values, result))
    run.look()
    return result
  }
}

function accepts({ args }: Overload, values: readonly Value[]): boolean {
  return args.every((type, position) => {
    const value = values[position]
    return value !== undefined && hasType(value, type)
  })
}

/** Whether a value is of a type, as far as values tell. */
function hasType(value: Value, type: CelType): boolean {
  if (type.kind === 'dyn' || type.kind === 'param') return true
  const own = typeOf(value)
  if (own.kind === 'object') return type.kind === 'object' || type.kind === 'map'
  if (type.kind === 'opaque') return own.kind === 'opaque' && own.name === type.name
  return own.kind === type.kind
}

function optionalValue(value: Value): Value | undefined {
  if (!(value instanceof Optional)) throw noOverload()
  return value.value
}

function hasField(value: Value, field: string): boolean {
  if (value instanceof Optional) return value.value !== undefined && hasField(value.value, field)
  if (value instanceof MapValue) return value.get(field) !== undefined
  if (value !== null && isObjectValue(value)) return value.field(field) !== undefined
  throw noOverload()
}

function fieldOf(value: Value, field: string): Value {
  if (value instanceof MapValue) {
    const found = value.get(field)
    if (found === undefined) throw new EvaluationError(`no such key: ${field}`)
    return found
  }
  if (value !== null && isObjectValue(value)) {
    const found = value.field(field)
    if (found === undefined) throw new EvaluationError(`no such key: ${field}`)
    return found
  }
  throw noOverload()
}

function selectOptional(value: Optional, field: Value): Value {
  const inner = value.value
  if (inner === undefined || typeof field !== 'string' || inner === null) return none
  if (inner instanceof MapValue || isObjectValue(inner)) {
    const found = inner instanceof MapValue ? inner.get(field) : inner.field(field)
    return found === undefined ? none : new Optional(found)
  }
  throw noOverload()
}

function indexOptional(value: Optional, key: Value): Value {
  const inner = value.value
  if (inner === undefined || inner === null) return none
  if (inner instanceof ListValue) {
    const position = positionOf(key)
    const found = position < 0 ? undefined : inner.at(position)
    return found === undefined ? none : new Optional(found)
  }
  if (inner instanceof MapValue) {
    const found = inner.get(key)
    return found === undefined ? none : new Optional(found)
  }
  return selectOptional(value, key)
}

function index(value: Value, key: Value): Value {
  if (value instanceof ListValue) {
    const position = positionOf(key)
    const found = position < 0 ? undefined : value.at(position)
    if (found === undefined) throw new EvaluationError(`index out of bounds: ${position}`)
    return found
  }
  if (value instanceof MapValue) {
    const found = value.get(key)
    if (found === undefined) throw new EvaluationError(`no such key: ${textOfKey(key)}`)
    return found
  }
  if (typeof key === 'string') return fieldOf(value, key)
  throw noOverload()
}

const textOfKey = (key: Value): string => keyOf(key).slice(1)

function positionOf(key: Value): number {
  const number = key instanceof Uint ? key.value : key
  if (typeof number === 'bigint') return Number(number)
  if (typeof number === 'number') {
    if (Number.isInteger(number)) return number
    throw new EvaluationError(`unsupported index value`)
  }
  throw noOverload()
}

function madeObject(typeName: string, values: ReadonlyMap<string, Value>): ObjectValue {
  return { isObject: true, typeName, field: (name) => values.get(name), fieldNames: () => [...values.keys()] }
}
