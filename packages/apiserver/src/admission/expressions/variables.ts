import type { CelType, Environment } from '@k3s/cel'
import type { Pace } from '../../off-loop/pace.ts'
import { variableType } from './environment.ts'
import { compileExpression, type Expression } from './expression.ts'

export interface NamedExpression {
  readonly name: string
  readonly expression: string
}

/** Variables of a policy: each may use those before it. */
export interface ComposedVariables {
  readonly expressions: ReadonlyMap<string, Expression>
  readonly types: ReadonlyMap<string, CelType>
  /** They, and what uses them, may look at parameters; absent: nobody knows. */
  readonly hasParams?: boolean | undefined
}

/** Makes the environment of a variable by the types of those before it. */
type EnvironmentWith = (types: ReadonlyMap<string, CelType>) => Environment

/** Compiles variables in their order. */
export function composeVariables(variables: readonly NamedExpression[], environmentWith: EnvironmentWith): ComposedVariables {
  const composing = compose(variables, environmentWith)
  for (;;) {
    const { done, value } = composing.next()
    if (done === true) return value
  }
}

/** As {@link composeVariables}, in several turns of the event loop when they are many. */
export async function composeInTurns(
  variables: readonly NamedExpression[],
  environmentWith: EnvironmentWith,
  pace: Pace,
): Promise<ComposedVariables> {
  const composing = compose(variables, environmentWith)
  for (;;) {
    const { done, value } = composing.next()
    if (done === true) return value
    await pace.step()
  }
}

function* compose(variables: readonly NamedExpression[], environmentWith: EnvironmentWith): Generator<undefined, ComposedVariables> {
  const expressions = new Map<string, Expression>()
  const types = new Map<string, CelType>()
  for (const { name, expression } of variables) {
    const compiled = compileExpression(environmentWith(new Map(types)), expression)
    expressions.set(name, compiled)
    types.set(name, variableType(compiled.program?.type))
    yield
  }
  return { expressions, types }
}
