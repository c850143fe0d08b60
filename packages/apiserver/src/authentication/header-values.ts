import type { Credentials } from '../auth/auth.ts'

/** How names of users and groups come in headers: each header is one value, whatever commas it has, and its bytes are UTF-8. */

type Headers = Credentials['headers']

/** Every value of a header, in order. */
export function valuesOf(headers: Headers, name: string): readonly string[] {
  const value = headers[name]
  if (value === undefined) return []
  return (typeof value === 'string' ? [value] : value).map(textOf)
}

/** Node reads each byte of a header as a character. */
function textOf(value: string): string {
  // oxlint-disable-next-line no-control-regex -- what is not ASCII
  return /[^\x00-\x7f]/.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value
}

/** The first value of a header that is not empty. */
export function firstValue(headers: Headers, names: readonly string[]): string | undefined {
  for (const name of names) {
    const first = valuesOf(headers, name)[0]
    if (first !== undefined && first !== '') return first
  }
  return undefined
}

/** Extra attributes: the header's name behind the prefix is the key, percent-decoded and in lower case. */
export function extraOf(headers: Headers, prefixes: readonly string[]): Readonly<Record<string, readonly string[]>> | undefined {
  const extra = new Map<string, readonly string[]>()
  for (const header of Object.keys(headers)) {
    const prefix = prefixes.find((candidate) => header.startsWith(candidate))
    if (prefix === undefined) continue
    const key = decodeKey(header.slice(prefix.length))
    extra.set(key, [...(extra.get(key) ?? []), ...valuesOf(headers, header)])
  }
  return extra.size === 0 ? undefined : Object.fromEntries(extra)
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // as upstream: a key that cannot be decoded is taken as it is
  }
}

/** Headers with every value of those that came more than once: node joins them by commas, which names may have. `raw` alternates names and values. */
export function separateHeaders(headers: Headers, raw: readonly string[]): Headers {
  let names = 0
  for (const _ in headers) names++
  if (raw.length === 2 * names) return headers
  const seen = new Map<string, string[]>()
  let hasRepeated = false
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    const values = seen.get(name)
    if (values === undefined) seen.set(name, [raw[at + 1] ?? ''])
    else {
      values.push(raw[at + 1] ?? '')
      hasRepeated = true
    }
  }
  if (!hasRepeated) return headers
  const repeated = [...seen].filter(([, values]) => values.length > 1)
  return { ...headers, ...Object.fromEntries(repeated) }
}
