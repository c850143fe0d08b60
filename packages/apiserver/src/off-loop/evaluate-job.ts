import type { KubernetesObject } from '@k3s/api'
import type { AccessCheck, AccessChecker } from '@k3s/cel'
import { admissionEnvironment } from '../admission/expressions/environment.ts'
import { Evaluator } from '../admission/expressions/evaluator.ts'
import { compileExpression, type Expression } from '../admission/expressions/expression.ts'
import { valuesOf, type Facts } from '../admission/expressions/facts.ts'
import { composeVariables, type ComposedVariables } from '../admission/expressions/variables.ts'
import { applyConfiguration, applyPatchList } from '../admission/policies/patches.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import type { EvaluateInput, EvaluateOutput, RequestTarget } from './heavy-contract.ts'

/** Thrown out of an evaluation that must know more. */
class Undecided extends Error {
  override readonly name = 'Undecided'
  readonly check: AccessCheck
  constructor(check: AccessCheck) {
    super('the authorizer was not asked yet')
    this.check = check
  }
}

interface Compiled {
  readonly expression: Expression
  readonly variables: ComposedVariables
}

// Expressions that are kept compiled.
const maxKept = 64

/** Evaluates the expressions of policies and webhooks that take too long for the event loop. */
export class EvaluateJobs {
  readonly #compiled = new Map<string, Compiled>()

  /** `served`: the resource of what is patched. Throws an Error for a patch that cannot be applied, in upstream's words. */
  run(input: EvaluateInput, served: ServedResource | undefined): EvaluateOutput {
    const { expression, variables } = this.#compile(input)
    const { target, charged, patch } = input
    const facts = JSON.parse(Buffer.from(input.facts).toString('utf8')) as Facts // encoded by Evaluation
    const decisions = new Map(input.decisions)
    const access: AccessChecker = (check) => {
      const known = decisions.get(JSON.stringify(check))
      if (known === undefined) throw new Undecided(check)
      return known
    }
    const values = valuesOf(facts, target === undefined ? undefined : access, target ?? noTarget)
    if (expression.program === undefined) throw new Error(`The expression was compiled before: ${expression.problem ?? ''}`)
    const evaluator = new Evaluator(values, variables, charged)
    try {
      const { outcome, cost } = evaluator.run(expression.program)
      const spent = { cost, charged: [...evaluator.charged] }
      if ('error' in outcome) return { outcome: { error: outcome.error }, ...spent }
      const { value } = outcome
      if (patch !== undefined) {
        const { kind, patchType } = patch
        const patched = { object: facts.object as KubernetesObject, kind, served } // policies that patch have an object
        const object = patchType === 'JSONPatch' ? applyPatchList(value, patched) : applyConfiguration(value, patched)
        return { outcome: { value: null }, ...spent, object }
      }
      if (value !== null && typeof value !== 'boolean' && typeof value !== 'string')
        throw new Error('The expression was compiled to another type')
      return { outcome: { value }, ...spent }
    } catch (error) {
      if (error instanceof Undecided) return { pending: error.check }
      throw error
    }
  }

  #compile({ source, variables, hasParams }: EvaluateInput): Compiled {
    const key = JSON.stringify([hasParams, source, variables])
    let compiled = this.#compiled.get(key)
    if (compiled === undefined) {
      if (this.#compiled.size >= maxKept) this.#compiled.clear()
      const choice = { hasParams, hasAuthorizer: true }
      const composed = composeVariables(variables, (types) => admissionEnvironment({ ...choice, variables: types }))
      // Who may use less than all was held to that when the expression was compiled there.
      const expression = compileExpression(admissionEnvironment({ ...choice, makesPatches: true, variables: composed.types }), source)
      this.#compiled.set(key, (compiled = { expression, variables: composed }))
    }
    return compiled
  }
}

const noTarget: RequestTarget = { group: '', resource: '', subresource: '', namespace: '', name: '' }
