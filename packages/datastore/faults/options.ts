import { parseArgs } from 'node:util'

/** Options as `--name value`, with their defaults; an unknown one throws. */
export function readOptions<T extends Readonly<Record<string, string | number>>>(
  args: readonly string[],
  defaults: T,
): { readonly [K in keyof T]: T[K] extends number ? number : string } {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ args: [...args], options, strict: true })
  const read = Object.entries(defaults).map(([name, fallback]) => {
    const given = values[name]
    return [name, typeof given !== 'string' ? fallback : typeof fallback === 'number' ? Number(given) : given]
  })
  return Object.fromEntries(read) as { readonly [K in keyof T]: T[K] extends number ? number : string } // each value has its default's type
}
