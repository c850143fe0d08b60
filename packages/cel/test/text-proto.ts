/** A message in protobuf's text format: each field with all values that it was given. */
export interface TextMessage {
  readonly [field: string]: readonly TextValue[]
}
/** Words (`true`, `INT64`, `inf`) and numbers stay text; strings are bytes. */
export type TextValue = TextMessage | Uint8Array | string

const escapes: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, a: 7, b: 8, f: 12, v: 11, '\\': 92, "'": 39, '"': 34, '?': 63 }
const tokenPattern =
  /(?:\s|#[^\n]*)*(?:("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(\[[A-Za-z][\w.]*\/[\w.]+\])|([-+]?[\w.][\w.+-]*|-inf)|([{}<>[\]:,;]))/y

/** Reads the text format. Throws for what it does not know. */
export function parseTextProto(text: string): TextMessage {
  const tokens: string[] = []
  tokenPattern.lastIndex = 0
  const end = text.replace(/(?:\s|#[^\n]*)*$/, '').length
  let at = 0
  while (at < end) {
    tokenPattern.lastIndex = at
    const match = tokenPattern.exec(text)
    if (match === null) {
      // Nothing but comments may be left.
      if (/^(?:\s|#[^\n]*)*$/.test(text.slice(at))) break
      throw new Error(`unknown text: ${text.slice(at, at + 40)}`)
    }
    tokens.push(match[1] ?? match[2] ?? match[3] ?? match[4] ?? '')
    at = tokenPattern.lastIndex
  }
  let next = 0
  const message = (close: string | undefined): TextMessage => {
    const fields: Record<string, TextValue[]> = {}
    while (next < tokens.length && tokens[next] !== close) {
      const name = tokens[next++] ?? ''
      if (tokens[next] === ':') next++
      const values = (fields[name] ??= [])
      if (tokens[next] === '[') {
        next++
        while (tokens[next] !== ']') {
          values.push(value())
          if (tokens[next] === ',') next++
        }
        next++
      } else values.push(value())
      if (tokens[next] === ',' || tokens[next] === ';') next++
    }
    next++
    return fields
  }
  const value = (): TextValue => {
    const token = tokens[next++] ?? ''
    if (token === '{') return message('}')
    if (token === '<') return message('>')
    if (!/^["']/.test(token)) return token
    const parts = [unquote(token)]
    while (/^["']/.test(tokens[next] ?? '')) parts.push(unquote(tokens[next++] ?? ''))
    return Buffer.concat(parts)
  }
  return message(undefined)
}

function unquote(token: string): Uint8Array {
  const parts: Uint8Array[] = []
  for (const [whole, octal, hex, short, long, single] of token
    .slice(1, -1)
    .matchAll(/\\([0-7]{1,3})|\\[xX]([0-9a-fA-F]{1,2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|[^\\]+/gs)) {
    const code = short ?? long
    if (octal !== undefined) parts.push(Buffer.from([Number.parseInt(octal, 8)]))
    else if (hex !== undefined) parts.push(Buffer.from([Number.parseInt(hex, 16)]))
    else if (code !== undefined) parts.push(Buffer.from(String.fromCodePoint(Number.parseInt(code, 16))))
    else if (single !== undefined) parts.push(Buffer.from([escapes[single] ?? 0]))
    else parts.push(Buffer.from(whole))
  }
  return Buffer.concat(parts)
}
