import type { TypeSchema, ValueSchema } from '../schema/table.ts'

/** Upstream stops collecting here. */
const maxErrors = 100

/** Number of keys of all objects in parsed JSON. */
export function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) count += countKeys(item)
    return count
  }
  // `value` is a parsed JSON object.
  const object = value as Record<string, unknown>
  for (const key in object) {
    count++
    const item = object[key]
    if (typeof item === 'object' && item !== null) count += countKeys(item)
  }
  return count
}

/** Number of keys written in valid JSON text: more than {@link countKeys} of its value when some object has a key twice. */
export function countWrittenKeys(text: string): number {
  let count = 0
  let at = text.indexOf('"')
  while (at >= 0) {
    let end = text.indexOf('"', at + 1)
    while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
    if (end < 0) return count
    let next = end + 1
    while (text.charCodeAt(next) <= 32) next++
    if (text.charCodeAt(next) === 58) count++
    at = text.indexOf('"', end + 1)
  }
  return count
}

function isEscaped(text: string, quote: number): boolean {
  let slashes = 0
  for (let at = quote - 1; text.charCodeAt(at) === 92; at--) slashes++
  return slashes % 2 === 1
}

/**
 * Unknown and duplicate fields of valid JSON text, in upstream's words and in the order of the text: `unknown field "spec.foo"`,
 * `duplicate field "spec.containers[0].image"`; at most 100. Without a schema all objects are open, and only duplicates are found.
 */
export function fieldErrors(text: string, type: TypeSchema | undefined): string[] {
  const scanner = new Scanner(text)
  scanner.value(type === undefined ? undefined : { kind: 'ref', type }, '')
  return [...scanner.errors]
}

/** What is looked for below a place: a schema, anything (undefined), or nothing at all. */
type Expected = ValueSchema | undefined | 'ignored'

class Scanner {
  readonly errors = new Set<string>()
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(expected: Expected, path: string): void {
    this.#space()
    const first = this.#text[this.#at]
    if (first === '{') this.#object(expected, path)
    else if (first === '[') this.#array(expected, path)
    else if (first === '"') this.#string()
    else while (this.#at < this.#text.length && !',]} \n\r\t'.includes(this.#text[this.#at] ?? ',')) this.#at++
  }

  #object(expected: Expected, path: string): void {
    const seen = new Set<string>()
    const fields = isSchema(expected) && expected.kind === 'ref' ? expected.type.byName : undefined
    const isCounted = expected === undefined || fields !== undefined || (isSchema(expected) && expected.kind === 'map')
    this.#at++
    for (;;) {
      this.#space()
      const next = this.#text[this.#at]
      if (next === ',') this.#at++
      else if (next === '"') {
        const key = this.#string()
        const keyPath = path === '' ? key : `${path}.${key}`
        this.#space()
        this.#at++
        if (isCounted && fields?.has(key) === false) {
          this.#report(`unknown field ${JSON.stringify(keyPath)}`)
          this.value('ignored', keyPath)
          continue
        }
        if (isCounted && seen.has(key)) this.#report(`duplicate field ${JSON.stringify(keyPath)}`)
        seen.add(key)
        this.value(this.#below(expected, key), keyPath)
      } else {
        this.#at++
        return
      }
    }
  }

  #below(expected: Expected, key: string): Expected {
    if (!isSchema(expected)) return expected
    if (expected.kind === 'map') return expected.values
    return (expected.kind === 'ref' ? expected.type.byName.get(key)?.value : undefined) ?? 'ignored'
  }

  #array(expected: Expected, path: string): void {
    const items = isSchema(expected) ? (expected.kind === 'list' ? expected.items : 'ignored') : expected
    this.#at++
    for (let index = 0; ;) {
      this.#space()
      const next = this.#text[this.#at]
      if (next === ']' || next === undefined) {
        this.#at++
        return
      }
      if (next === ',') {
        this.#at++
        index++
      } else this.value(items, `${path}[${index}]`)
    }
  }

  #string(): string {
    const start = this.#at
    let end = this.#text.indexOf('"', start + 1)
    while (isEscaped(this.#text, end)) end = this.#text.indexOf('"', end + 1)
    this.#at = end + 1
    const raw = this.#text.slice(start + 1, end)
    return raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw
  }

  #space(): void {
    while (this.#text.charCodeAt(this.#at) <= 32) this.#at++
  }

  #report(error: string): void {
    if (this.errors.size < maxErrors) this.errors.add(error)
  }
}

/** Scalars are opaque: upstream reads those that may be objects (raw extensions, JSON schemas in unions) with a decoder of their own. */
function isSchema(expected: Expected): expected is ValueSchema {
  return expected !== undefined && expected !== 'ignored'
}
