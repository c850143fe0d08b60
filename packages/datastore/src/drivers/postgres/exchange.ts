import type { SqlRow, SqlStatement, SqlValue } from '../sql/dialect.ts'

/** What of pg's connection an exchange uses. */
interface ProtocolConnection {
  readonly stream: { cork?(): void; uncork?(): void }
  parse(query: { readonly text: string; readonly name: string; readonly types: readonly number[] }): void
  bind(config: { readonly statement: string; readonly values: readonly unknown[] }): void
  describe(message: { readonly type: 'P'; readonly name: string }): void
  execute(config: { readonly portal: string; readonly rows: number }): void
  sync(): void
}

interface RowDescription {
  readonly fields: readonly { readonly dataTypeID: number }[]
}

/** Statements that a connection has prepared, by their text, with PostgreSQL's placeholders. */
export class PreparedStatements {
  readonly #names = new Map<string, { readonly name: string; readonly text: string; isSent: boolean }>()
  #generation = 0

  /** The statement's name and text; `isNew` the first time. */
  of(sql: string): { readonly name: string; readonly text: string; readonly isNew: boolean } {
    let entry = this.#names.get(sql)
    if (entry === undefined) {
      let index = 0
      const text = sql.replaceAll('?', () => `$${++index}`)
      entry = { name: `k3s_${this.#generation}_${this.#names.size}`, text, isSent: false }
      this.#names.set(sql, entry)
    }
    const isNew = !entry.isSent
    entry.isSent = true
    return { name: entry.name, text: entry.text, isNew }
  }

  /** After an error it is not known which of its statements were prepared: all are prepared again, under other names. */
  forget(): void {
    this.#generation++
    this.#names.clear()
  }
}

const typeBytea = 17
const integerTypes: ReadonlySet<number> = new Set([20, 21, 23])
const floatTypes: ReadonlySet<number> = new Set([700, 701, 1700])

/**
 * Several statements that travel together and are answered together: one round trip. pg calls its methods, as it does those of pg-cursor.
 * The server does one after the other, each on what is committed by then, and after a failure skips the rest.
 */
export class Exchange {
  readonly done: Promise<readonly (readonly SqlRow[])[]>
  readonly #statements: readonly SqlStatement[]
  readonly #prepared: PreparedStatements
  readonly #results: SqlRow[][] = []
  #decoders: readonly ((text: string) => SqlValue)[] = []
  #rows: SqlRow[] = []
  #resolve: (results: readonly (readonly SqlRow[])[]) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(statements: readonly SqlStatement[], prepared: PreparedStatements) {
    this.#statements = statements
    this.#prepared = prepared
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: ProtocolConnection): void {
    connection.stream.cork?.()
    try {
      for (const { sql, values } of this.#statements) {
        const { name, text, isNew } = this.#prepared.of(sql)
        if (isNew) connection.parse({ name, text, types: [] })
        connection.bind({ statement: name, values: values.map(encodeValue) })
        connection.describe({ type: 'P', name: '' })
        connection.execute({ portal: '', rows: 0 })
      }
      connection.sync()
    } finally {
      connection.stream.uncork?.()
    }
  }

  handleRowDescription({ fields }: RowDescription): void {
    this.#decoders = fields.map(({ dataTypeID }) => decoderOf(dataTypeID))
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    this.#rows.push(fields.map((text, index) => (text === null ? null : (this.#decoders[index] ?? decodeText)(text))))
  }

  handleCommandComplete(): void {
    this.#results.push(this.#rows)
    this.#rows = []
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete()
  }

  handlePortalSuspended(): void {}

  handleError(error: unknown): void {
    this.#prepared.forget()
    this.#reject(error)
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#results)
  }
}

function decoderOf(type: number): (text: string) => SqlValue {
  if (type === typeBytea) return decodeBytes
  if (integerTypes.has(type)) return decodeInteger
  return floatTypes.has(type) ? Number : decodeText
}

const decodeText = (text: string): SqlValue => text
const decodeBytes = (text: string): SqlValue => {
  const { buffer, byteOffset, byteLength } = Buffer.from(text.slice(2), 'hex')
  return new Uint8Array(buffer, byteOffset, byteLength)
}
const decodeInteger = (text: string): SqlValue => {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : BigInt(text)
}

/** In PostgreSQL's text form, or as they are for bytes. */
function encodeValue(value: unknown): string | Buffer | null {
  if (value === null || value === undefined) return null
  if (value instanceof Uint8Array) return asBuffer(value)
  if (Array.isArray(value)) return `{${value.map(encodeElement).join(',')}}`
  return String(value)
}

function encodeElement(value: unknown): string {
  if (value instanceof Uint8Array) return `"\\\\x${asBuffer(value).toString('hex')}"`
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return `"${String(value).replaceAll(/["\\]/g, '\\$&')}"`
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
