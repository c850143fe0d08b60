import { simple, type CelType, type Environment } from '@k3s/cel'
import type {
  AuditAnnotation,
  MatchCondition,
  Mutation,
  MutatingAdmissionPolicy,
  ValidatingAdmissionPolicy,
  Validation,
  Variable,
} from '@k3s/api/types/admissionregistration/v1'
import { admissionEnvironment, type EnvironmentChoice } from '../../admission/expressions/environment.ts'
import { compileExpression } from '../../admission/expressions/expression.ts'
import { composeVariables } from '../../admission/expressions/variables.ts'
import { applyConfigurationTypes, jsonPatchTypes } from '../../admission/policies/patch-types.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalidValue, required } from '../../validation/field-error.ts'

const bool = [simple('bool')]
const text = [simple('string')]
const textOrNull = [simple('string'), simple('null')]
// In bytes; half of what an annotation may be.
const maxValueExpression = 5 * 1024

function problemOf(environment: Environment, source: string, returns: readonly CelType[], field: string, shown = source): FieldError[] {
  const { problem } = compileExpression(environment, source, returns)
  return problem === undefined ? [] : [invalidValue(field, shown, problem)]
}

/** Problems of the expression of a condition. Conditions know no variables; parameters when their policy has some. */
export function conditionProblems(
  { expression }: MatchCondition,
  field: string,
  { hasParams }: { readonly hasParams: boolean },
): FieldError[] {
  return problemOf(admissionEnvironment({ hasParams, hasAuthorizer: true }), expression.trim(), bool, field)
}

const reservedNames: ReadonlySet<string> = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(' '),
)

/** Problems of the name of a variable. */
export function celIdentifierProblems(name: string, field: string): FieldError[] {
  const isIdentifier = /^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) && !reservedNames.has(name)
  return isIdentifier ? [] : [invalidValue(field, name, 'must be a valid CEL identifier')]
}

type PolicySpec = Pick<ValidatingAdmissionPolicy['spec'] & MutatingAdmissionPolicy['spec'], 'paramKind' | 'variables'>

/** Finds what is wrong with the expressions of one policy. */
export class PolicyExpressions {
  readonly #hasParams: boolean
  readonly #types: ReadonlyMap<string, CelType> | undefined
  readonly #problems: ReadonlyMap<string, string>

  /** Without variables there is no such name, unless the policy is of the mutating kind. */
  constructor({ paramKind, variables = [] }: PolicySpec, { knowsVariables }: { readonly knowsVariables: boolean }) {
    this.#hasParams = paramKind !== undefined
    const composed = composeVariables(variables, (types) =>
      admissionEnvironment({ hasParams: this.#hasParams, hasAuthorizer: true, variables: types }),
    )
    this.#types = variables.length > 0 || knowsVariables ? composed.types : undefined
    this.#problems = new Map([...composed.expressions].flatMap(([name, { problem }]) => (problem === undefined ? [] : [[name, problem]])))
  }

  #environment(choice: Omit<EnvironmentChoice, 'hasParams' | 'variables'>): Environment {
    return admissionEnvironment({ ...choice, hasParams: this.#hasParams, variables: this.#types })
  }

  variable({ name, expression }: Variable, field: string): FieldError[] {
    const problem = this.#problems.get(name)
    return problem === undefined ? [] : [invalidValue(`${field}.expression`, expression, problem)]
  }

  validation(
    { expression, messageExpression = '' }: Pick<Validation, 'expression' | 'messageExpression'>,
    field: string,
  ): {
    readonly rule: FieldError[]
    readonly message: FieldError[]
  } {
    const rule =
      expression.trim() === '' ? [] : problemOf(this.#environment({ hasAuthorizer: true }), expression, bool, `${field}.expression`)
    const message =
      messageExpression.trim() === ''
        ? []
        : problemOf(this.#environment({ hasAuthorizer: false }), messageExpression, text, `${field}.messageExpression`)
    return { rule, message }
  }

  annotation({ valueExpression }: AuditAnnotation, field: string): FieldError[] {
    const at = `${field}.valueExpression`
    const trimmed = valueExpression.trim()
    if (trimmed === '') return [required(at, 'valueExpression is not specified')]
    if (Buffer.byteLength(trimmed) > maxValueExpression) return [required(at, `must not exceed ${maxValueExpression} bytes in length`)]
    return problemOf(this.#environment({ hasAuthorizer: true }), trimmed, textOrNull, at, valueExpression)
  }

  mutation({ patchType, applyConfiguration, jsonPatch }: Mutation, field: string): FieldError[] {
    const isJson = patchType === 'JSONPatch'
    const patch = isJson ? jsonPatch : applyConfiguration
    if (patch === undefined) return []
    const expression = (patch.expression ?? '').trim()
    const at = `${field}.${isJson ? 'jsonPatch' : 'applyConfiguration'}.expression`
    if (expression === '') return [required(at)]
    const environment = this.#environment({ hasAuthorizer: true, makesPatches: true })
    return problemOf(environment, expression, isJson ? jsonPatchTypes : applyConfigurationTypes, at)
  }
}
