import type { Expr } from './ast.ts'
import { CompileError } from './issues.ts'
import { isReserved, tokenize, type Token } from './lexer.ts'
import { expandMacro } from './macros.ts'
import { codePoints, type Value } from './values.ts'

// cel-go's bounds.
const maxDepth = 250
const maxCodePoints = 100_000

/** Makes nodes and gives them their ids. */
export class Nodes {
  #next = 1

  constant(offset: number, value: Value): Expr {
    return { kind: 'constant', id: this.#next++, offset, value }
  }
  ident(offset: number, name: string): Expr {
    return { kind: 'ident', id: this.#next++, offset, name }
  }
  select(offset: number, operand: Expr, field: string, isTest = false): Expr {
    return { kind: 'select', id: this.#next++, offset, operand, field, isTest }
  }
  call(offset: number, name: string, args: readonly Expr[], target?: Expr): Expr {
    return { kind: 'call', id: this.#next++, offset, name, target, args }
  }
  list(offset: number, items: readonly { readonly value: Expr; readonly isOptional: boolean }[]): Expr {
    return { kind: 'list', id: this.#next++, offset, items }
  }
  map(offset: number, entries: readonly { readonly key: Expr; readonly value: Expr; readonly isOptional: boolean }[]): Expr {
    return { kind: 'map', id: this.#next++, offset, entries }
  }
  struct(
    offset: number,
    name: string,
    fields: readonly { readonly name: string; readonly offset: number; readonly value: Expr; readonly isOptional: boolean }[],
  ): Expr {
    return { kind: 'struct', id: this.#next++, offset, name, fields }
  }
  fold(offset: number, parts: Omit<Extract<Expr, { kind: 'fold' }>, 'kind' | 'id' | 'offset'>): Expr {
    return { kind: 'fold', id: this.#next++, offset, ...parts }
  }
}

/** Parses an expression and expands its macros, `cel.bind` among them when it `bindsNames`. Throws CompileError. */
export function parse(source: string, { bindsNames = false }: { readonly bindsNames?: boolean | undefined } = {}): Expr {
  let size = source.length
  if (size > maxCodePoints) size = codePoints(source)
  if (size > maxCodePoints)
    throw new CompileError(source, [
      { offset: 0, message: `expression code point size exceeds limit: size: ${size}, limit ${maxCodePoints}` },
    ])
  return new Parser(source, bindsNames).parse()
}

const relations = new Set(['<', '<=', '>', '>=', '==', '!=', 'in'])

class Parser {
  readonly #source: string
  readonly #tokens: readonly Token[]
  readonly #nodes = new Nodes()
  readonly #bindsNames: boolean
  #at = 0
  #depth = 0

  constructor(source: string, bindsNames: boolean) {
    this.#source = source
    this.#bindsNames = bindsNames
    this.#tokens = tokenize(source)
  }

  parse(): Expr {
    const expr = this.#expr()
    const rest = this.#peek()
    if (rest.kind !== 'end') this.#fail(rest)
    return expr
  }

  #peek(ahead = 0): Token {
    const token = this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]
    if (token === undefined) throw new Error('There is always a last token')
    return token
  }

  #next(): Token {
    const token = this.#peek()
    this.#at++
    return token
  }

  #is(text: string): boolean {
    const token = this.#peek()
    return token.kind === 'operator' && token.text === text
  }

  #accept(text: string): Token | undefined {
    return this.#is(text) ? this.#next() : undefined
  }

  #expect(text: string): Token {
    return this.#accept(text) ?? this.#fail(this.#peek(), text)
  }

  #fail(token: Token, wanted?: string): never {
    const message =
      wanted === undefined
        ? token.kind === 'end'
          ? "Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
          : // One token too many is told apart from several.
            `Syntax error: ${this.#peek(1).kind === 'end' ? 'extraneous' : 'mismatched'} input '${token.text}' expecting <EOF>`
        : `Syntax error: mismatched input '${token.text}' expecting '${wanted}'`
    throw new CompileError(this.#source, [{ offset: token.offset, message }])
  }

  #expr(): Expr {
    if (++this.#depth > maxDepth)
      throw new CompileError(this.#source, [{ offset: 0, message: `expression recursion limit exceeded: ${maxDepth}` }])
    const condition = this.#or()
    const question = this.#accept('?')
    let result = condition
    if (question !== undefined) {
      const then = this.#or()
      this.#expect(':')
      result = this.#nodes.call(question.offset, '_?_:_', [condition, then, this.#expr()])
    }
    this.#depth--
    return result
  }

  #or(): Expr {
    return this.#chain('||', '_||_', () => this.#chain('&&', '_&&_', () => this.#relation()))
  }

  /** Long chains become balanced trees, so that they are not deep. */
  #chain(operator: string, name: string, inner: () => Expr): Expr {
    const terms = [inner()]
    const operators: Token[] = []
    for (let token = this.#accept(operator); token !== undefined; token = this.#accept(operator)) {
      operators.push(token)
      terms.push(inner())
    }
    const balance = (low: number, high: number): Expr => {
      const middle = Math.floor((low + high + 1) / 2)
      const left = middle === low ? terms[low] : balance(low, middle - 1)
      const right = middle === high ? terms[high + 1] : balance(middle + 1, high)
      return this.#nodes.call(operators[middle]?.offset ?? 0, name, [
        left ?? right ?? terms[0] ?? this.#fail(this.#peek()),
        right ?? this.#fail(this.#peek()),
      ])
    }
    const [only] = terms
    return operators.length === 0 && only !== undefined ? only : balance(0, operators.length - 1)
  }

  #relation(): Expr {
    let left = this.#sum()
    while (this.#peek().kind === 'operator' && relations.has(this.#peek().text)) {
      const { text, offset } = this.#next()
      left = this.#nodes.call(offset, text === 'in' ? '@in' : `_${text}_`, [left, this.#sum()])
    }
    return left
  }

  #sum(): Expr {
    let left = this.#product()
    while (this.#is('+') || this.#is('-')) {
      const { text, offset } = this.#next()
      left = this.#nodes.call(offset, `_${text}_`, [left, this.#product()])
    }
    return left
  }

  #product(): Expr {
    let left = this.#unary()
    while (this.#is('*') || this.#is('/') || this.#is('%')) {
      const { text, offset } = this.#next()
      left = this.#nodes.call(offset, `_${text}_`, [left, this.#unary()])
    }
    return left
  }

  #unary(): Expr {
    const first = this.#peek()
    if (this.#is('!')) {
      let count = 0
      while (this.#accept('!') !== undefined) count++
      const inner = this.#member()
      return count % 2 === 0 ? inner : this.#nodes.call(first.offset, '!_', [inner])
    }
    if (!this.#is('-')) return this.#member()
    const literal = this.#peek(1)
    if (literal.kind === 'literal' && (typeof literal.value === 'bigint' || typeof literal.value === 'number')) {
      this.#next()
      this.#next()
      return this.#members(this.#nodes.constant(first.offset, this.#literal(-literal.value, first)))
    }
    let count = 0
    while (this.#accept('-') !== undefined) count++
    const inner = this.#member()
    return count % 2 === 0 ? inner : this.#nodes.call(first.offset, '-_', [inner])
  }

  #literal(value: Value, { offset }: Token): Value {
    if (typeof value === 'bigint' && value > 9223372036854775807n)
      throw new CompileError(this.#source, [{ offset, message: 'Syntax error: invalid int literal' }])
    return value
  }

  #member(): Expr {
    return this.#members(this.#primary())
  }

  #members(start: Expr): Expr {
    let operand = start
    for (;;) {
      const token = this.#peek()
      if (this.#accept('.') !== undefined) {
        const isOptional = this.#accept('?') !== undefined
        const name = this.#next()
        if (name.kind !== 'ident' && !(name.kind === 'operator' && name.text === 'in')) this.#fail(name, 'IDENTIFIER')
        if (isOptional) operand = this.#nodes.call(token.offset, '_?._', [operand, this.#nodes.constant(name.offset, name.text)])
        else if (this.#is('(')) operand = this.#call(name, operand)
        else operand = this.#nodes.select(token.offset, operand, name.text)
      } else if (this.#accept('[') !== undefined) {
        const isOptional = this.#accept('?') !== undefined
        const index = this.#expr()
        this.#expect(']')
        operand = this.#nodes.call(token.offset, isOptional ? '_[?_]' : '_[_]', [operand, index])
      } else if (this.#is('{')) {
        const name = nameOf(operand)
        if (name === undefined) return operand
        operand = this.#struct(name, token)
      } else return operand
    }
  }

  #call(name: Token, target?: Expr): Expr {
    const open = this.#expect('(')
    const args = this.#args(')')
    return expandMacro({
      name: name.text,
      offset: target === undefined ? name.offset : open.offset,
      target,
      args,
      nodes: this.#nodes,
      source: this.#source,
      bindsNames: this.#bindsNames,
    })
  }

  #args(end: string): Expr[] {
    const args: Expr[] = []
    while (!this.#is(end)) {
      args.push(this.#expr())
      if (this.#accept(',') === undefined) break
    }
    this.#expect(end)
    return args
  }

  #primary(): Expr {
    const token = this.#next()
    if (token.kind === 'literal') return this.#nodes.constant(token.offset, this.#literal(token.value ?? null, token))
    if (token.kind === 'ident' || (token.kind === 'operator' && token.text === '.' && this.#peek().kind === 'ident')) {
      const name = token.kind === 'ident' ? token : this.#next()
      if (isReserved(name.text))
        throw new CompileError(this.#source, [{ offset: name.offset, message: `Syntax error: reserved identifier: ${name.text}` }])
      if (this.#is('(')) return this.#call(name)
      return this.#nodes.ident(name.offset, name.text)
    }
    if (token.kind === 'operator' && token.text === '(') {
      const inner = this.#expr()
      this.#expect(')')
      return inner
    }
    if (token.kind === 'operator' && token.text === '[') {
      const items: { value: Expr; isOptional: boolean }[] = []
      while (!this.#is(']')) {
        const isOptional = this.#accept('?') !== undefined
        items.push({ value: this.#expr(), isOptional })
        if (this.#accept(',') === undefined) break
      }
      this.#expect(']')
      return this.#nodes.list(token.offset, items)
    }
    if (token.kind === 'operator' && token.text === '{') return this.#map(token)
    return this.#fail(token)
  }

  #map({ offset }: Token): Expr {
    const entries: { key: Expr; value: Expr; isOptional: boolean }[] = []
    while (!this.#is('}')) {
      const isOptional = this.#accept('?') !== undefined
      const key = this.#expr()
      this.#expect(':')
      entries.push({ key, value: this.#expr(), isOptional })
      if (this.#accept(',') === undefined) break
    }
    this.#expect('}')
    return this.#nodes.map(offset, entries)
  }

  #struct(name: string, { offset }: Token): Expr {
    this.#expect('{')
    const fields: { name: string; offset: number; value: Expr; isOptional: boolean }[] = []
    while (!this.#is('}')) {
      const isOptional = this.#accept('?') !== undefined
      const field = this.#next()
      if (field.kind !== 'ident') this.#fail(field, 'IDENTIFIER')
      const { offset: colon } = this.#expect(':')
      fields.push({ name: field.text, offset: colon, value: this.#expr(), isOptional })
      if (this.#accept(',') === undefined) break
    }
    this.#expect('}')
    return this.#nodes.struct(offset, name, fields)
  }
}

/** `a.b.c` for a chain of names; undefined for everything else. */
export function nameOf(expr: Expr): string | undefined {
  if (expr.kind === 'ident') return expr.name
  if (expr.kind !== 'select' || expr.isTest) return undefined
  const operand = nameOf(expr.operand)
  return operand === undefined ? undefined : `${operand}.${expr.field}`
}
