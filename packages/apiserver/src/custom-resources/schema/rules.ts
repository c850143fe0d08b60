import { none, Optional, type Value, type Program } from '@k3s/cel'
import { isObject } from '../../json.ts'
import { Pace } from '../../off-loop/pace.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalidValue } from '../../validation/field-error.ts'
import { compileRules, type CompiledRule } from './compile-rules.ts'
import { Correlation } from './correlation.ts'
import { declTypeOf, escapeName, withMetadata, type DeclType } from './decl-type.ts'
import { ruleValue } from './rule-values.ts'
import { additionalOf, isEmbedded, itemsOf, path, propertiesOf, propertyOf, type Schema } from './schema.ts'

export interface RuleRun {
  /** Where errors are reported. */
  readonly at?: string | undefined
  /** The value that is replaced. */
  readonly previous?: unknown
  /** What did not change: its errors become warnings. */
  readonly correlation?: Correlation | undefined
  /** Most that may be spent; default: upstream's budget, however long that takes. */
  readonly maxCost?: number | undefined
}

// Upstream's budgets: of one rule, and of all rules about one object. The larger one takes about a second.
const maxCallCost = 1_000_000
const maxTotalCost = 10_000_000
const maxMessageBytes = 5 * 1024

/** Rules cost more than may be spent on them here: nothing was decided. */
export class TooCostly extends Error {
  override readonly name = 'TooCostly'
}

interface Spent {
  left: number
  /** Of what may be spent without asking somebody else to. */
  here: number
  /** Ends what takes too long here. */
  readonly look: (() => void) | undefined
  readonly errors: FieldError[]
  readonly warnings: string[]
}

/** The nearest places whose old and new values belong together. */
interface Tolerance {
  readonly own: Correlation | undefined
  readonly parent: Correlation | undefined
}

/** Checks values against the rules in their schema, and in the schemas within it. */
export class RuleValidator {
  readonly #schema: Schema
  readonly #rules: readonly CompiledRule[]
  readonly #isRoot: boolean
  readonly #items: RuleValidator | undefined
  readonly #additional: RuleValidator | undefined
  readonly #properties: ReadonlyMap<string, RuleValidator>

  /** Undefined when the schema has no rules. */
  static of(schema: Schema, { isRoot }: { readonly isRoot: boolean }): RuleValidator | undefined {
    return hasRules(schema) ? RuleValidator.#make(schema, isRoot, declTypeOf(schema, isRoot)) : undefined
  }

  static #make(schema: Schema, isRoot: boolean, declared: DeclType | undefined): RuleValidator | undefined {
    if (!hasRules(schema)) return undefined
    return new RuleValidator(schema, isRoot, declared)
  }

  private constructor(schema: Schema, isRoot: boolean, declared: DeclType | undefined) {
    this.#schema = schema
    this.#isRoot = isRoot
    this.#rules = declared === undefined ? [] : compileRules(schema, declared, { costs: false })
    const items = itemsOf(schema)
    const additional = additionalOf(schema)
    this.#items = items === undefined ? undefined : RuleValidator.#make(items, isEmbedded(items), declared?.element)
    this.#additional = additional === undefined ? undefined : RuleValidator.#make(additional, isEmbedded(additional), declared?.element)
    const properties = new Map<string, RuleValidator>()
    for (const [name, property] of propertiesOf(schema)) {
      const escaped = escapeName(name)
      const type = escaped === undefined ? declTypeOf(property, isEmbedded(property)) : declared?.fields.get(escaped)
      const validator = type === undefined ? undefined : RuleValidator.#make(property, isEmbedded(property), type)
      if (validator !== undefined) properties.set(name, validator)
    }
    this.#properties = properties
  }

  /** What the rules say about a value. Takes at most about a second, by their budget. With `maxCost`, throws {@link TooCostly} when it would cost more, or take longer than a turn. */
  validate(
    value: unknown,
    { at = '', previous, correlation, maxCost = Infinity }: RuleRun,
  ): { readonly errors: FieldError[]; readonly warnings: string[] } {
    const pace = new Pace()
    const look = (): void => {
      if (pace.isTooLong) throw new TooCostly()
    }
    const spent: Spent = { left: maxTotalCost, here: maxCost, look: maxCost === Infinity ? undefined : look, errors: [], warnings: [] }
    this.#visit(value, previous, at, { own: correlation, parent: undefined }, spent)
    return { errors: spent.errors, warnings: spent.warnings }
  }

  #visit(value: unknown, previous: unknown, at: string, tolerance: Tolerance, spent: Spent): void {
    if (value === null || value === undefined) return
    this.#check(value, previous ?? undefined, at, tolerance, spent)
    if (spent.left < 0) return
    if (Array.isArray(value)) {
      if (this.#items === undefined) return
      const pairs = new Correlation(value, previous, this.#schema)
      for (const [index, item] of value.entries()) {
        const below = tolerance.own === undefined ? tolerance : { own: tolerance.own.index(index), parent: tolerance.own }
        this.#items.#visit(item, pairs.previousItem(item), path.index(at, index), below, spent)
        if (spent.left < 0) return
      }
    } else if (isObject(value)) this.#visitObject(value, previous, at, tolerance, spent)
  }

  #visitObject(value: Readonly<Record<string, unknown>>, previous: unknown, at: string, tolerance: Tolerance, spent: Spent): void {
    for (const name of Object.keys(value).toSorted()) {
      const property = this.#properties.get(name)
      const validator = property ?? (propertyOf(this.#schema, name) === undefined ? this.#additional : undefined)
      if (validator === undefined) continue
      const old = isObject(previous) && Object.hasOwn(previous, name) ? previous[name] : undefined
      const where = property === undefined ? path.key(at, name) : path.child(at, name)
      validator.#visit(value[name], old, where, below(tolerance, name), spent)
      if (spent.left < 0) return
    }
  }

  #check(value: unknown, previous: unknown, at: string, tolerance: Tolerance, spent: Spent): void {
    if (this.#rules.length === 0) return
    const type = this.#schema.type ?? ''
    const schema = this.#isRoot ? withMetadata(this.#schema) : this.#schema
    const field = path.show(at)
    const outOfBudget = (): void => {
      spent.errors.push(
        invalidValue(field, type, 'validation failed due to running out of cost budget, no further validation rules will be run'),
      )
      spent.left = -1
    }
    if (spent.left <= 0) return outOfBudget()
    const self = ruleValue(value, schema)
    const old = previous === undefined ? undefined : ruleValue(previous, schema)
    for (const compiled of this.#rules) {
      const { rule, program } = compiled
      if (compiled.problem !== undefined) spent.errors.push(invalidValue(field, type, `rule compile error: ${compiled.problem}`))
      if (program === undefined) continue
      const isOptional = rule.optionalOldSelf === true
      // Without an old value there is no change to be judged.
      if (compiled.usesOldSelf && old === undefined && !isOptional) continue
      const variables: Record<string, Value> = { self }
      if (isOptional) variables['oldSelf'] = old === undefined ? none : new Optional(old)
      else if (old !== undefined) variables['oldSelf'] = old
      const outcome = evaluate(program, variables, spent)
      if (outcome.cost > spent.left) return outOfBudget()
      spent.left -= outcome.cost
      if ('error' in outcome) {
        spent.errors.push(invalidValue(field, type, failure(outcome, textOfRule(rule))))
        if (outcome.isOverBudget) {
          spent.left = -1
          return
        }
      } else if (outcome.value !== true) {
        const error = this.#violation(compiled, variables, value, at, spent)
        if (error === undefined) return
        if (!compiled.usesOldSelf && isUnchanged(tolerance)) spent.warnings.push(`${error.field ?? ''}: ${error.message ?? ''}`)
        else spent.errors.push(error)
      }
    }
  }

  /** The error of a rule that does not hold; undefined when making its message used up the budget. */
  #violation(
    compiled: CompiledRule,
    variables: Readonly<Record<string, Value>>,
    value: unknown,
    at: string,
    spent: Spent,
  ): FieldError | undefined {
    const { rule } = compiled
    const { type = '' } = this.#schema
    const field = path.show(compiled.fieldPath === '' ? at : path.child(at, compiled.fieldPath))
    let detail: string | undefined
    if (compiled.message !== undefined) {
      const outcome = evaluate(compiled.message, variables, spent)
      const isOver = outcome.cost > spent.left || ('error' in outcome && outcome.isOverBudget)
      if (isOver) {
        const why =
          outcome.cost > spent.left
            ? 'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run'
            : `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(rule.messageExpression)}`
        spent.errors.push(invalidValue(field, type, why))
        spent.left = -1
        return undefined
      }
      spent.left -= outcome.cost
      if (!('error' in outcome)) detail = usableMessage(outcome.value)
    }
    detail ??= (rule.message ?? '') === '' ? `failed rule: ${textOfRule(rule)}` : (rule.message ?? '').trim()
    const isContainer = type === 'object' || type === 'array'
    return errorFor(rule.reason, field, isContainer ? undefined : { value }, detail)
  }
}

function below(tolerance: Tolerance, name: string): Tolerance {
  if (tolerance.own === undefined) return tolerance
  // Both are converted to the same version: what changed in them cannot be seen.
  if (tolerance.parent === undefined && (name === 'apiVersion' || name === 'kind')) return { own: undefined, parent: undefined }
  return { own: tolerance.own.key(name), parent: tolerance.own }
}

const isUnchanged = ({ own, parent }: Tolerance): boolean => (own ?? parent)?.isUnchanged === true

const textOfRule = ({ rule, message = '' }: { readonly rule: string; readonly message?: string | undefined }): string =>
  (message === '' ? rule : message).trim()

function failure({ error, isOverBudget }: { readonly error: string; readonly isOverBudget: boolean }, rule: string): string {
  if (isOverBudget) return `'${error}': no further validation rules will be run due to call cost exceeds limit for rule: ${rule}`
  if (error.startsWith('no such overload'))
    return `'${error}': call arguments did not match a supported operator, function or macro signature for rule: ${rule}`
  return `${error} evaluating rule: ${rule}`
}

function usableMessage(value: Value): string | undefined {
  const text = typeof value === 'string' ? value.trim() : ''
  return text === '' || text.includes('\n') || Buffer.byteLength(text) > maxMessageBytes ? undefined : text
}

function errorFor(reason: string | undefined, field: string, shown: { readonly value: unknown } | undefined, detail: string): FieldError {
  switch (reason) {
    case 'FieldValueForbidden':
      return { reason, field, message: `Forbidden: ${detail}` }
    case 'FieldValueRequired':
      return { reason, field, message: `Required value: ${detail}` }
    case 'FieldValueDuplicate':
      return { reason, field, message: shown === undefined ? 'Duplicate value' : `Duplicate value: ${JSON.stringify(shown.value)}` }
    default:
      return shown === undefined
        ? { reason: 'FieldValueInvalid', field, message: `Invalid value: ${detail}` }
        : invalidValue(field, shown.value, detail)
  }
}

/** Rules below `allOf` and its like are not allowed. */
function hasRules(schema: Schema | undefined): boolean {
  if (schema === undefined) return false
  if ((schema['x-kubernetes-validations'] ?? []).length > 0) return true
  return hasRules(itemsOf(schema)) || hasRules(additionalOf(schema)) || Object.values(schema.properties ?? {}).some(hasRules)
}

function evaluate(program: Program, variables: Readonly<Record<string, Value>>, spent: Spent): ReturnType<Program['evaluate']> {
  const most = Math.min(maxCallCost, spent.here)
  const outcome = program.evaluate(variables, most, spent.look)
  spent.here -= outcome.cost
  if (spent.here < 0 || (most < maxCallCost && 'error' in outcome && outcome.isOverBudget)) throw new TooCostly()
  return outcome
}
