import { simple, type Environment } from '@k3s/cel'
import type { MutatingAdmissionPolicy, ValidatingAdmissionPolicy } from '@k3s/api/types/admissionregistration/v1'
import { compileConditions } from '../expressions/conditions.ts'
import { admissionEnvironment, type EnvironmentChoice } from '../expressions/environment.ts'
import { compileExpression, type Expression } from '../expressions/expression.ts'
import { composeVariables, type ComposedVariables, type NamedExpression } from '../expressions/variables.ts'
import { applyConfigurationTypes, jsonPatchTypes } from './patch-types.ts'

const bool = [simple('bool')]
const text = [simple('string')]
const textOrNull = [simple('string'), simple('null')]

/** What the policies of both kinds compile alike. */
interface CompiledHead {
  readonly variables: ComposedVariables
  readonly conditions: readonly Expression[]
}

export interface CompiledValidation {
  readonly rule: Expression
  /** Undefined when the validation has none. */
  readonly message: Expression | undefined
}

export interface CompiledValidatingPolicy extends CompiledHead {
  readonly validations: readonly CompiledValidation[]
  readonly annotations: readonly { readonly key: string; readonly value: Expression }[]
}

export interface CompiledMutation {
  readonly patchType: 'ApplyConfiguration' | 'JSONPatch'
  readonly patch: Expression
}

export interface CompiledMutatingPolicy extends CompiledHead {
  readonly mutations: readonly CompiledMutation[]
}

/** Makes environments in which the variables of a policy are known. */
class PolicyCompiler {
  readonly #choice: Pick<EnvironmentChoice, 'hasParams'>
  readonly variables: ComposedVariables

  constructor(spec: { readonly paramKind?: unknown; readonly variables?: readonly NamedExpression[] | undefined }) {
    this.#choice = { hasParams: spec.paramKind !== undefined }
    this.variables = composeVariables(spec.variables ?? [], (types) =>
      admissionEnvironment({ ...this.#choice, hasAuthorizer: true, variables: types }),
    )
  }

  environment(choice: Omit<EnvironmentChoice, 'hasParams' | 'variables'>): Environment {
    return admissionEnvironment({ ...this.#choice, ...choice, variables: this.variables.types })
  }
}

/** Compiles a policy. What cannot be compiled fails when it is evaluated. */
export function compileValidatingPolicy({ spec }: ValidatingAdmissionPolicy): CompiledValidatingPolicy {
  const compiler = new PolicyCompiler(spec)
  const environment = compiler.environment({ hasAuthorizer: true })
  const messages = compiler.environment({ hasAuthorizer: false })
  return {
    variables: compiler.variables,
    conditions: compileConditions(spec.matchConditions, environment),
    validations: (spec.validations ?? []).map(({ expression, messageExpression = '' }) => ({
      rule: compileExpression(environment, expression, bool),
      message: messageExpression === '' ? undefined : compileExpression(messages, messageExpression, text),
    })),
    annotations: (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      value: compileExpression(environment, valueExpression, textOrNull),
    })),
  }
}

/** As {@link compileValidatingPolicy}. */
export function compileMutatingPolicy({ spec }: MutatingAdmissionPolicy): CompiledMutatingPolicy {
  const compiler = new PolicyCompiler(spec)
  const patching = compiler.environment({ hasAuthorizer: true, makesPatches: true })
  return {
    variables: compiler.variables,
    conditions: compileConditions(spec.matchConditions, compiler.environment({ hasAuthorizer: true })),
    mutations: (spec.mutations ?? []).map(({ patchType, applyConfiguration, jsonPatch }) =>
      patchType === 'JSONPatch'
        ? { patchType, patch: compileExpression(patching, jsonPatch?.expression ?? '', jsonPatchTypes) }
        : {
            patchType: 'ApplyConfiguration',
            patch: compileExpression(patching, applyConfiguration?.expression ?? '', applyConfigurationTypes),
          },
    ),
  }
}
