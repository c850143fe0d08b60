import { anyValue, CompileError, Environment, formatType, mapOf, opaque, simple, type CostRange } from '@k3s/cel'
import type { DeviceSelector } from '@k3s/api/types/resource/v1'
import { formats } from '../../custom-resources/schema/compile-rules.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { forbiddenField, invalidValue, required, tooLong } from '../../validation/field-error.ts'
import { validateList } from './lists.ts'

const maxSelectors = 32
const maxExpressionBytes = 10 * 1024
const maxCost = 1_000_000
// Most characters of a domain, of an identifier and of a value, and most attributes of a device.
const maxDomain = 63
const maxId = 32
const maxValue = 64
const maxAttributes = 32

const text = simple('string')
const environment = (): Environment =>
  new Environment({
    variables: {
      device: {
        kind: 'object',
        name: 'kubernetes.DRADevice',
        fields: new Map([
          ['driver', text],
          ['allowMultipleAllocations', simple('bool')],
          ['attributes', mapOf(text, mapOf(text, anyValue))],
          ['capacity', mapOf(text, mapOf(text, opaque('kubernetes.Quantity')))],
        ]),
      },
    },
    formats,
    bindsNames: true,
  })

const atMost = (max: number): CostRange => ({ min: 0, max })

/** How large the value at a path from `device` may be; undefined where nobody knows. */
function sizeAt([, field, outer, inner, ...deeper]: readonly string[]): CostRange | undefined {
  if (field === undefined) return atMost(0)
  const isAttribute = field === 'attributes'
  if (!isAttribute && field !== 'capacity') return outer === undefined ? scalarSizes.get(field) : undefined
  if (outer === undefined) return atMost(maxAttributes)
  if (outer === '@keys') return inner === undefined ? atMost(maxDomain) : undefined
  if (outer !== '@values' && outer !== '@items') return undefined
  if (inner === undefined) return atMost(maxAttributes)
  if (deeper.length > 0) return undefined
  if (inner === '@keys') return atMost(maxId)
  // Attributes are alike, whatever their name.
  if (isAttribute) return atMost(maxValue)
  return inner === '@values' || inner === '@items' ? atMost(0) : undefined
}

const scalarSizes: ReadonlyMap<string, CostRange> = new Map([
  ['driver', atMost(maxDomain)],
  ['allowMultipleAllocations', atMost(1)],
])

/** Why an expression cannot select devices. */
function expressionProblems(expression: string, field: string): FieldError[] {
  if (Buffer.byteLength(expression) > maxExpressionBytes) return [tooLong(field, maxExpressionBytes)]
  try {
    const program = environment().compile(expression)
    if (program.type.kind !== 'bool' && program.type.kind !== 'dyn')
      return [invalidValue(field, expression, `must evaluate to bool or the unknown type, not ${formatType(program.type)}`)]
    return program.estimate(sizeAt).max > maxCost ? [forbiddenField(field, 'too complex, exceeds cost limit')] : []
  } catch (error) {
    if (error instanceof CompileError) return [invalidValue(field, expression, `compilation failed: ${error.message}`)]
    throw error
  }
}

/** Problems of selectors of devices. */
export function validateSelectors(selectors: readonly DeviceSelector[] | undefined, field: string): FieldError[] {
  return validateList(selectors, maxSelectors, field, ({ cel }, at) =>
    cel === undefined ? [required(`${at}.cel`)] : expressionProblems(cel.expression ?? '', `${at}.cel.expression`),
  )
}
