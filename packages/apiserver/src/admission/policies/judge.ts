import type { ValidatingAdmissionPolicy, Validation } from '@k3s/api/types/admissionregistration/v1'
import type { Value } from '@k3s/cel'
import { meetsConditions } from '../expressions/conditions.ts'
import { Evaluation, OutOfBudget, policyBudget, type Inputs, type Result } from '../expressions/evaluation.ts'
import type { CompiledValidatingPolicy, CompiledValidation } from './compile-policy.ts'

const maxMessageBytes = 5 * 1024

/** Why a policy is against a request. */
export interface Denial {
  readonly message: string
  /** Of the Status; undefined where nobody chose one. */
  readonly reason: string | undefined
}

export interface Judged {
  /** One for each validation; undefined where it holds. */
  readonly denials: readonly (Denial | undefined)[]
  readonly annotations: readonly { readonly key: string; readonly value: string }[]
  /** What went wrong with annotations, when that is against the request. */
  readonly failedAnnotations: readonly string[]
}

const nothing: Judged = { denials: [], annotations: [], failedAnnotations: [] }

/** What a policy says about one request with one set of parameters. Errors count as its failure policy says. */
export async function judge({ spec }: ValidatingAdmissionPolicy, compiled: CompiledValidatingPolicy, inputs: Inputs): Promise<Judged> {
  const { variables, conditions } = compiled
  const ignores = spec.failurePolicy === 'Ignore'
  const failed = (message: string): Judged => (ignores ? nothing : { ...nothing, denials: [{ message, reason: undefined }] })
  const holds = await meetsConditions(conditions, inputs, { failurePolicy: spec.failurePolicy, variables })
  if (typeof holds === 'object') return failed(holds.error)
  if (!holds) return nothing
  try {
    const denials = await validate(spec.validations ?? [], compiled, inputs, ignores)
    return { denials, ...(await annotate(spec.auditAnnotations ?? [], compiled, inputs, ignores)) }
  } catch (error) {
    if (error instanceof OutOfBudget) return failed(error.message)
    throw error
  }
}

async function validate(
  validations: readonly Validation[],
  { validations: compiled, variables }: CompiledValidatingPolicy,
  inputs: Inputs,
  ignores: boolean,
): Promise<(Denial | undefined)[]> {
  const evaluation = new Evaluation(inputs, { budget: policyBudget, variables })
  const results: Result[] = []
  for (const { rule } of compiled) results.push(await evaluation.evaluate(rule))
  const { access: _, ...plain } = inputs
  // Messages are for those that do not hold; what they cost is taken from what is left.
  const messages = new Evaluation(plain, { budget: evaluation.left, variables })
  const denials: (Denial | undefined)[] = []
  for (const [index, result] of results.entries()) {
    const validation = validations[index]
    if ('error' in result) denials.push(ignores ? undefined : { message: result.error, reason: undefined })
    else if (result.value === true || validation === undefined) denials.push(undefined)
    else {
      const own = await ownMessage(compiled[index], messages)
      if ('failed' in own) denials.push(ignores ? undefined : { message: own.failed, reason: undefined })
      else denials.push({ message: own.message ?? plainMessage(validation), reason: validation.reason ?? 'Invalid' })
    }
  }
  return denials
}

async function ownMessage(
  compiled: CompiledValidation | undefined,
  messages: Evaluation,
): Promise<{ readonly message: string | undefined } | { readonly failed: string }> {
  if (compiled?.message === undefined) return { message: undefined }
  try {
    const result = await messages.evaluate(compiled.message)
    return { message: 'error' in result ? undefined : usable(result.value) }
  } catch (error) {
    if (error instanceof OutOfBudget) return { failed: `failed messageExpression: ${error.message}` }
    throw error
  }
}

function usable(value: Value): string | undefined {
  const text = typeof value === 'string' ? value.trim() : ''
  return text === '' || text.includes('\n') || Buffer.byteLength(text) > maxMessageBytes ? undefined : text
}

function plainMessage({ message = '', expression }: Validation): string {
  return message === '' ? `failed expression: ${expression.trim()}` : message.trim()
}

async function annotate(
  wanted: readonly { readonly key: string; readonly valueExpression: string }[],
  { annotations: compiled, variables }: CompiledValidatingPolicy,
  { access: _, ...inputs }: Inputs,
  ignores: boolean,
): Promise<Pick<Judged, 'annotations' | 'failedAnnotations'>> {
  const evaluation = new Evaluation(inputs, { budget: policyBudget, variables })
  const annotations: { key: string; value: string }[] = []
  const failedAnnotations: string[] = []
  for (const [index, { key, value: expression }] of compiled.entries()) {
    const result = await evaluation.evaluate(expression)
    if ('error' in result) {
      if (!ignores) failedAnnotations.push(result.error)
    } else if (typeof result.value === 'string') {
      const value = result.value.trim()
      if (value !== '') annotations.push({ key, value })
    } else if (result.value !== null) {
      const source = wanted[index]?.valueExpression ?? ''
      failedAnnotations.push(`valueExpression '${source}' resulted in unsupported return type. Return type must be either string or null.`)
    }
  }
  return { annotations, failedAnnotations }
}
