/** The few constructs of proto3 that `proto/cri.proto` and CRI's own file use. */
export interface ProtoField {
  readonly number: number
  readonly name: string
  /** A scalar, a message or an enum; the value's type for a map (whose keys are strings). */
  readonly type: string
  readonly label: '' | 'repeated' | 'map'
  readonly doc: string
}
export interface ProtoMethod {
  readonly name: string
  readonly request: string
  readonly response: string
  readonly streams: boolean
}
export interface ProtoFile {
  readonly messages: ReadonlyMap<string, readonly ProtoField[]>
  readonly enums: ReadonlyMap<string, readonly { readonly name: string; readonly number: number; readonly doc: string }[]>
  readonly services: ReadonlyMap<string, readonly ProtoMethod[]>
}

interface Token {
  readonly text: string
  readonly doc: string
}

/** Reads a .proto text. Nested types are lifted to the top; options and `reserved` are skipped. Throws at what it does not know. */
export function parseProto(text: string): ProtoFile {
  const tokens = tokenize(text)
  const messages = new Map<string, ProtoField[]>()
  const enums = new Map<string, { name: string; number: number; doc: string }[]>()
  const services = new Map<string, ProtoMethod[]>()
  let at = 0

  const next = (): Token => tokens[at++] ?? { text: '', doc: '' }
  const expect = (text: string): void => {
    const token = next()
    if (token.text !== text) throw new Error(`Expected "${text}", found "${token.text}" at token ${at}`)
  }
  const skipTo = (end: string): void => {
    while (at < tokens.length && next().text !== end);
  }
  const readEnum = (): void => {
    const values: { name: string; number: number; doc: string }[] = []
    enums.set(next().text, values)
    expect('{')
    for (let token = next(); token.text !== '}'; token = next()) {
      expect('=')
      values.push({ name: token.text, number: Number(next().text), doc: token.doc })
      skipTo(';')
    }
  }
  const readMessage = (): void => {
    const fields: ProtoField[] = []
    messages.set(next().text, fields)
    expect('{')
    for (let token = next(); token.text !== '}'; token = next()) {
      if (token.text === 'message') readMessage()
      else if (token.text === 'enum') readEnum()
      else if (token.text === 'reserved') skipTo(';')
      else if (token.text === ';') continue
      else {
        let label: ProtoField['label'] = ''
        let type = token.text
        if (type === 'repeated') {
          label = 'repeated'
          type = next().text
        } else if (type === 'map') {
          label = 'map'
          expect('<')
          expect('string')
          expect(',')
          type = next().text
          expect('>')
        }
        const name = next().text
        expect('=')
        fields.push({ number: Number(next().text), name, type, label, doc: token.doc })
        skipTo(';')
      }
    }
  }
  const readService = (): void => {
    const methods: ProtoMethod[] = []
    services.set(next().text, methods)
    expect('{')
    for (let token = next(); token.text !== '}'; token = next()) {
      if (token.text !== 'rpc') continue
      const name = next().text
      expect('(')
      const request = next().text
      expect(')')
      expect('returns')
      expect('(')
      let response = next().text
      const streams = response === 'stream'
      if (streams) response = next().text
      expect(')')
      methods.push({ name, request, response, streams })
      if (tokens[at]?.text === '{') skipTo('}')
      else skipTo(';')
    }
  }

  while (at < tokens.length) {
    const { text: keyword } = next()
    if (keyword === 'message') readMessage()
    else if (keyword === 'enum') readEnum()
    else if (keyword === 'service') readService()
    else skipTo(';')
  }
  return { messages, enums, services }
}

/** Words, numbers and punctuation; each carries the `//` lines right above it. */
function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let doc: string[] = []
  for (const match of text.matchAll(/\/\*[\s\S]*?\*\/|\/\/ ?([^\n]*)|"[^"]*"|[\w.]+|[^\s\w]|\n[ \t]*\n/g)) {
    const [part, comment] = match
    if (comment !== undefined) doc.push(comment)
    else if (part.trim() === '') doc = []
    else if (!part.startsWith('/*')) {
      tokens.push({ text: part, doc: doc.join(' ') })
      doc = []
    }
  }
  return tokens
}
