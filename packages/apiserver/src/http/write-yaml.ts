/** YAML as upstream writes it: fields in alphabetical order, lists at the indent of their field, long lines broken where there is one space. */

const step = 2
const maxColumn = 80
// Longer ones are written by themselves behind a question mark.
const maxKeyLength = 128

/** Writes a JSON value. Blocks for as long as it is: some ten megabytes a second. */
export function writeYaml(value: unknown): string {
  const writer = new Writer()
  writer.node(value, { indent: -step, isInline: true, isField: false })
  return writer.end()
}

interface Place {
  /** Of what this node is in. */
  readonly indent: number
  /** The first line goes on where something has begun: an item of a list, or the document. */
  readonly isInline: boolean
  /** It is the value of a field: a list in it is not indented further. */
  readonly isField: boolean
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null

class Writer {
  readonly #pieces: string[] = []
  /** Characters of this line. */
  #column = 0
  /** A block of text has ended with its line. */
  #isLineDone = false

  end(): string {
    if (!this.#isLineDone) this.#pieces.push('\n')
    return this.#pieces.join('')
  }

  /** Neither begins with a line end nor ends with one, but for maps and lists that are not inline. */
  node(value: unknown, place: Place): void {
    if (typeof value === 'string') this.#scalar(value, Math.max(place.indent, 0) + step)
    else if (Array.isArray(value)) this.#list(value, place)
    else if (isMap(value)) this.#map(value, place)
    else this.#add(typeof value === 'number' ? numberText(value) : String(value))
  }

  /** Text without line ends. */
  #add(text: string): void {
    this.#pieces.push(text)
    this.#column += text.length
    this.#isLineDone = false
  }

  /** Begins a line, unless a block of text has ended with its own. */
  #line(indent: number): void {
    this.#pieces.push(this.#isLineDone ? ' '.repeat(indent) : `\n${' '.repeat(indent)}`)
    this.#column = indent
    this.#isLineDone = false
  }

  #list(items: readonly unknown[], { indent, isInline, isField }: Place): void {
    if (items.length === 0) return this.#add('[]')
    const own = isField && !isInline ? indent : indent + step
    for (const [index, item] of items.entries()) {
      if (index > 0 || !isInline) this.#line(own)
      this.#add('- ')
      this.node(item, { indent: own, isInline: true, isField: false })
    }
  }

  #map(fields: Readonly<Record<string, unknown>>, { indent, isInline }: Place): void {
    const names = Object.keys(fields).filter((name) => fields[name] !== undefined)
    if (names.length === 0) return this.#add('{}')
    const own = indent + step
    for (const [index, name] of names.toSorted(byName).entries()) {
      if (index > 0 || !isInline) this.#line(own)
      this.#field(name, fields[name], own)
    }
  }

  #field(name: string, value: unknown, indent: number): void {
    const isSimple = Buffer.byteLength(name) <= maxKeyLength && !/[\n\r\x85\u2028\u2029]/.test(name)
    if (!isSimple) {
      this.#add('? ')
      this.#scalar(name, indent + step)
      this.#line(indent)
      this.#add(': ')
      this.node(value, { indent, isInline: true, isField: true })
      return
    }
    this.#add(`${this.#quoted(name)}:`)
    const isBlock = isMap(value) && Object.values(value).some((inner) => inner !== undefined)
    if (!isBlock) this.#add(' ')
    this.node(value, { indent, isInline: false, isField: true })
  }

  /** A name, on one line. */
  #quoted(text: string): string {
    const style = styleOf(text)
    if (style === 'plain') return text
    return style === 'single' ? `'${text.replaceAll("'", "''")}'` : `"${escaped(text)}"`
  }

  #scalar(text: string, indent: number): void {
    switch (styleOf(text)) {
      case 'plain':
        return this.#folded(text, { indent, isOpen: true })
      case 'single':
        this.#add("'")
        this.#folded(text.replaceAll("'", "''"), { indent, isOpen: false })
        return this.#add("'")
      case 'double':
        this.#add('"')
        this.#folded(escaped(text), { indent, isOpen: false, isEscaped: true })
        return this.#add('"')
      case 'literal':
        return this.#literal(text, indent)
    }
  }

  /** Breaks lines that have become long, at single spaces; not at the ends of what is quoted. */
  #folded(text: string, how: { readonly indent: number; readonly isOpen: boolean; readonly isEscaped?: boolean }): void {
    let from = 0
    for (let at = text.indexOf(' '); at >= 0; at = text.indexOf(' ', at + 1)) {
      const isEnd = at === 0 || at === text.length - 1
      if (text[at - 1] === ' ' || (isEnd && !how.isOpen) || (text[at + 1] === ' ' && how.isEscaped !== true)) continue
      if (this.#column + at - from <= maxColumn) continue
      this.#add(text.slice(from, at))
      this.#line(how.indent)
      if (how.isEscaped === true && text[at + 1] === ' ') this.#add('\\')
      from = at + 1
    }
    this.#add(text.slice(from))
  }

  #literal(text: string, indent: number): void {
    const hint = /^[ \n]/.test(text) ? String(step) : ''
    const end = !text.endsWith('\n') ? '-' : text === '\n' || text.endsWith('\n\n') ? '+' : ''
    this.#add(`|${hint}${end}`)
    const lines = text.endsWith('\n') ? text.slice(0, -1).split('\n') : text.split('\n')
    for (const line of lines) {
      this.#line(line === '' ? 0 : indent)
      this.#add(line)
    }
    if (!text.endsWith('\n')) return
    this.#pieces.push('\n')
    this.#isLineDone = true
  }
}

type Style = 'plain' | 'single' | 'double' | 'literal'

// What is no printable character there: controls, half of the last planes, marks of byte order.
const unprintable = /[^\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/
const spaceBeforeBreak = / [\n\u2028\u2029]/
const opensOtherwise = /^(?:---|\.\.\.|[#,[\]{}&*!|>'"%@`]|[?:-](?:[ \n]|$))/
const hasIndicator = /: |:$| #/

function styleOf(text: string): Style {
  if (unprintable.test(text) || /[\u2028\u2029]/.test(text) || spaceBeforeBreak.test(text)) return 'double'
  if (text.includes('\n')) return text.endsWith(' ') ? 'double' : 'literal'
  if (isOther(text)) return 'double'
  return opensOtherwise.test(text) || hasIndicator.test(text) || text.startsWith(' ') || text.endsWith(' ') ? 'single' : 'plain'
}

const words =
  /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF||~|null|Null|NULL|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/
const numbers =
  /^[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|(?:0|[1-9][0-9]*)|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$/
const base60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/
const clock = '\\d{1,2}:\\d{1,2}:\\d{1,2}(?:[.,]\\d+)?'
const times = new RegExp(`^\\d{4}-\\d{1,2}-\\d{1,2}(?:[Tt]${clock}(?:Z|[-+]\\d\\d:\\d\\d)| ${clock})?$`)

/** Whether a text would be read as something else without quotes. */
function isOther(text: string): boolean {
  if (words.test(text)) return true
  if (!/^[-+.0-9]/.test(text)) return false
  return numbers.test(text.startsWith('.') ? text : text.replaceAll('_', '')) || base60.test(text) || times.test(text)
}

const shortEscapes: Readonly<Record<string, string>> = {
  '\0': '0',
  '\x07': 'a',
  '\b': 'b',
  '\t': 't',
  '\n': 'n',
  '\v': 'v',
  '\f': 'f',
  '\r': 'r',
  '\x1b': 'e',
  '"': '"',
  '\\': '\\',
  '\x85': 'N',
  '\u2028': 'L',
  '\u2029': 'P',
}

function escaped(text: string): string {
  return text.replaceAll(
    /[\ud800-\udbff][\udc00-\udfff]|[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]|["\\\u2028\u2029]/g,
    (found) => {
      const short = shortEscapes[found]
      if (short !== undefined) return `\\${short}`
      const hex = (found.codePointAt(0) ?? 0).toString(16).toUpperCase()
      return hex.length <= 2 ? `\\x${hex.padStart(2, '0')}` : hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
    },
  )
}

const whole = { min: -(2 ** 63), max: 2 ** 64 }

/** As Go writes numbers: fractions with an exponent from a million on. */
function numberText(value: number): string {
  if (Number.isInteger(value) && value >= whole.min && value < whole.max) return String(value)
  const size = Math.abs(value)
  if (size >= 1e-4 && size < 1e6) return String(value)
  return value.toExponential().replace(/e([-+])(\d)$/, 'e$10$2')
}

const isLetter = (code: number): boolean =>
  code < 0x80 ? (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) : /\p{L}/u.test(String.fromCodePoint(code))
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

/** Digits before letters, numbers in names by their value. */
function byName(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.codePointAt(at) ?? 0, b.codePointAt(at) ?? 0]
    if (x === y) continue
    const [isX, isY] = [isLetter(x), isLetter(y)]
    if (isX && isY) return x - y
    if (isX || isY) return isY ? -1 : 1
    return byNumber(a, b, at)
  }
  return a.length - b.length
}

const zero = 0x30

function byNumber(a: string, b: string, at: number): number {
  const digits = (from: string): string => {
    let end = at
    while (isDigit(from.charCodeAt(end))) end++
    return from.slice(at, end)
  }
  const [x, y] = [digits(a), digits(b)]
  // A zero counts within a number that has begun before.
  const hasZero = a.charCodeAt(at) === zero || b.charCodeAt(at) === zero
  const begun = hasZero && hasBegun(a, at) ? '1' : ''
  const [m, n] = [Number(begun + x), Number(begun + y)]
  if (m !== n) return m - n
  return x.length === y.length ? (a.codePointAt(at) ?? 0) - (b.codePointAt(at) ?? 0) : x.length - y.length
}

/** Whether digits that are not all zero stand before a place. */
function hasBegun(text: string, end: number): boolean {
  for (let at = end - 1; at >= 0 && isDigit(text.charCodeAt(at)); at--) if (text.charCodeAt(at) !== zero) return true
  return false
}
