import type { CelType, Environment } from '@k3s/cel'
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
}

/** Compiles variables in their order. `environmentWith` makes the environment of one, by the types of those before it. */
export function composeVariables(
  variables: readonly NamedExpression[],
  environmentWith: (types: ReadonlyMap<string, CelType>) => Environment,
): ComposedVariables {
  const expressions = new Map<string, Expression>()
  const types = new Map<string, CelType>()
  for (const { name, expression } of variables) {
    const compiled = compileExpression(environmentWith(new Map(types)), expression)
    expressions.set(name, compiled)
    types.set(name, variableType(compiled.program?.type))
  }
  return { expressions, types }
}
