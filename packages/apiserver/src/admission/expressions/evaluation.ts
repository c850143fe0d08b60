import { setImmediate } from 'node:timers/promises'
import { authorizerValue, EvaluationError, resourceCheckValue, type AccessChecker, type ObjectValue, type Value } from '@k3s/cel'
import type { KubernetesObject } from '@k3s/api'
import type { Namespace } from '@k3s/api/types/core/v1'
import type { Attributes } from '../matching/attributes.ts'
import type { VersionedObjects } from '../matching/object-versions.ts'
import type { Match } from '../matching/rules.ts'
import { PendingAccess } from './access.ts'
import type { Expression } from './expression.ts'
import { dynamicValue } from './values.ts'
import type { ComposedVariables } from './variables.ts'

// Upstream's budgets: of one expression (about a tenth of a second), of all of one kind of a policy, and of the conditions of a webhook or policy.
const maxCallCost = 1_000_000
// About ten milliseconds.
const longCost = 100_000
export const policyBudget = 10_000_000
export const conditionBudget = 2_500_000

/** What expressions may look at. */
export interface Inputs {
  readonly attributes: Attributes
  readonly match: Match
  readonly objects: VersionedObjects
  /** Of the policy's binding; undefined: null. */
  readonly params?: KubernetesObject | undefined
  readonly namespace?: Namespace | undefined
  /** Absent: expressions know no authorizer. */
  readonly access?: AccessChecker | undefined
}

export type Result = { readonly value: Value } | { readonly error: string }

/** The budget is used up: nothing that comes after is evaluated. */
export class OutOfBudget extends Error {
  override readonly name = 'OutOfBudget'
  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run')
  }
}

/** Evaluates expressions about one request, one after the other, with a budget for all of them. Variables are evaluated when they are first needed. */
export class Evaluation {
  readonly #values: Record<string, Value>
  #left: number
  /** Spent on variables by the expression that is being evaluated. */
  #variableCost = 0

  constructor(inputs: Inputs, options: { readonly budget: number; readonly variables?: ComposedVariables | undefined }) {
    this.#left = options.budget
    this.#values = valuesOf(inputs)
    if (options.variables !== undefined) this.#values['variables'] = this.#lazy(options.variables)
  }

  /** What is left of the budget. */
  get left(): number {
    return this.#left
  }

  /** Throws OutOfBudget. */
  async evaluate({ source, program, problem }: Expression): Promise<Result> {
    if (program === undefined) return { error: `compilation error: ${problem ?? ''}` }
    for (;;) {
      try {
        const outcome = program.evaluate(this.#values, maxCallCost)
        const cost = this.#variableCost + outcome.cost
        this.#variableCost = 0
        this.#spend(cost)
        // Others have their turn before the next expression.
        if (cost > longCost) await setImmediate()
        return 'error' in outcome ? { error: `expression '${source}' resulted in error: ${outcome.error}` } : { value: outcome.value }
      } catch (error) {
        if (!(error instanceof PendingAccess)) throw error
        await error.known
      }
    }
  }

  #spend(cost: number): void {
    if (cost > this.#left) throw new OutOfBudget()
    this.#left -= cost
  }

  #lazy({ expressions }: ComposedVariables): ObjectValue {
    const known = new Map<string, Result>()
    const compute = (name: string, { program, problem }: Expression): Result => {
      if (program === undefined) return { error: `composited variable "${name}" fails to compile: ${problem ?? ''}` }
      const outcome = program.evaluate(this.#values, maxCallCost)
      this.#variableCost += outcome.cost
      return 'error' in outcome ? { error: `composited variable "${name}" fails to evaluate: ${outcome.error}` } : { value: outcome.value }
    }
    return {
      isObject: true,
      typeName: 'kubernetes.variables',
      field: (name) => {
        const expression = expressions.get(name)
        if (expression === undefined) return undefined
        let result = known.get(name)
        if (result === undefined) known.set(name, (result = compute(name, expression)))
        if ('error' in result) throw new EvaluationError(result.error)
        return result.value
      },
      fieldNames: () => [...expressions.keys()],
    }
  }
}

function valuesOf({ attributes, match, objects, params, namespace, access }: Inputs): Record<string, Value> {
  const { resource, subresource, name } = attributes
  const values: Record<string, Value> = {
    object: dynamicValue(objects.object),
    oldObject: dynamicValue(objects.oldObject),
    params: dynamicValue(params),
    request: dynamicValue(requestOf(attributes, match)),
    namespaceObject: dynamicValue(shownNamespace(namespace)),
  }
  if (access !== undefined) {
    values['authorizer'] = authorizerValue(access)
    const target = { group: resource.group, resource: resource.resource, subresource, namespace: attributes.namespace, name }
    values['authorizer.requestResource'] = resourceCheckValue(access, target)
  }
  return values
}

/** The parts of an AdmissionReview's request but for its objects. What is empty is left out, where upstream leaves it out. */
export function requestOf(attributes: Attributes, { resource, kind }: Match): Record<string, unknown> {
  const { subresource, user, namespace, name } = attributes
  const unlessEmpty = (field: string, value: string): Record<string, string> => (value === '' ? {} : { [field]: value })
  return {
    kind,
    resource,
    ...unlessEmpty('subResource', subresource),
    requestKind: attributes.kind,
    requestResource: attributes.resource,
    ...unlessEmpty('requestSubResource', subresource),
    ...unlessEmpty('name', name),
    ...unlessEmpty('namespace', namespace),
    operation: attributes.operation,
    userInfo: {
      ...unlessEmpty('username', user.name),
      ...unlessEmpty('uid', user.uid ?? ''),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(Object.keys(user.extra ?? {}).length === 0 ? {} : { extra: user.extra }),
    },
    dryRun: attributes.isDryRun,
    options: attributes.options ?? null,
  }
}

function shownNamespace(namespace: Namespace | undefined): unknown {
  if (namespace === undefined) return null
  const { metadata, spec, status } = namespace
  const { ownerReferences: _owners, managedFields: _managed, ...shown } = metadata
  return { metadata: shown, spec, status }
}
