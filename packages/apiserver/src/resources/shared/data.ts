import { forbiddenField } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { semanticEqual } from '../../validation/equality.ts'

/** 1 MiB: most data of a Secret or ConfigMap, bytes. */
export const maxDataBytes = 1048576

/** Length of what a base64 text stands for. */
export function base64Bytes(text: string): number {
  return Buffer.byteLength(text, 'base64')
}

interface Immutable {
  readonly immutable?: boolean | undefined
}

/** Refuses changes of the given fields of an object that was declared immutable, and taking that back. */
export function validateImmutableData<T extends Immutable>(object: T, previous: T, ...fields: readonly (keyof T & string)[]): FieldError[] {
  if (previous.immutable !== true) return []
  const message = 'field is immutable when `immutable` is set'
  return [
    ...(object.immutable === true ? [] : [forbiddenField('immutable', message)]),
    ...fields.filter((field) => !semanticEqual(object[field], previous[field])).map((field) => forbiddenField(field, message)),
  ]
}
