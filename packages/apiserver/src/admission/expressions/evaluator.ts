import { EvaluationError, type ObjectValue, type Outcome, type Program, type Value } from '@k3s/cel'
import type { Expression } from './expression.ts'
import type { ComposedVariables } from './variables.ts'

// Upstream's budget of one expression: about a tenth of a second.
const maxCallCost = 1_000_000

type Known = { readonly value: Value } | { readonly error: string }

/** Evaluates expressions, each at once. Variables are evaluated when they are first needed, and charged for once. */
export class Evaluator {
  readonly #values: Record<string, Value>
  readonly #known = new Map<string, Known>()
  readonly #charged: Set<string>
  /** Evaluated for the expression at hand, and what that cost. */
  #news: { readonly names: Set<string>; cost: number } = { names: new Set(), cost: 0 }
  #look: (() => void) | undefined

  /** `charged`: variables that were evaluated and paid for elsewhere. */
  constructor(values: Readonly<Record<string, Value>>, variables: ComposedVariables | undefined, charged: Iterable<string> = []) {
    this.#values = { ...values }
    this.#charged = new Set(charged)
    if (variables !== undefined) this.#values['variables'] = this.#lazy(variables)
  }

  /** Variables that need not be paid for any more. */
  get charged(): ReadonlySet<string> {
    return this.#charged
  }

  /** The outcome, and its cost with that of variables. What `look` and authorizers throw comes out; after that it may be run again. */
  run(program: Program, look?: () => void): { readonly outcome: Outcome; readonly cost: number } {
    this.#look = look
    const outcome = program.evaluate(this.#values, maxCallCost, look)
    const { names, cost } = this.#news
    this.charge(names)
    return { outcome, cost: outcome.cost + cost }
  }

  /** What the run that was ended evaluated is paid for: these, elsewhere. */
  charge(names: Iterable<string>): void {
    for (const name of names) this.#charged.add(name)
    this.#news = { names: new Set(), cost: 0 }
  }

  #compute(name: string, { program, problem }: Expression): Known {
    if (program === undefined) return { error: `composited variable "${name}" fails to compile: ${problem ?? ''}` }
    const outcome = program.evaluate(this.#values, maxCallCost, this.#look)
    if (!this.#charged.has(name)) {
      this.#news.names.add(name)
      this.#news.cost += outcome.cost
    }
    return 'error' in outcome ? { error: `composited variable "${name}" fails to evaluate: ${outcome.error}` } : { value: outcome.value }
  }

  #lazy({ expressions }: ComposedVariables): ObjectValue {
    return {
      isObject: true,
      typeName: 'kubernetes.variables',
      field: (name) => {
        const expression = expressions.get(name)
        if (expression === undefined) return undefined
        let result = this.#known.get(name)
        if (result === undefined) this.#known.set(name, (result = this.#compute(name, expression)))
        if ('error' in result) throw new EvaluationError(result.error)
        return result.value
      },
      fieldNames: () => [...expressions.keys()],
    }
  }
}
