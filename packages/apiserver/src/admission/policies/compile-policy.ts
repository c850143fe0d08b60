import { simple, type CelType, type Environment } from '@k3s/cel'
import type { MutatingAdmissionPolicy, ValidatingAdmissionPolicy } from '@k3s/api/types/admissionregistration/v1'
import { compileConditions } from '../expressions/conditions.ts'
import { admissionEnvironment, type EnvironmentChoice } from '../expressions/environment.ts'
import { compileExpression, type Expression } from '../expressions/expression.ts'
import { composeInTurns, type ComposedVariables, type NamedExpression } from '../expressions/variables.ts'
import { Pace } from '../../off-loop/pace.ts'
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

  static async of(
    { paramKind, variables = [] }: { readonly paramKind?: unknown; readonly variables?: readonly NamedExpression[] | undefined },
    pace: Pace,
  ): Promise<PolicyCompiler> {
    const hasParams = paramKind !== undefined
    const environmentWith = (types: ReadonlyMap<string, CelType>): Environment =>
      admissionEnvironment({ hasParams, hasAuthorizer: true, variables: types })
    return new PolicyCompiler({ ...(await composeInTurns(variables, environmentWith, pace)), hasParams })
  }

  private constructor(variables: ComposedVariables & { readonly hasParams: boolean }) {
    this.#choice = { hasParams: variables.hasParams }
    this.variables = variables
  }

  environment(choice: Omit<EnvironmentChoice, 'hasParams' | 'variables'>): Environment {
    return admissionEnvironment({ ...this.#choice, ...choice, variables: this.variables.types })
  }
}

/** Compiles a policy, in several turns of the event loop when it is long. What cannot be compiled fails when it is evaluated. */
export async function compileValidatingPolicy({ spec }: ValidatingAdmissionPolicy): Promise<CompiledValidatingPolicy> {
  const pace = new Pace()
  const compiler = await PolicyCompiler.of(spec, pace)
  const environment = compiler.environment({ hasAuthorizer: true })
  const messages = compiler.environment({ hasAuthorizer: false })
  const conditions = await compileConditions(spec.matchConditions, environment, pace)
  const validations: CompiledValidation[] = []
  for (const { expression, messageExpression = '' } of spec.validations ?? []) {
    const message = messageExpression === '' ? undefined : compileExpression(messages, messageExpression, text)
    validations.push({ rule: compileExpression(environment, expression, bool), message })
    await pace.step()
  }
  const annotations: { readonly key: string; readonly value: Expression }[] = []
  for (const { key, valueExpression } of spec.auditAnnotations ?? []) {
    annotations.push({ key, value: compileExpression(environment, valueExpression, textOrNull) })
    await pace.step()
  }
  return { variables: compiler.variables, conditions, validations, annotations }
}

/** As {@link compileValidatingPolicy}. */
export async function compileMutatingPolicy({ spec }: MutatingAdmissionPolicy): Promise<CompiledMutatingPolicy> {
  const pace = new Pace()
  const compiler = await PolicyCompiler.of(spec, pace)
  const patching = compiler.environment({ hasAuthorizer: true, makesPatches: true })
  const conditions = await compileConditions(spec.matchConditions, compiler.environment({ hasAuthorizer: true }), pace)
  const mutations: CompiledMutation[] = []
  for (const { patchType, applyConfiguration, jsonPatch } of spec.mutations ?? []) {
    mutations.push(
      patchType === 'JSONPatch'
        ? { patchType, patch: compileExpression(patching, jsonPatch?.expression ?? '', jsonPatchTypes) }
        : {
            patchType: 'ApplyConfiguration',
            patch: compileExpression(patching, applyConfiguration?.expression ?? '', applyConfigurationTypes),
          },
    )
    await pace.step()
  }
  return { variables: compiler.variables, conditions, mutations }
}
