import { append } from '@k3s/lifecycle'
import type { FieldError } from '../../registry/strategy.ts'
import { forbiddenField, invalidValue } from '../../validation/field-error.ts'
import { compileRules } from '../schema/compile-rules.ts'
import { declTypeOf, escapeName, type DeclType } from '../schema/decl-type.ts'
import { isEmbedded, type Schema } from '../schema/schema.ts'
import type { RuleScope } from './rule-scope.ts'

// Upstream's limits: of one rule, and of all rules of a definition.
const maxRuleCost = 10_000_000
const maxTotalCost = 100_000_000
const maxRequestBytes = 3 * 1024 * 1024
const mostReported = 4

/** What the rules of one definition cost together. */
interface Total {
  cost: number
  readonly expensive: { readonly at: string; readonly cost: number }[]
}

/** Checks the rules of a schema, from its root. With `ignoresCostOfOne` no single rule is too dear: its schema was accepted before. */
export function ruleScope(schema: Schema, options: { readonly ignoresCostOfOne: boolean }): RuleScope {
  const total: Total = { cost: 0, expensive: [] }
  return new Scope({ schema, isRoot: true, declared: undefined, cardinality: 1, total, ...options })
}

interface ScopeOptions {
  readonly schema: Schema
  readonly isRoot: boolean
  /** How the parent sees it; undefined: made when it is needed. */
  readonly declared: (() => DeclType | undefined) | undefined
  /** How often the value may stand in one object; undefined: nothing bounds it but the size of requests. */
  readonly cardinality: number | undefined
  readonly total: Total
  readonly ignoresCostOfOne: boolean
}

class Scope implements RuleScope {
  readonly #options: ScopeOptions
  #declared: { readonly type: DeclType | undefined } | undefined

  constructor(options: ScopeOptions) {
    this.#options = options
  }

  get #type(): DeclType | undefined {
    const { schema, isRoot, declared } = this.#options
    this.#declared ??= { type: declared?.() ?? declTypeOf(schema, isRoot || isEmbedded(schema)) }
    return this.#declared.type
  }

  property(name: string, schema: Schema): RuleScope {
    const escaped = escapeName(name)
    return this.#child(schema, () => (escaped === undefined ? undefined : this.#type?.fields.get(escaped)))
  }

  items(schema: Schema): RuleScope {
    return this.#child(schema, () => this.#type?.element)
  }

  additional(schema: Schema): RuleScope {
    return this.#child(schema, () => this.#type?.element)
  }

  #child(schema: Schema, declared: () => DeclType | undefined): RuleScope {
    const { cardinality, total, ignoresCostOfOne } = this.#options
    const most = maxElements(this.#options.schema)
    return new Scope({
      schema,
      isRoot: false,
      declared,
      cardinality: cardinality === undefined || most === undefined ? undefined : cardinality * most,
      total,
      ignoresCostOfOne,
    })
  }

  check(schema: Schema, at: string, uncorrelatable: string | undefined): FieldError[] {
    const rules = schema['x-kubernetes-validations'] ?? []
    if (rules.length === 0) return []
    const declared = this.#type
    if (declared === undefined) {
      const message = 'Internal error: internal error: failed to retrieve type information for x-kubernetes-validations'
      return [{ reason: 'FieldValueInvalid', field: `${at}.x-kubernetes-validations`, message }]
    }
    const times = this.#options.cardinality ?? Math.floor(maxRequestBytes / (declared.minSize + 1))
    return compileRules(schema, declared, { costs: true }).flatMap((compiled, index) => {
      const field = `${at}.x-kubernetes-validations[${index}]`
      const errors = this.#price(compiled.maxCost * times, `${field}.rule`, 'estimated rule cost')
      if (compiled.problem !== undefined) errors.push(invalidValue(`${field}.rule`, compiled.rule, compiled.problem))
      if (compiled.messageProblem !== undefined)
        errors.push(invalidValue(`${field}.messageExpression`, compiled.rule, compiled.messageProblem))
      else if (compiled.message !== undefined)
        append(errors, this.#price(compiled.maxMessageCost, `${field}.messageExpression`, 'estimated messageExpression cost'))
      if (compiled.usesOldSelf && uncorrelatable !== undefined)
        errors.push(
          invalidValue(
            `${field}.rule`,
            compiled.rule.rule,
            `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable}`,
          ),
        )
      else if (!compiled.usesOldSelf && compiled.rule.optionalOldSelf !== undefined && compiled.problem === undefined)
        errors.push(
          invalidValue(`${field}.optionalOldSelf`, compiled.rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule'),
        )
      return errors
    })
  }

  #price(cost: number, at: string, what: string): FieldError[] {
    const { total, ignoresCostOfOne } = this.#options
    total.cost += cost
    if (cost >= maxTotalCost / 100) {
      total.expensive.push({ at, cost })
      total.expensive.sort((a, b) => b.cost - a.cost)
      total.expensive.splice(mostReported)
    }
    return !ignoresCostOfOne && cost > maxRuleCost ? [forbiddenField(at, tooDear(what, cost, maxRuleCost))] : []
  }

  total(at: string): FieldError[] {
    const { total } = this.#options
    if (total.cost <= maxTotalCost) return []
    return [
      ...total.expensive.map((one) =>
        forbiddenField(one.at, 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema'),
      ),
      forbiddenField(
        at,
        tooDear('x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema', total.cost, maxTotalCost),
      ),
    ]
  }
}

/** How many values of what is inside a value of this schema may have; undefined when it has no limit. */
function maxElements(schema: Schema): number | undefined {
  if (schema.type === 'array') return schema.maxItems === undefined ? undefined : Math.max(0, schema.maxItems)
  if (schema.type !== 'object' || schema.additionalProperties === undefined) return 1
  return schema.maxProperties === undefined ? undefined : Math.max(0, schema.maxProperties)
}

function tooDear(what: string, cost: number, limit: number): string {
  const factor = cost / limit
  const times = factor > 100 ? 'more than 100x' : `${factor < 1.5 ? factor.toFixed(6) : factor.toFixed(1)}x`
  return `${what} exceeds budget by factor of ${times} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`
}
