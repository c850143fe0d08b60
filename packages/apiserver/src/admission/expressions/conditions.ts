import { simple, type Environment } from '@k3s/cel'
import type { Pace } from '../../off-loop/pace.ts'
import { conditionBudget, Evaluation, OutOfBudget, type Inputs } from './evaluation.ts'
import { compileExpression, type Expression } from './expression.ts'
import type { ComposedVariables } from './variables.ts'

const bool = [simple('bool')]

/** Compiles the conditions of a webhook or a policy. */
export async function compileConditions(
  conditions: readonly { readonly expression: string }[] | undefined,
  environment: Environment,
  pace: Pace,
): Promise<readonly Expression[]> {
  const compiled: Expression[] = []
  for (const { expression } of conditions ?? []) {
    compiled.push(compileExpression(environment, expression, bool))
    await pace.step()
  }
  return compiled
}

/** Whether all conditions hold, or why that cannot be said. One that is false decides, whatever is wrong with others; `Ignore` takes an error for false. */
export async function meetsConditions(
  conditions: readonly Expression[],
  inputs: Inputs,
  options: { readonly failurePolicy: string | undefined; readonly variables?: ComposedVariables | undefined },
): Promise<boolean | { readonly error: string }> {
  if (conditions.length === 0) return true
  const ignores = options.failurePolicy === 'Ignore'
  const evaluation = new Evaluation(inputs, { budget: conditionBudget, variables: options.variables })
  const errors: string[] = []
  try {
    const results = []
    for (const condition of conditions) results.push(await evaluation.evaluate(condition))
    for (const result of results) {
      if ('error' in result) errors.push(result.error)
      else if (result.value === false) return false
    }
  } catch (error) {
    if (!(error instanceof OutOfBudget)) throw error
    return ignores ? false : { error: error.message }
  }
  if (errors.length === 0) return true
  return ignores ? false : { error: errors.length === 1 ? (errors[0] ?? '') : `[${[...new Set(errors)].join(', ')}]` }
}
