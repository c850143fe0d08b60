import { badRequest, StatusError } from '@k3s/api'

// Upstream takes ten times as much, but nothing that means something is nested half as deep, and what walks over objects here does so by recursion.
const maxDepth = 1000

// The YAML reader needs up to 2 ms for a KiB and lets nobody else have a turn. JSON, which is YAML too, has no such bound: it is read a hundred times faster.
const maxYamlBytes = 512 * 1024

// What has more does not fit into the datastore, or is made of nothing but very short texts. Judging so many takes seconds.
const maxValues = 60_000

const [comma, quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = Buffer.from(',"\\{}[]')

/** Throws BadRequest for a body of JSON or YAML that is nested too deep, RequestEntityTooLarge when it has too many values. Looks at each byte once, and at no more than it must. */
export function checkBody(bytes: Buffer): void {
  // Half of what is deep must close it again.
  if (bytes.length > maxDepth) checkShape(bytes)
}

/** The text of a JSON body. Throws what {@link checkBody} does. */
export function jsonText(bytes: Buffer): string {
  checkBody(bytes)
  return bytes.toString('utf8')
}

/** The text of a YAML body. Throws what {@link checkBody} does, and RequestEntityTooLarge when reading it would take too long. */
export function yamlText(bytes: Buffer): string {
  checkBody(bytes)
  const text = bytes.toString('utf8')
  if (bytes.length > maxYamlBytes && parsedJson(text) === undefined)
    throw new StatusError('RequestEntityTooLarge', `Request entity too large: limit of YAML is ${maxYamlBytes}`, { details: {} })
  return text
}

/** The value of JSON text; undefined when it is none. */
export function parsedJson(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined // flow-style YAML looks like JSON at first
  }
}

/** How many values JSON text has, about; counting ends at `limit`. Reads a byte in a nanosecond. */
export function countValues(bytes: Uint8Array, limit: number): number {
  let values = 0
  let isQuoted = false
  for (let at = 0; at < bytes.length && values < limit; at++) {
    const byte = bytes[at]
    if (isQuoted) {
      if (byte === backslash) at++
      else if (byte === quote) isQuoted = false
    } else if (byte === quote) isQuoted = true
    else if (byte === comma || byte === openBrace || byte === openBracket) values++
  }
  return values
}

/** Counts brackets and commas outside of double quotes. In YAML a lone quote may hide some, never invent more than there are. */
function checkShape(bytes: Buffer): void {
  let depth = 0
  let values = 0
  let isQuoted = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (isQuoted) {
      if (byte === backslash) at++
      else if (byte === quote) isQuoted = false
    } else if (byte === quote) isQuoted = true
    else if (byte === comma) values++
    else if (byte === openBrace || byte === openBracket) {
      values++
      if (++depth > maxDepth) throw badRequest("couldn't get version/kind; json parse error: exceeded max depth")
    } else if (byte === closeBrace || byte === closeBracket) depth--
  }
  if (values > maxValues)
    throw new StatusError('RequestEntityTooLarge', `Request entity too large: limit of values is ${maxValues}`, { details: {} })
}
