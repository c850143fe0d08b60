import { isObject } from '../../json.ts'

/** JSON with the keys of objects sorted: the same text for the same value. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => (isObject(inner) ? sorted(inner) : inner))
}

/** A value as errors show it: the keys of its objects are sorted. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(sorted(value)).map(([name, inner]) => [name, canonical(inner)]))
}

const sorted = (object: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)))
