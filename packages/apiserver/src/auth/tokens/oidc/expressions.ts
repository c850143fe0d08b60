import { CompileError, dyn, Environment, ListValue, MapValue, mapOf, simple, type Program, type Value } from '@k3s/cel'

// Claims come from outside: an expression over them may hold everybody up for 20 ms.
const maxCost = 200_000

const environment = (variable: 'claims' | 'user'): Environment =>
  new Environment({ variables: { [variable]: mapOf(simple('string'), dyn) } })

/** An expression over the claims of a token, or over the user that they make. */
export class ClaimExpression {
  readonly #program: Program
  readonly #variable: 'claims' | 'user'
  readonly #source: string

  /** Throws a TypeError when the expression cannot be compiled. */
  constructor(source: string, variable: 'claims' | 'user') {
    this.#source = source
    this.#variable = variable
    try {
      this.#program = environment(variable).compile(source)
    } catch (cause) {
      if (cause instanceof CompileError)
        throw new TypeError(`expression ${JSON.stringify(source)}: compilation failed: ${cause.message}`, { cause })
      throw cause
    }
  }

  /** Throws an Error when it has no value. */
  evaluate(value: unknown): Value {
    const outcome = this.#program.evaluate({ [this.#variable]: valueOf(value) }, maxCost)
    if ('error' in outcome) throw new Error(`expression ${JSON.stringify(this.#source)}: ${outcome.error}`)
    return outcome.value
  }

  /** Whether a condition holds. Throws as {@link evaluate}. */
  holds(value: unknown): boolean {
    return this.evaluate(value) === true
  }
}

/** A JSON value as expressions see it: numbers are doubles. */
function valueOf(value: unknown): Value {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return value
  if (Array.isArray(value)) return new ListValue(value.map(valueOf))
  if (typeof value !== 'object') return null
  return new MapValue(Object.entries(value).flatMap(([name, inner]) => (inner === undefined ? [] : [[name, valueOf(inner)] as const])))
}

/** The texts that an expression gives: one, a list, or none for null and empty ones. Throws for other values. */
export function textsOf(value: Value): readonly string[] {
  if (value === null || value === '') return []
  if (typeof value === 'string') return [value]
  if (!(value instanceof ListValue)) throw new Error('expression must return a string or a list of strings')
  return Array.from({ length: value.length }, (_, index) => {
    const item = value.at(index)
    if (typeof item !== 'string') throw new Error('expression must return a string or a list of strings')
    return item
  }).filter((item) => item !== '')
}
