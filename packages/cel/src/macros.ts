import type { Expr } from './ast.ts'
import { CompileError } from './issues.ts'
import type { Nodes } from './parser.ts'

export interface MacroCall {
  readonly name: string
  readonly offset: number
  readonly target: Expr | undefined
  readonly args: readonly Expr[]
  readonly nodes: Nodes
  readonly source: string
  /** `cel.bind` is a macro. */
  readonly bindsNames: boolean
}

/** No name in a source begins with it. */
export const accumulator = '@result'

/** What a call means: a macro's expansion, or the call itself. Throws CompileError for macros that are used wrongly. */
export function expandMacro(call: MacroCall): Expr {
  return expand(call) ?? call.nodes.call(call.offset, call.name, call.args, call.target)
}

function expand(call: MacroCall): Expr | undefined {
  const { name, target, args, nodes, offset } = call
  const [first, second, third, fourth] = args
  if (target === undefined) {
    if (name !== 'has' || args.length !== 1 || first === undefined) return undefined
    if (first.kind !== 'select' || first.isTest) throw wrong(call, first, 'invalid argument to has() macro')
    return nodes.select(offset, first.operand, first.field, true)
  }
  if (first === undefined || second === undefined) return undefined
  const kind = `${name}/${args.length}`
  const loop = new Loop(call, target)
  if (call.bindsNames && kind === 'bind/3' && target.kind === 'ident' && target.name === 'cel') {
    if (first.kind !== 'ident') throw wrong(call, first, 'cel.bind() variable names must be simple identifiers')
    return third === undefined ? undefined : loop.bind(first.name, second, third)
  }
  switch (kind) {
    case 'all/2':
      return loop.all(first, undefined, second)
    case 'all/3':
      return third === undefined ? undefined : loop.all(first, second, third)
    case 'exists/2':
      return loop.exists(first, undefined, second)
    case 'exists/3':
      return third === undefined ? undefined : loop.exists(first, second, third)
    case 'exists_one/2':
    case 'existsOne/2':
      return loop.existsOne(first, undefined, second)
    case 'exists_one/3':
    case 'existsOne/3':
      return third === undefined ? undefined : loop.existsOne(first, second, third)
    case 'map/2':
      return loop.list(first, undefined, undefined, second)
    case 'map/3':
      return third === undefined ? undefined : loop.list(first, undefined, second, third)
    case 'filter/2':
      return loop.list(first, undefined, second, first)
    case 'transformList/3':
      return third === undefined ? undefined : loop.list(first, second, undefined, third)
    case 'transformList/4':
      return third === undefined || fourth === undefined ? undefined : loop.list(first, second, third, fourth)
    case 'transformMap/3':
      return third === undefined ? undefined : loop.map(first, second, undefined, third)
    case 'transformMap/4':
      return third === undefined || fourth === undefined ? undefined : loop.map(first, second, third, fourth)
    case 'transformMapEntry/3':
      return third === undefined ? undefined : loop.entries(first, second, undefined, third)
    case 'transformMapEntry/4':
      return third === undefined || fourth === undefined ? undefined : loop.entries(first, second, third, fourth)
    case 'optMap/2':
      return loop.optional(first, second, true)
    case 'optFlatMap/2':
      return loop.optional(first, second, false)
    case 'sortBy/2':
      return loop.sortBy(first, second)
    default:
      return undefined
  }
}

function wrong({ source }: MacroCall, at: Expr, message: string): CompileError {
  return new CompileError(source, [{ offset: at.offset, message }])
}

/** Writes the loops that macros stand for. */
class Loop {
  readonly #call: MacroCall
  readonly #target: Expr

  constructor(call: MacroCall, target: Expr) {
    this.#call = call
    this.#target = target
  }

  all(first: Expr, second: Expr | undefined, predicate: Expr): Expr {
    const { nodes, offset } = this.#call
    return this.#fold(first, second, {
      initial: nodes.constant(offset, true),
      condition: nodes.call(offset, '@not_strictly_false', [this.#accu()]),
      step: nodes.call(offset, '_&&_', [this.#accu(), predicate]),
      result: this.#accu(),
    })
  }

  exists(first: Expr, second: Expr | undefined, predicate: Expr): Expr {
    const { nodes, offset } = this.#call
    return this.#fold(first, second, {
      initial: nodes.constant(offset, false),
      condition: nodes.call(offset, '@not_strictly_false', [nodes.call(offset, '!_', [this.#accu()])]),
      step: nodes.call(offset, '_||_', [this.#accu(), predicate]),
      result: this.#accu(),
    })
  }

  existsOne(first: Expr, second: Expr | undefined, predicate: Expr): Expr {
    const { nodes, offset } = this.#call
    return this.#fold(first, second, {
      initial: nodes.constant(offset, 0n),
      condition: nodes.constant(offset, true),
      step: this.#when(predicate, nodes.call(offset, '_+_', [this.#accu(), nodes.constant(offset, 1n)])),
      result: nodes.call(offset, '_==_', [this.#accu(), nodes.constant(offset, 1n)]),
    })
  }

  list(first: Expr, second: Expr | undefined, filter: Expr | undefined, transform: Expr): Expr {
    const { nodes, offset } = this.#call
    const item = nodes.list(offset, [{ value: transform, isOptional: false }])
    const step = nodes.call(offset, '_+_', [this.#accu(), item])
    return this.#fold(first, second, {
      initial: nodes.list(offset, []),
      condition: nodes.constant(offset, true),
      step: filter === undefined ? step : this.#when(filter, step),
      result: this.#accu(),
    })
  }

  map(first: Expr, second: Expr, filter: Expr | undefined, transform: Expr): Expr {
    const { nodes, offset } = this.#call
    const key = nodes.ident(first.offset, this.#name(first))
    const step = nodes.call(offset, 'cel.@mapInsert', [this.#accu(), key, transform])
    return this.#toMap(first, second, filter, step)
  }

  entries(first: Expr, second: Expr, filter: Expr | undefined, transform: Expr): Expr {
    const { nodes, offset } = this.#call
    return this.#toMap(first, second, filter, nodes.call(offset, 'cel.@mapInsert', [this.#accu(), transform]))
  }

  #toMap(first: Expr, second: Expr, filter: Expr | undefined, step: Expr): Expr {
    const { nodes, offset } = this.#call
    return this.#fold(first, second, {
      initial: nodes.map(offset, []),
      condition: nodes.constant(offset, true),
      step: filter === undefined ? step : this.#when(filter, step),
      result: this.#accu(),
    })
  }

  /** `cel.bind(name, value, result)`: the result, in which the name stands for the value. */
  bind(name: string, value: Expr, result: Expr): Expr {
    const { nodes, offset } = this.#call
    return nodes.fold(offset, {
      range: nodes.list(offset, []),
      first: '#unused',
      second: undefined,
      accumulator: name,
      initial: value,
      condition: nodes.constant(offset, false),
      step: nodes.ident(offset, name),
      result,
    })
  }

  /** `target.optMap(name, transform)`: the transform of the value, when there is one. */
  optional(variable: Expr, transform: Expr, wraps: boolean): Expr {
    const { nodes, offset } = this.#call
    const bound = this.bind(this.#name(variable), nodes.call(offset, 'value', [], this.#target), transform)
    return nodes.call(offset, '_?_:_', [
      nodes.call(offset, 'hasValue', [], this.#target),
      wraps ? nodes.call(offset, 'optional.of', [bound]) : bound,
      nodes.call(offset, 'optional.none', []),
    ])
  }

  /** `list.sortBy(e, key)`: sorted by the keys. */
  sortBy(variable: Expr, key: Expr): Expr {
    const { nodes, offset } = this.#call
    const name = '@__sortBy_input__'
    const keys = new Loop({ ...this.#call }, nodes.ident(offset, name)).list(variable, undefined, undefined, key)
    return this.bind(name, this.#target, nodes.call(offset, '@sortByAssociatedKeys', [keys], nodes.ident(offset, name)))
  }

  #accu(): Expr {
    return this.#call.nodes.ident(this.#call.offset, accumulator)
  }

  #when(condition: Expr, step: Expr): Expr {
    return this.#call.nodes.call(this.#call.offset, '_?_:_', [condition, step, this.#accu()])
  }

  #name(expr: Expr): string {
    if (expr.kind !== 'ident') throw wrong(this.#call, expr, 'argument must be a simple name')
    return expr.name
  }

  #fold(
    first: Expr,
    second: Expr | undefined,
    parts: { readonly initial: Expr; readonly condition: Expr; readonly step: Expr; readonly result: Expr },
  ): Expr {
    const names = [first, ...(second === undefined ? [] : [second])].map((expr) => this.#name(expr))
    const [one = '', two] = names
    if (two !== undefined && one === two) throw wrong(this.#call, second ?? first, `duplicate variable name: ${one}`)
    return this.#call.nodes.fold(this.#call.offset, { range: this.#target, first: one, second: two, accumulator, ...parts })
  }
}
