import { CompileError } from './issues.ts'
import { Uint, type Value } from './values.ts'

export interface Token {
  readonly kind: 'ident' | 'literal' | 'operator' | 'end'
  readonly text: string
  readonly offset: number
  /** Of literals. */
  readonly value?: Value
}

const space = /(?:[\t\n\f\r ]|\/\/[^\n]*)+/y
const number = /0x([0-9a-fA-F]+)(u|U)?|(\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|(\d+)(u|U)?/y
const ident = /[_a-zA-Z][_a-zA-Z0-9]*/y
const operator = /&&|\|\||<=|>=|==|!=|[-+*/%!?:.,()[\]{}<>]/y
const quoted = /(?:([rR])?([bB])?|([bB])([rR]))("""[^]*?(?<!\\)"""|'''[^]*?(?<!\\)'''|"(?:[^"\\\n\r]|\\[^])*"|'(?:[^'\\\n\r]|\\[^])*')/y
const rawQuoted = /(?:[rR][bB]?|[bB][rR])("""[^]*?"""|'''[^]*?'''|"[^"\n\r]*"|'[^'\n\r]*')/y

// Identifiers that the grammar reserves.
const reserved = new Set([
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
])

export const isReserved = (name: string): boolean => reserved.has(name)

/** Splits an expression into tokens, the last one `end`. Throws CompileError. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    return pattern.exec(source)
  }
  while (at < source.length) {
    const blank = match(space)
    if (blank !== null) {
      at += blank[0].length
      continue
    }
    const text = match(rawQuoted) ?? match(quoted)
    if (text !== null) {
      tokens.push({ kind: 'literal', text: text[0], offset: at, value: literalOf(source, text[0], at) })
      at += text[0].length
      continue
    }
    const name = match(ident)
    if (name !== null) {
      const [word] = name
      const known: Readonly<Record<string, Value>> = { true: true, false: false, null: null }
      if (Object.hasOwn(known, word)) tokens.push({ kind: 'literal', text: word, offset: at, value: known[word] ?? null })
      else tokens.push({ kind: word === 'in' ? 'operator' : 'ident', text: word, offset: at })
      at += word.length
      continue
    }
    const digits = match(number)
    const previous = tokens.at(-1)
    // `a.1` is no number behind a dot, but `.5` alone is.
    if (digits !== null && !(digits[0].startsWith('.') && previous !== undefined && previous.kind !== 'operator')) {
      tokens.push({ kind: 'literal', text: digits[0], offset: at, value: numberOf(source, digits, at) })
      at += digits[0].length
      continue
    }
    const sign = match(operator)
    if (sign === null)
      throw new CompileError(source, [{ offset: at, message: `Syntax error: token recognition error at: '${source.slice(at, at + 1)}'` }])
    tokens.push({ kind: 'operator', text: sign[0], offset: at })
    at += sign[0].length
  }
  tokens.push({ kind: 'end', text: '<EOF>', offset: source.length })
  return tokens
}

function numberOf(source: string, match: RegExpExecArray, offset: number): Value {
  const [, hex, hexUnsigned, double, decimal, unsigned] = match
  if (double !== undefined) return Number(double)
  const value = BigInt(hex === undefined ? (decimal ?? '0') : `0x${hex}`)
  if (hexUnsigned !== undefined || unsigned !== undefined) {
    if (value > 18446744073709551615n) throw new CompileError(source, [{ offset, message: 'Syntax error: invalid uint literal' }])
    return new Uint(value)
  }
  // One more than the largest int is the beginning of the smallest.
  if (value > 9223372036854775808n) throw new CompileError(source, [{ offset, message: 'Syntax error: invalid int literal' }])
  return value
}

function literalOf(source: string, text: string, offset: number): Value {
  const prefix = /^[rRbB]*/.exec(text)?.[0].toLowerCase() ?? ''
  const isRaw = prefix.includes('r')
  const isBytes = prefix.includes('b')
  const body = text.slice(prefix.length)
  const width = body.startsWith('"""') || body.startsWith("'''") ? 3 : 1
  const inner = body.slice(width, -width)
  const fail = (message: string): never => {
    throw new CompileError(source, [{ offset, message }])
  }
  if (isBytes) return Uint8Array.from(bytesOf(inner, isRaw, fail))
  return isRaw ? inner : unescape(inner, fail)
}

const simpleEscapes: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
  '`': '`',
  '?': '?',
}
const escape = /\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([^]))/g

function unescape(text: string, fail: (message: string) => never): string {
  return text.replaceAll(escape, (_all, x?: string, upper?: string, u?: string, long?: string, octal?: string, letter = '') => {
    const hex = x ?? upper ?? u ?? long
    const code = hex === undefined ? (octal === undefined ? undefined : Number.parseInt(octal, 8)) : Number.parseInt(hex, 16)
    if (code !== undefined)
      return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? fail('invalid unicode code point') : String.fromCodePoint(code)
    return (Object.hasOwn(simpleEscapes, letter) ? simpleEscapes[letter] : undefined) ?? fail(`unable to unescape string`)
  })
}

/** In bytes, `\x` and octal escapes are single bytes. */
function bytesOf(text: string, isRaw: boolean, fail: (message: string) => never): number[] {
  if (isRaw) return [...Buffer.from(text, 'utf8')]
  const bytes: number[] = []
  // Not as arguments of one call: a literal may be longer than those may be many.
  const add = (part: string): void => {
    for (const byte of Buffer.from(part, 'utf8')) bytes.push(byte)
  }
  let at = 0
  for (const match of text.matchAll(escape)) {
    add(text.slice(at, match.index))
    const [whole, x, upper, , , octal] = match
    const hex = x ?? upper
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8))
    else add(unescape(whole, fail))
    at = match.index + whole.length
  }
  add(text.slice(at))
  return bytes
}
