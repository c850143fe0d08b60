/** One place where two answers differ. */
export interface Difference {
  /** `status`, `body.metadata.name`, `body.items[0].spec`, … */
  readonly path: string
  readonly expected: unknown
  readonly actual: unknown
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Where `actual` is not `expected`, deepest places first named; an absent value is undefined. */
export function compare(expected: unknown, actual: unknown, path = ''): Difference[] {
  if (Object.is(expected, actual)) return []
  if (Array.isArray(expected) && Array.isArray(actual)) {
    return Array.from({ length: Math.max(expected.length, actual.length) }, (_, index) =>
      compare(expected[index], actual[index], `${path}[${index}]`),
    ).flat()
  }
  if (isRecord(expected) && isRecord(actual)) {
    const names = [...new Set([...Object.keys(expected), ...Object.keys(actual)])]
    return names.flatMap((name) => compare(expected[name], actual[name], path === '' ? name : `${path}.${name}`))
  }
  return [{ path, expected, actual }]
}
