import type { Condition } from '@k3s/api/types/meta/v1'
import type { FieldError } from '../registry/strategy.ts'
import { duplicate, invalidValue, notSupported, required, tooLong } from './field-error.ts'
import { invalids } from './fields.ts'
import { qualifiedName, regexError } from './names.ts'

const maxReasonBytes = 1024
const maxMessageBytes = 32 * 1024
const statuses = ['False', 'True', 'Unknown']
const reasonFormat = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?'
const reasonPattern = /^[A-Za-z](?:[A-Za-z0-9_,:]*[A-Za-z0-9_])?$/
const reasonMessage = regexError(
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
  reasonFormat,
  'my_name',
  'MY_NAME',
  'MyName',
  'ReasonA,ReasonB',
  'ReasonA:ReasonB',
)

/** Problems of meta/v1 conditions, of which there is one of a type. */
export function validateConditions(conditions: readonly Condition[] | undefined, field: string): FieldError[] {
  const seen = new Set<string>()
  return (conditions ?? []).flatMap((condition, index) => {
    const at = `${field}[${index}]`
    const { type } = condition
    const repeated = seen.has(type) ? [duplicate(`${at}.type`, type)] : []
    seen.add(type)
    return [...repeated, ...validateCondition(condition, at)]
  })
}

function validateCondition(condition: Condition, field: string): FieldError[] {
  const { type, status, observedGeneration = 0, reason = '', message = '' } = condition
  const { lastTransitionTime } = condition as Partial<Condition> // clients may leave it out
  return [
    ...invalids(`${field}.type`, type, qualifiedName(type)),
    ...(statuses.includes(status) ? [] : [notSupported(`${field}.status`, status, statuses)]),
    ...(observedGeneration < 0
      ? [invalidValue(`${field}.observedGeneration`, observedGeneration, 'must be greater than or equal to zero')]
      : []),
    ...(lastTransitionTime === undefined ? [required(`${field}.lastTransitionTime`)] : []),
    ...(reason === '' ? [required(`${field}.reason`)] : []),
    ...(reason !== '' && !reasonPattern.test(reason) ? [invalidValue(`${field}.reason`, reason, reasonMessage)] : []),
    ...(Buffer.byteLength(reason) > maxReasonBytes ? [tooLong(`${field}.reason`, maxReasonBytes)] : []),
    ...(Buffer.byteLength(message) > maxMessageBytes ? [tooLong(`${field}.message`, maxMessageBytes)] : []),
  ]
}
