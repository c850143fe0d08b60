import { nextTurn } from '../off-loop/json-in-turns.ts'

/** Whole numbers that JavaScript would write in another way than they came. */
export interface ExactNumbers {
  /** 0: there is none. */
  readonly size: number
  /** As they came, by the double that they are read as. */
  readonly digits: ReadonlyMap<number, string>
  /** What is read as the same as another, by the name of its field as well. */
  readonly named: ReadonlyMap<string, string>
}

const none: ExactNumbers = { size: 0, digits: new Map(), named: new Map() }
const longRun = /\d{16}/
// As JSON writes them: behind a colon, a comma, a bracket or a space.
const wholeNumbers = /(?<=[:,[\s])-?\d{16,19}(?=[,\]}\s]|$)/g
// Of names that tell fields apart. Nobody can make us look back further.
const maxNameLength = 256
// Shorter ones have 64 bits for certain.
const maxShortLength = 18
// Looked at before others have a turn: a few milliseconds.
const numbersAtOnce = 2000
const [minInt64, maxInt64] = [-(2n ** 63n), 2n ** 63n - 1n]

/**
 * The whole numbers of 64 bits in some texts that JavaScript would write in another way; the first text counts most. A text without a long run of digits
 * costs a look at each of its bytes and nothing else. Unlike upstream, which reads them as they are, we know them by what they were read as: of two in
 * fields of one name, or in lists, that are read as the same, one stands for both.
 */
export function exactNumbers(...texts: readonly (Uint8Array | undefined)[]): ExactNumbers {
  const finding = find(texts)
  for (;;) {
    const { done, value } = finding.next()
    if (done === true) return value
  }
}

/** As {@link exactNumbers}, in several turns of the event loop when they are many. */
export async function exactNumbersInTurns(...texts: readonly (Uint8Array | undefined)[]): Promise<ExactNumbers> {
  const finding = find(texts)
  for (;;) {
    const { done, value } = finding.next()
    if (done === true) return value
    await nextTurn()
  }
}

/** Yields now and then. */
function* find(texts: readonly (Uint8Array | undefined)[]): Generator<undefined, ExactNumbers> {
  const digits = new Map<number, string>()
  const alike = new Set<number>()
  const read: string[] = []
  let isNeeded = false
  for (const bytes of texts) {
    if (bytes === undefined) continue
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    if (!longRun.test(text)) continue
    read.push(text)
    let left = numbersAtOnce
    for (const { value, written } of longNumbers(text)) {
      if (--left === 0) {
        left = numbersAtOnce
        yield
      }
      const known = digits.get(value)
      if (known === undefined) digits.set(value, written)
      else if (known !== written) alike.add(value)
      isNeeded ||= String(value) !== written
    }
  }
  if (!isNeeded) return none
  return { size: digits.size, digits, named: alike.size === 0 ? none.named : yield* namesOf(read, alike) }
}

interface LongNumber {
  readonly value: number
  readonly written: string
  /** Where it begins. */
  readonly index: number
}

function* longNumbers(text: string): Generator<LongNumber, void, void> {
  for (const { 0: written, index } of text.matchAll(wholeNumbers)) {
    const value = Number(written)
    if (Number.isSafeInteger(value)) continue
    if (written.length > maxShortLength && (BigInt(written) < minInt64 || BigInt(written) > maxInt64)) continue
    yield { value, written, index }
  }
}

// In place of names, which have no line ends. A JSON patch names no fields; what it says counts for all.
const anyName = '\n'
const listItem = '\n\n'
const keyOf = (name: string, value: number): string => `${name}\n${value}`

/** What numbers that are `alike` were, by the names of their fields. */
function* namesOf(texts: readonly string[], alike: ReadonlySet<number>): Generator<undefined, ReadonlyMap<string, string>> {
  const named = new Map<string, string>()
  for (const text of texts) {
    const isPatch = /^\s*\[/.test(text)
    let left = numbersAtOnce
    for (const { value, written, index } of longNumbers(text)) {
      if (--left === 0) {
        left = numbersAtOnce
        yield
      }
      if (!alike.has(value)) continue
      const key = keyOf(isPatch ? anyName : nameBefore(text, index) || listItem, value)
      if (!named.has(key)) named.set(key, written)
    }
  }
  return named
}

/** The name of the field whose value begins at `end`; empty for an item of a list, and for a name that is overlong or has escapes. */
function nameBefore(text: string, end: number): string {
  const before = text.slice(Math.max(0, end - maxNameLength), end).trimEnd()
  if (!before.endsWith(':')) return ''
  const quoted = before.slice(0, -1).trimEnd()
  const open = quoted.endsWith('"') ? quoted.lastIndexOf('"', quoted.length - 2) : -1
  const name = quoted.slice(open + 1, -1)
  return open < 0 || quoted[open - 1] === '\\' || name.includes('\\') ? '' : Buffer.from(name, 'latin1').toString()
}

/** For `JSON.stringify`: writes these numbers as they were. */
export function exactReplacer({ digits, named }: ExactNumbers): (key: string, value: unknown) => unknown {
  // Of ECMAScript's proposal, which TypeScript does not know yet.
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }
  const namedDigits = (name: string, value: number): string | undefined =>
    named.get(keyOf(anyName, value)) ??
    named.get(keyOf(name, value)) ??
    (/^\d*$/.test(name) ? named.get(keyOf(listItem, value)) : undefined)
  return (name, inner) => {
    if (typeof inner !== 'number' || Number.isSafeInteger(inner)) return inner
    const written = (named.size === 0 ? undefined : namedDigits(name, inner)) ?? digits.get(inner)
    return written === undefined ? inner : rawJSON(written)
  }
}
