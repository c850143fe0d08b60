type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const isNothing = (value: unknown): boolean => value === undefined || value === null || (Array.isArray(value) && value.length === 0)

/** True when two JSON values mean the same to the API: absent, `null` and an empty list are one; the order of fields does not count. */
export function isSemanticallyEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (isNothing(a) || isNothing(b)) return isNothing(a) && isNothing(b)
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => isSemanticallyEqual(item, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  for (const key of Object.keys(a)) if (!isSemanticallyEqual(a[key], b[key])) return false
  for (const key of Object.keys(b)) if (!(key in a) && !isNothing(b[key])) return false
  return true
}

/** The value as JSON with sorted fields and without what {@link isSemanticallyEqual} takes for absent: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value ?? null)
  const fields = Object.keys(value)
    .filter((key) => !isNothing(value[key]))
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`)
  return `{${fields.join(',')}}`
}
