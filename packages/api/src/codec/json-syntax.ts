/** Why text is no JSON, in the words of Go's scanner, which reads bytes. */
class SyntaxProblem extends Error {
  override readonly name = 'SyntaxProblem'
}

const quote = '"'
const end = 'unexpected end of JSON input'

/** As Go quotes a byte: what is no ASCII is the character of that number. */
function shown(byte: string): string {
  if (byte === "'") return String.raw`'\''`
  if (byte === quote) return `'${quote}'`
  const code = byte.charCodeAt(0)
  const escapes: Readonly<Record<string, string>> = {
    '\n': 'n',
    '\r': 'r',
    '\t': 't',
    '\b': 'b',
    '\f': 'f',
    '\v': 'v',
    '\x07': 'a',
    '\\': '\\',
  }
  const escape = escapes[byte]
  if (escape !== undefined) return `'\\${escape}'`
  if (code < 0x20 || code === 0x7f) return `'\\x${code.toString(16).padStart(2, '0')}'`
  // Latin-1 has letters from here on, but for the soft hyphen.
  return code < 0xa1 && code >= 0x80 ? `'\\u${code.toString(16).padStart(4, '0')}'` : code === 0xad ? String.raw`'\u00ad'` : `'${byte}'`
}

class Scanner {
  // Goes on where the scanner is.
  readonly #plainText = /[\x20\x21\x23-\x5b\x5d-\xff]*/y
  readonly #bytes: string
  #at = 0

  constructor(bytes: string) {
    this.#bytes = bytes
  }

  document(): void {
    this.#value()
    this.#space()
    if (this.#at < this.#bytes.length) this.#refuse('after top-level value')
  }

  #refuse(where: string): never {
    const byte = this.#bytes[this.#at]
    throw new SyntaxProblem(byte === undefined ? end : `invalid character ${shown(byte)} ${where}`)
  }

  #space(): void {
    while (this.#at < this.#bytes.length && ' \t\r\n'.includes(this.#bytes[this.#at] ?? '')) this.#at++
  }

  /** Takes the next byte when it is one of these. */
  #take(bytes: string): boolean {
    const byte = this.#bytes[this.#at]
    if (byte === undefined || !bytes.includes(byte)) return false
    this.#at++
    return true
  }

  /** Containers that are open are on a stack of our own: text may nest deeper than calls. */
  #value(): void {
    const open: ('{' | '[')[] = []
    for (;;) {
      this.#space()
      if (this.#take('{')) {
        this.#space()
        if (!this.#take('}')) {
          open.push('{')
          this.#key()
          continue
        }
      } else if (this.#take('[')) {
        this.#space()
        if (!this.#take(']')) {
          open.push('[')
          continue
        }
      } else this.#scalar()
      for (;;) {
        const container = open.at(-1)
        if (container === undefined) return
        this.#space()
        if (this.#take(',')) {
          if (container === '{') this.#key()
          break
        }
        if (!this.#take(container === '{' ? '}' : ']'))
          this.#refuse(container === '{' ? 'after object key:value pair' : 'after array element')
        open.pop()
      }
    }
  }

  #key(): void {
    this.#space()
    if (!this.#take(quote)) this.#refuse('looking for beginning of object key string')
    this.#string()
    this.#space()
    if (!this.#take(':')) this.#refuse('after object key')
  }

  #scalar(): void {
    if (this.#take(quote)) return this.#string()
    if (this.#take('-')) return this.#number()
    const byte = this.#bytes[this.#at] ?? ''
    if (byte !== '' && '0123456789'.includes(byte)) return this.#number()
    const literal = ['true', 'false', 'null'].find((word) => byte !== '' && word.startsWith(byte))
    if (literal === undefined) this.#refuse('looking for beginning of value')
    for (const letter of literal) if (!this.#take(letter)) this.#refuse(`in literal ${literal} (expecting ${shown(letter)})`)
  }

  #string(): void {
    while (!this.#take(quote)) {
      if (this.#take('\\')) {
        if (this.#take('u')) {
          for (let count = 0; count < 4; count++)
            if (!this.#take('0123456789abcdefABCDEF')) this.#refuse(String.raw`in \u hexadecimal character escape`)
        } else if (!this.#take(String.raw`bfnrt\/"`)) this.#refuse('in string escape code')
      } else if ((this.#bytes[this.#at] ?? '') < ' ') this.#refuse('in string literal')
      else this.#plain()
    }
  }

  #plain(): void {
    this.#plainText.lastIndex = this.#at
    this.#plainText.test(this.#bytes)
    this.#at = this.#plainText.lastIndex
  }

  #digits(where: string): void {
    if (!this.#take('0123456789')) this.#refuse(where)
    while (this.#take('0123456789'));
  }

  #number(): void {
    if (!this.#take('0')) this.#digits('in numeric literal')
    if (this.#take('.')) this.#digits('after decimal point in numeric literal')
    if (this.#take('eE')) {
      this.#take('+-')
      this.#digits('in exponent of numeric literal')
    }
  }
}

// Some 20 ms of scanning, in which nobody else has a turn.
const maxBytes = 256 * 1024

/** What Go says of bytes that are no JSON; undefined when they are, and when they are more than 256 KiB. */
export function jsonSyntaxProblem(text: Uint8Array | string): string | undefined {
  const bytes = Buffer.from(text)
  if (bytes.length > maxBytes) return undefined
  const latin = bytes.toString('latin1')
  try {
    new Scanner(latin).document()
    return undefined
  } catch (error) {
    if (error instanceof SyntaxProblem) return error.message
    throw error
  }
}
