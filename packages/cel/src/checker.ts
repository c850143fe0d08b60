import type { Expr, Fold } from './ast.ts'
import type { Environment } from './environment.ts'
import { CompileError, type Issue } from './issues.ts'
import type { Overload } from './overload.ts'
import { nameOf } from './parser.ts'
import { dyn, formatType, isOptional, isSameType, listOf, mapOf, optionalOf, simple, Substitution, type CelType } from './types.ts'
import { Uint, type Value } from './values.ts'

/** What the checker found out about an expression. */
export interface Checked {
  /** Names of functions and types are resolved in it. */
  readonly expr: Expr
  readonly type: CelType
  typeOf(expr: Expr): CelType
  overloadsOf(expr: Expr): readonly Overload[]
  /** Variables of the environment that the expression uses. */
  readonly variables: ReadonlySet<string>
}

/** Checks types. Throws CompileError with every issue. */
export function check(source: string, expr: Expr, environment: Environment): Checked {
  const checker = new Checker(environment)
  const resolved = checker.visit(expr)
  if (checker.issues.length > 0) throw new CompileError(source, checker.issues)
  return {
    expr: resolved,
    type: checker.typeOf(resolved),
    typeOf: (one) => checker.typeOf(one),
    overloadsOf: (one) => checker.overloads.get(one.id) ?? [],
    variables: checker.variables,
  }
}

class Checker {
  readonly issues: Issue[] = []
  readonly overloads = new Map<number, readonly Overload[]>()
  readonly variables = new Set<string>()
  readonly #environment: Environment
  readonly #types = new Map<number, CelType>()
  readonly #substitution = new Substitution()
  readonly #scopes: Map<string, CelType>[] = []

  constructor(environment: Environment) {
    this.#environment = environment
  }

  typeOf(expr: Expr): CelType {
    return this.#substitution.ground(this.#types.get(expr.id) ?? dyn)
  }

  visit(expr: Expr): Expr {
    switch (expr.kind) {
      case 'constant':
        return this.#done(expr, constantType(expr.value))
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

  #done(expr: Expr, type: CelType): Expr {
    this.#types.set(expr.id, type)
    return expr
  }

  #problem(offset: number, message: string): void {
    this.issues.push({ offset, message })
  }

  #lookup(name: string): CelType | undefined {
    for (const scope of this.#scopes.toReversed()) {
      const type = scope.get(name)
      if (type !== undefined) return type
    }
    const type = this.#environment.variable(name)
    if (type !== undefined) this.variables.add(name)
    return type
  }

  #isLocal(name: string): boolean {
    return this.#scopes.some((scope) => scope.has(name))
  }

  #ident(expr: Extract<Expr, { kind: 'ident' }>): Expr {
    const type = this.#lookup(expr.name)
    if (type !== undefined) return this.#done(expr, type)
    const named = this.#environment.type(expr.name)
    if (named !== undefined) return this.#done(expr, { kind: 'type', of: named })
    this.#problem(expr.offset, `undeclared reference to '${expr.name}' (in container '')`)
    return this.#done(expr, dyn)
  }

  #select(expr: Extract<Expr, { kind: 'select' }>): Expr {
    const name = nameOf(expr)
    const root = name?.slice(0, name.indexOf('.'))
    if (name !== undefined && root !== undefined && !this.#isLocal(root) && !expr.isTest) {
      const variable = this.#environment.variable(name)
      const type = variable ?? this.#environment.type(name)
      if (type !== undefined) {
        if (variable !== undefined) this.variables.add(name)
        return this.#done({ kind: 'ident', id: expr.id, offset: expr.offset, name }, variable ?? { kind: 'type', of: type })
      }
    }
    const operand = this.visit(expr.operand)
    const type = this.#field(this.#substitution.resolve(this.#types.get(operand.id) ?? dyn), expr)
    return this.#done({ ...expr, operand }, expr.isTest ? simple('bool') : type)
  }

  /** Type of a field; of an optional's field, an optional. */
  #field(type: CelType, expr: { readonly offset: number; readonly field: string }): CelType {
    if (type.kind === 'opaque' && type.name.startsWith('kubernetes.authorization.')) {
      this.#problem(expr.offset, `unexpected failed resolution of '${type.name}'`)
      return dyn
    }
    if (isOptional(type)) {
      const inner = this.#field(this.#substitution.resolve(type.parameters[0] ?? dyn), expr)
      return isOptional(inner) ? inner : optionalOf(inner)
    }
    switch (type.kind) {
      case 'map':
        return type.value
      case 'object': {
        const field = type.fields.get(expr.field)
        if (field !== undefined) return field
        if (type.isOpen === true) return dyn
        this.#problem(expr.offset, `undefined field '${expr.field}'`)
        return dyn
      }
      case 'param':
        // Nothing is known of it: it may be anything.
        this.#substitution.assign([[type, dyn]])
        return dyn
      case 'dyn':
        return dyn
      default:
        this.#problem(expr.offset, `type '${formatType(this.#substitution.ground(type))}' does not support field selection`)
        return dyn
    }
  }

  #call(expr: Extract<Expr, { kind: 'call' }>): Expr {
    const { target } = expr
    if (target === undefined) {
      const args = expr.args.map((arg) => this.visit(arg))
      if (expr.name === '_?._') return this.#optionalSelect({ ...expr, args })
      return this.#resolve({ ...expr, args }, expr.name, args, false)
    }
    const qualified = nameOf(target)
    const root = qualified?.split('.')[0] ?? ''
    if (qualified !== undefined && !this.#isLocal(root) && this.#environment.variable(root) === undefined) {
      const name = `${qualified}.${expr.name}`
      if (this.#environment.functions(name).length > 0) {
        const args = expr.args.map((arg) => this.visit(arg))
        return this.#resolve({ ...expr, target: undefined, name, args }, name, args, false)
      }
    }
    const receiver = this.visit(target)
    const args = expr.args.map((arg) => this.visit(arg))
    return this.#resolve({ ...expr, target: receiver, args }, expr.name, [receiver, ...args], true)
  }

  #optionalSelect(expr: Extract<Expr, { kind: 'call' }>): Expr {
    const [operand, field] = expr.args
    if (operand === undefined || field?.kind !== 'constant' || typeof field.value !== 'string') return this.#done(expr, dyn)
    const type = this.#field(this.#substitution.resolve(this.#types.get(operand.id) ?? dyn), { offset: field.offset, field: field.value })
    return this.#done(expr, isOptional(type) ? type : optionalOf(type))
  }

  #resolve(expr: Expr, name: string, args: readonly Expr[], isMember: boolean): Expr {
    const candidates = this.#environment.functions(name)
    const types = args.map((arg) => this.#types.get(arg.id) ?? dyn)
    if (candidates.length === 0) {
      this.#problem(expr.offset, `undeclared reference to '${name}' (in container '')`)
      return this.#done(expr, dyn)
    }
    const fitting: Overload[] = []
    let result: CelType | undefined
    for (const candidate of candidates) {
      if (candidate.isMember !== isMember || candidate.args.length !== args.length) continue
      const names = new Map<string, CelType>()
      const wanted = candidate.args.map((arg) => this.#substitution.instantiate(arg, names))
      if (!this.#substitution.assign(wanted.map((arg, index) => [arg, types[index] ?? dyn] as const))) continue
      fitting.push(candidate)
      const own = this.#substitution.resolve(this.#substitution.instantiate(candidate.result, names))
      result = result === undefined || isSameType(result, own) ? own : dyn
    }
    if (result === undefined) {
      const texts = types.map((type) => formatType(this.#substitution.ground(type)))
      const text = isMember ? `${texts[0] ?? ''}.(${texts.slice(1).join(', ')})` : `(${texts.join(', ')})`
      this.#problem(expr.offset, `found no matching overload for '${name}' applied to '${text}'`)
      return this.#done(expr, dyn)
    }
    this.overloads.set(expr.id, fitting)
    return this.#done(expr, result)
  }

  /** Items are of one type: as Kubernetes asks for. */
  #list(expr: Extract<Expr, { kind: 'list' }>): Expr {
    let of: CelType | undefined
    const items = expr.items.map(({ value, isOptional: isMaybe }) => {
      const item = this.visit(value)
      const type = this.#unwrapped(item, isMaybe)
      of = this.#join(of, type, value.offset)
      return { value: item, isOptional: isMaybe }
    })
    return this.#done({ ...expr, items }, listOf(of ?? this.#substitution.freshParam()))
  }

  #unwrapped(expr: Expr, isMaybe: boolean): CelType {
    const type = this.#substitution.resolve(this.#types.get(expr.id) ?? dyn)
    if (!isMaybe) return type
    if (isOptional(type)) return type.parameters[0] ?? dyn
    if (type.kind !== 'dyn')
      this.#problem(
        expr.offset,
        `expected type 'optional_type(${formatType(this.#substitution.ground(type))})' but found '${formatType(this.#substitution.ground(type))}'`,
      )
    return type
  }

  #join(present: CelType | undefined, type: CelType, offset: number): CelType {
    if (present === undefined) return type
    if (this.#substitution.assign([[present, type]])) return present.kind === 'dyn' ? present : type.kind === 'dyn' ? type : present
    const [wanted, found] = [present, type].map((one) => formatType(this.#substitution.ground(one)))
    this.#problem(offset, `expected type '${wanted ?? ''}' but found '${found ?? ''}'`)
    return dyn
  }

  #map(expr: Extract<Expr, { kind: 'map' }>): Expr {
    let key: CelType | undefined
    let value: CelType | undefined
    const entries = expr.entries.map((entry) => {
      const [k, v] = [this.visit(entry.key), this.visit(entry.value)]
      key = this.#join(key, this.#types.get(k.id) ?? dyn, entry.key.offset)
      value = this.#join(value, this.#unwrapped(v, entry.isOptional), entry.value.offset)
      return { key: k, value: v, isOptional: entry.isOptional }
    })
    return this.#done({ ...expr, entries }, mapOf(key ?? this.#substitution.freshParam(), value ?? this.#substitution.freshParam()))
  }

  #struct(expr: Extract<Expr, { kind: 'struct' }>): Expr {
    const type = this.#environment.type(expr.name)
    const fields = expr.fields.map((field) => {
      const value = this.visit(field.value)
      const wanted = type?.kind === 'object' ? type.fields.get(field.name) : undefined
      if (type?.kind === 'object' && wanted === undefined && type.isOpen !== true)
        this.#problem(field.offset, `undefined field '${field.name}'`)
      const found = this.#unwrapped(value, field.isOptional)
      if (wanted !== undefined && !this.#substitution.assign([[wanted, found]]))
        this.#problem(
          field.offset,
          `expected type of field '${field.name}' is '${formatType(wanted)}' but provided type is '${formatType(this.#substitution.ground(found))}'`,
        )
      return { ...field, value }
    })
    if (type?.kind === 'object') return this.#done({ ...expr, fields }, type)
    this.#problem(expr.offset, `undeclared reference to '${expr.name}' (in container '')`)
    return this.#done({ ...expr, fields }, dyn)
  }

  #fold(expr: Fold): Expr {
    const range = this.visit(expr.range)
    const initial = this.visit(expr.initial)
    const over = this.#substitution.resolve(this.#types.get(range.id) ?? dyn)
    const variables = new Map<string, CelType>([[expr.accumulator, this.#types.get(initial.id) ?? dyn]])
    const [first, second] = this.#ranged(over, expr, range)
    this.#scopes.push(variables)
    const loop = new Map([[expr.first, first]])
    if (expr.second !== undefined) loop.set(expr.second, second)
    this.#scopes.push(loop)
    const condition = this.visit(expr.condition)
    this.#mustBe(condition, simple('bool'))
    const step = this.visit(expr.step)
    this.#mustBe(step, variables.get(expr.accumulator) ?? dyn)
    this.#scopes.pop()
    const result = this.visit(expr.result)
    this.#scopes.pop()
    return this.#done({ ...expr, range, initial, condition, step, result }, this.#types.get(result.id) ?? dyn)
  }

  #ranged(over: CelType, { second }: Fold, range: Expr): readonly [CelType, CelType] {
    switch (over.kind) {
      case 'list':
        return second === undefined ? [over.of, dyn] : [simple('int'), over.of]
      case 'map':
        return [over.key, over.value]
      case 'dyn':
      case 'param':
        return [dyn, dyn]
      default:
        this.#problem(
          range.offset,
          `expression of type '${formatType(this.#substitution.ground(over))}' cannot be range of a comprehension (must be list, map, or dynamic)`,
        )
        return [dyn, dyn]
    }
  }

  #mustBe(expr: Expr, wanted: CelType): void {
    const type = this.#types.get(expr.id) ?? dyn
    if (this.#substitution.assign([[wanted, type]])) return
    const [want, found] = [wanted, type].map((one) => formatType(this.#substitution.ground(one)))
    this.#problem(expr.offset, `expected type '${want ?? ''}' but found '${found ?? ''}'`)
  }
}

function constantType(value: Value): CelType {
  if (value === null) return simple('null')
  if (typeof value === 'boolean') return simple('bool')
  if (typeof value === 'bigint') return simple('int')
  if (typeof value === 'number') return simple('double')
  if (typeof value === 'string') return simple('string')
  return value instanceof Uint ? simple('uint') : simple('bytes')
}
