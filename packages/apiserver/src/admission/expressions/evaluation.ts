import type { AccessChecker, AccessDecision, Value } from '@k3s/cel'
import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { Namespace } from '@k3s/api/types/core/v1'
import { invariant } from '@k3s/lifecycle'
import type { HeavyInputs, HeavyOutput } from '../../off-loop/heavy-contract.ts'
import type { HeavyDefinition } from '../../off-loop/heavy-definition.ts'
import { readLarge, type HeavyWork } from '../../off-loop/heavy-work.ts'
import { stringifyInTurns } from '../../off-loop/json-in-turns.ts'
import { Pace } from '../../off-loop/pace.ts'
import type { Attributes } from '../matching/attributes.ts'
import type { VersionedObjects } from '../matching/object-versions.ts'
import type { GroupVersionKind } from '../matching/catalog.ts'
import type { Match } from '../matching/rules.ts'
import { PendingAccess } from './access.ts'
import { Evaluator } from './evaluator.ts'
import type { Expression } from './expression.ts'
import { factsOf, targetOf, valuesOf } from './facts.ts'
import type { ComposedVariables } from './variables.ts'

// Upstream's budgets: of all expressions of one kind of a policy, and of the conditions of a webhook or policy.
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
  /** Of the request; absent: the evaluation has one of its own. */
  readonly pace?: Pace | undefined
  /** Where expressions are evaluated that take longer than a turn; absent: here, however long they take. */
  readonly work?: HeavyWork | undefined
}

export type Result = { readonly value: Value } | { readonly error: string }

/** How what a patch's expression makes is put into the object. */
export interface Patching {
  readonly patchType: 'ApplyConfiguration' | 'JSONPatch'
  readonly kind: GroupVersionKind
  /** The resource of the kind, and its definition when it is a custom one; undefined when it is served no more. */
  readonly type: ResourceType | undefined
  readonly definition: HeavyDefinition | undefined
}

/** The budget is used up: nothing that comes after is evaluated. */
export class OutOfBudget extends Error {
  override readonly name = 'OutOfBudget'
  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run')
  }
}

/** This turn of the event loop has been long enough: the expression is evaluated elsewhere. */
class TurnOver extends Error {
  override readonly name = 'TurnOver'
}

type Asked = Omit<HeavyInputs['evaluate'], 'facts' | 'decisions'>
type Evaluated = Extract<NonNullable<HeavyOutput['evaluated']>, { readonly outcome: unknown }> & Pick<HeavyOutput, 'json'>

/** Evaluates expressions about one request, one after the other, with a budget for all of them. Others have their turns in between. */
export class Evaluation {
  readonly #inputs: Inputs
  readonly #variables: ComposedVariables | undefined
  readonly #evaluator: Evaluator
  readonly #pace: Pace
  /** What the authorizer said, for the thread. */
  readonly #decisions = new Map<string, AccessDecision>()
  #left: number
  #facts: Promise<Uint8Array> | undefined

  constructor(inputs: Inputs, options: { readonly budget: number; readonly variables?: ComposedVariables | undefined }) {
    this.#inputs = inputs
    this.#left = options.budget
    this.#variables = options.variables
    this.#pace = inputs.pace ?? new Pace()
    this.#evaluator = new Evaluator(valuesOf(factsOf(inputs), inputs.access, targetOf(inputs.attributes)), options.variables)
  }

  /** What is left of the budget. */
  get left(): number {
    return this.#left
  }

  /** Throws OutOfBudget. */
  async evaluate(expression: Expression): Promise<Result> {
    const here = await this.evaluateHere(expression)
    if (here !== undefined) return here
    const { outcome, cost } = await this.#ask({ source: expression.source, patch: undefined }, undefined)
    return this.#paid(expression, outcome, cost)
  }

  /** As {@link evaluate}; undefined when it takes longer than a turn and there is where to go on. */
  async evaluateHere(expression: Expression): Promise<Result | undefined> {
    const { program, problem } = expression
    if (program === undefined) return { error: `compilation error: ${problem ?? ''}` }
    const look = (): void => {
      if (this.#pace.isTooLong) throw new TurnOver()
    }
    for (;;) {
      await this.#pace.step()
      try {
        const { outcome, cost } = this.#evaluator.run(program, this.#inputs.work === undefined ? undefined : look)
        return this.#paid(expression, 'error' in outcome ? { error: outcome.error } : { value: outcome.value }, cost)
      } catch (error) {
        if (error instanceof TurnOver) return undefined
        if (!(error instanceof PendingAccess)) throw error
        await error.known
      }
    }
  }

  /** The object as the patch that an expression makes leaves it; all of it is done elsewhere. Throws OutOfBudget, and what is wrong with the patch. */
  async patchElsewhere(expression: Expression, { definition, ...patch }: Patching): Promise<KubernetesObject | { readonly error: string }> {
    const { outcome, cost, json } = await this.#ask({ source: expression.source, patch }, definition)
    const result = this.#paid(expression, outcome, cost)
    return 'error' in result ? result : readLarge(json)
  }

  /** Asks the thread, and the authorizer in between: the thread has none. */
  async #ask(what: Pick<Asked, 'source' | 'patch'>, definition: HeavyDefinition | undefined): Promise<Evaluated> {
    const { attributes, access, work } = this.#inputs
    invariant(work !== undefined, 'a turn ends where there is somebody to go on')
    const { expressions = [], hasParams = true } = this.#variables ?? {}
    const asked: Asked = {
      ...what,
      hasParams,
      variables: [...expressions].map(([name, { source }]) => ({ name, expression: source })),
      charged: [...this.#evaluator.charged],
      target: access === undefined ? undefined : targetOf(attributes),
    }
    const signal = attributes.signal ?? new AbortController().signal
    const facts = await (this.#facts ??= stringifyInTurns(factsOf(this.#inputs)))
    for (;;) {
      const { evaluated, json } = await work.run('evaluate', { ...asked, facts, decisions: [...this.#decisions] }, signal, definition)
      invariant(evaluated !== undefined, 'expressions have outcomes')
      if ('outcome' in evaluated) {
        this.#evaluator.charge(evaluated.charged)
        return { ...evaluated, json }
      }
      const { pending } = evaluated
      invariant(access !== undefined, 'without an authorizer nothing is asked of it')
      this.#decisions.set(JSON.stringify(pending), await decided(() => access(pending)))
    }
  }

  #paid({ source }: Expression, outcome: Result, cost: number): Result {
    if (cost > this.#left) throw new OutOfBudget()
    this.#left -= cost
    return 'error' in outcome ? { error: `expression '${source}' resulted in error: ${outcome.error}` } : outcome
  }
}

async function decided(ask: () => AccessDecision): Promise<AccessDecision> {
  for (;;) {
    try {
      return ask()
    } catch (error) {
      if (!(error instanceof PendingAccess)) throw error
      await error.known
    }
  }
}
