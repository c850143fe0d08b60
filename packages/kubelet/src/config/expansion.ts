/**
 * Replaces `$(NAME)` by the first mapping that knows the name; unknown references stay as they are and `$$` is one `$`.
 *
 * ```
 * expand('$(A)-$$(A)-$(B)', [{ A: '1' }]) // '1-$(A)-$(B)'
 * ```
 */
export function expand(text: string, mappings: readonly ReadonlyMap<string, string>[]): string {
  return text.replaceAll(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$'
    for (const mapping of mappings) {
      const value = mapping.get(name)
      if (value !== undefined) return value
    }
    return whole
  })
}

/** Like {@link expand}, but a reference that nothing knows is an error: used by `subPathExpr`. */
export function expandStrictly(text: string, mapping: ReadonlyMap<string, string>): string {
  const missing: string[] = []
  const result = text.replaceAll(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$'
    const value = mapping.get(name)
    if (value === undefined) missing.push(name)
    return value ?? whole
  })
  if (missing.length > 0) throw new Error(`missing value for "${missing[0] ?? ''}"`)
  return result
}
