const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) ? value.length === 0 : typeof value === 'object' && Object.keys(value).length === 0)

/**
 * Equality of API values as upstream's `Semantic.DeepEqual` sees it: an empty list or map equals an absent one.
 * Quantities are expected in canonical form (`canonicalizeResources`), in which equal amounts are equal strings.
 */
export function semanticEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (isEmpty(left) || isEmpty(right)) return isEmpty(left) && isEmpty(right)
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((item, index) => semanticEqual(item, right[index]))
  }
  if (Array.isArray(right)) return false
  // Both are plain JSON objects here.
  const a = left as Readonly<Record<string, unknown>>
  const b = right as Readonly<Record<string, unknown>>
  for (const key of Object.keys(a)) if (!semanticEqual(a[key], b[key])) return false
  for (const key of Object.keys(b)) if (!(key in a) && !isEmpty(b[key])) return false
  return true
}
