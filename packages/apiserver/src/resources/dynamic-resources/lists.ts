import { append } from '@k3s/lifecycle'
import type { FieldError } from '../../registry/strategy.ts'
import { duplicate, tooMany } from '../../validation/field-error.ts'

type Validate<T> = (item: T, field: string) => readonly FieldError[]

/** Problems of the items of a list. Of one that is too long only that is told. */
export function validateList<T>(items: readonly T[] | undefined, max: number, field: string, validate: Validate<T>): FieldError[] {
  if (items === undefined) return []
  if (items.length > max) return [tooMany(field, items.length, max)]
  return items.flatMap((item, index) => validate(item, `${field}[${index}]`))
}

/** As {@link validateList}, of items that must have different keys. */
export function validateSet<T>(
  items: readonly T[] | undefined,
  { max, field, keyOf }: { readonly max: number; readonly field: string; readonly keyOf: (item: T) => string },
  validate: Validate<T>,
): FieldError[] {
  const errors = validateList(items, max, field, validate)
  if (items === undefined || items.length > max) return errors
  const seen = new Set<string>()
  for (const [index, item] of items.entries()) {
    const key = keyOf(item)
    if (seen.has(key)) errors.push(duplicate(`${field}[${index}]`, key))
    seen.add(key)
  }
  return errors
}

/** Problems of the keys and values of a map. `maxKey` is the length from which a key is told by its beginning and end. */
export function validateMap<T>(
  map: Readonly<Record<string, T>> | undefined,
  { max, maxKey, field }: { readonly max: number; readonly maxKey: number; readonly field: string },
  validate: { readonly key: Validate<string>; readonly value: Validate<T> },
): FieldError[] {
  const entries = Object.entries(map ?? {})
  if (entries.length > max) return [tooMany(field, entries.length, max)]
  const errors: FieldError[] = []
  for (const [key, value] of entries)
    append(errors, [...validate.key(key, field), ...validate.value(value, `${field}[${shortened(key, maxKey)}]`)])
  return errors
}

function shortened(text: string, max: number): string {
  if (text.length <= max) return text
  const left = max - 3
  return `${text.slice(0, Math.floor((left + 1) / 2))}...${text.slice(text.length - Math.floor(left / 2))}`
}
