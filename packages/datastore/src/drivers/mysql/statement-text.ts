import type { SqlStatement } from '../sql/dialect.ts'

/** Text characters that need no escaping in any SQL mode. */
const plainText = /^[\w .:/@+[\]-]*$/

/** A value as SQL text. Bytes are hexadecimal: nothing in them can end the literal, whatever the server's SQL mode and character sets are. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (value instanceof Uint8Array) return `x'${hex(value)}'`
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`Invariant broken: ${value} can be stored`)
    return String(value)
  }
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return plainText.test(value) ? `'${value}'` : `convert(x'${hex(Buffer.from(value))}' using utf8mb4)`
  throw new Error(`Invariant broken: a ${typeof value} can be stored`)
}

/** A statement with its values in the place of the "?". */
export function statementText({ sql, values }: SqlStatement): string {
  const parts = sql.split('?')
  if (parts.length !== values.length + 1)
    throw new Error(`Invariant broken: ${values.length} values for ${parts.length - 1} places in "${sql}"`)
  let text = parts[0] ?? ''
  for (const [index, value] of values.entries()) text += literal(value) + (parts[index + 1] ?? '')
  return text
}

/** Bytes of its text, from above, in time that does not depend on the size of its values. */
export function textBytes({ sql, values }: SqlStatement): number {
  let bytes = sql.length
  for (const value of values)
    bytes += value instanceof Uint8Array ? 3 + 2 * value.length : typeof value === 'string' ? 30 + 8 * value.length : 24
  return bytes
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
