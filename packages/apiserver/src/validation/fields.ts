import type { FieldError } from '../registry/strategy.ts'
import { invalidValue, notSupported, required } from './field-error.ts'
import { semanticEqual } from './equality.ts'
import { percent, portName, portNumber } from './names.ts'

/** Upstream's text for a field that may not change. */
export const immutableMessage = 'field is immutable'

/** One FieldValueInvalid for each message of a format check. */
export function invalids(field: string, value: unknown, messages: readonly string[]): FieldError[] {
  return messages.map((message) => invalidValue(field, value, message))
}

/** `undefined` counts as 0. */
export function nonNegative(field: string, value: number | undefined): FieldError[] {
  return value !== undefined && value < 0 ? [invalidValue(field, value, 'must be greater than or equal to 0')] : []
}

export function positive(field: string, value: number): FieldError[] {
  return value > 0 ? [] : [invalidValue(field, value, 'must be greater than 0')]
}

/** A value out of a closed set; the message lists `supported` in the order given. */
export function oneOf(field: string, value: string | undefined, supported: readonly string[]): FieldError[] {
  if (value === undefined || value === '') return [required(field)]
  return supported.includes(value) ? [] : [notSupported(field, value, supported)]
}

/** A value out of a closed set, or absent. */
export function optionalOneOf(field: string, value: string | undefined, supported: readonly string[]): FieldError[] {
  return value === undefined || supported.includes(value) ? [] : [notSupported(field, value, supported)]
}

/** Refuses any change between two versions of a value. */
export function immutable(field: string, value: unknown, previous: unknown): FieldError[] {
  return semanticEqual(value, previous) ? [] : [invalidValue(field, value, immutableMessage)]
}

/** A port given by number or by name. */
export function portNumberOrName(field: string, port: number | string | undefined): FieldError[] {
  return typeof port === 'string' ? invalids(field, port, portName(port)) : invalids(field, port ?? 0, portNumber(port ?? 0))
}

/** A number that is not negative, or a percentage. */
export function positiveIntOrPercent(field: string, value: number | string): FieldError[] {
  if (typeof value === 'string') return invalids(field, value, percent(value))
  return nonNegative(field, value)
}

/** Refuses percentages above 100. */
export function notMoreThan100Percent(field: string, value: number | string | undefined): FieldError[] {
  if (typeof value !== 'string' || percent(value).length > 0) return []
  return Number.parseInt(value, 10) > 100 ? [invalidValue(field, value, 'must not be greater than 100%')] : []
}

/** The first problem is enough: a string that must not be empty. */
export function requiredString(field: string, value: string | undefined): FieldError[] {
  return value === undefined || value === '' ? [required(field)] : []
}
