import type { FieldError } from '../registry/strategy.ts'

/** Upstream's field errors (apimachinery's field.Error): reason and wording. */

/** As Go quotes: JSON but for control characters. */
const quote = (text: string): string =>
  JSON.stringify(text).replaceAll(/\\u00([01][0-9a-f])/g, (_, code: string) =>
    code === '07' ? '\\a' : code === '0b' ? '\\v' : `\\x${code}`,
  )

// Characters. Unlike kube-apiserver, which repeats values of any length: a small object may be refused in a thousand places.
const maxShown = 32 * 1024

const show = (value: unknown): string => {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'string') return quote(value.length > maxShown ? `${value.slice(0, maxShown)}...` : value)
  const text = JSON.stringify(value)
  return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text
}

export function required(field: string, detail = ''): FieldError {
  return { reason: 'FieldValueRequired', message: detail === '' ? 'Required value' : `Required value: ${detail}`, field }
}

export function invalidValue(field: string, value: unknown, detail: string): FieldError {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${show(value)}${detail === '' ? '' : `: ${detail}`}`, field }
}

export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const list = supported.map((name) => JSON.stringify(name)).join(', ')
  return {
    reason: 'FieldValueNotSupported',
    message: `Unsupported value: ${show(value)}${supported.length === 0 ? '' : `: supported values: ${list}`}`,
    field,
  }
}

export function duplicate(field: string, value: unknown): FieldError {
  return { reason: 'FieldValueDuplicate', message: `Duplicate value: ${show(value)}`, field }
}

export function forbiddenField(field: string, detail: string): FieldError {
  return { reason: 'FieldValueForbidden', message: `Forbidden${detail === '' ? '' : `: ${detail}`}`, field }
}

export function notFoundValue(field: string, value: unknown): FieldError {
  return { reason: 'FieldValueNotFound', message: `Not found: ${show(value)}`, field }
}

export function tooLong(field: string, maxLength: number): FieldError {
  return { reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxLength} bytes`, field }
}

export function tooMany(field: string, actual: number, max: number): FieldError {
  return { reason: 'FieldValueTooMany', message: `Too many: ${actual}: must have at most ${max} items`, field }
}
