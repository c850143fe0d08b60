import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  stringify,
  type Document,
  type ScalarTag,
  type SchemaOptions,
  type Tags,
} from 'yaml'
import { badRequest } from '../status.ts'
import { isObject } from './decode-object.ts'
import { decodeJson, decodeObject, headOf, type Decoded, type SchemaPicker } from './json.ts'

const fraction = /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)$/

const takesPoint = (tag: Tags[number]): tag is ScalarTag =>
  typeof tag !== 'string' && 'test' in tag && tag.test instanceof RegExp && tag.test.test('.')

/** YAML as Go's reader has it: version 1.1, but no times and no numbers to the base of 60 (`12:30` stays text), and a point alone is no number. */
const customTags: Extract<SchemaOptions['customTags'], (...args: never) => unknown> = (tags) =>
  tags
    .filter((tag) => typeof tag === 'string' || (tag.tag !== 'tag:yaml.org,2002:timestamp' && !('format' in tag && tag.format === 'TIME')))
    .map((tag) => (takesPoint(tag) ? { ...tag, test: fraction } : tag))

/** What a document says. */
export interface YamlText {
  /** Plain JSON. */
  readonly value: unknown
  /** As upstream's strict reading words it, one error for all: `yaml: unmarshal errors:\n  line 9: key "a" already set in map`. */
  readonly duplicates: readonly string[]
}

/** Parses one YAML document (JSON is YAML too) as Kubernetes reads it. Of duplicate keys the last one counts. Throws BadRequest. */
export function parseYaml(text: string): unknown {
  return readYamlText(text).value
}

/**
 * Reads a YAML body of one document; see {@link decodeJson}. Duplicate keys are told by line. An empty document is refused.
 */
export function decodeYaml(text: string, pick: SchemaPicker): Decoded {
  // Clients send JSON as YAML more often than not.
  if (/^\s*\{/.test(text) && isJson(text)) return decodeJson(text, pick)
  const { value, duplicates } = readYamlText(text)
  const type = pick(headOf(value))
  if (!isObject(value)) throw badRequest(`couldn't get version/kind; json parse error: the document is no object`)
  if (type === undefined) return { object: value, fieldErrors: duplicates }
  const decoded = decodeObject(value, type)
  return { object: decoded.object, fieldErrors: [...duplicates, ...decoded.fieldErrors] }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    // Flow-style YAML looks like JSON: the YAML reader is next and words its own errors.
    return false
  }
}

/**
 * Parses one YAML document and tells its duplicate keys. Throws BadRequest, also for one that is nested too deep or repeats itself too often.
 * Takes up to 2 ms for a KiB in one turn of the event loop.
 */
export function readYamlText(text: string): YamlText {
  try {
    return read(text)
  } catch (error) {
    if (error instanceof RangeError) throw badRequest('error converting YAML to JSON: yaml: document is nested too deep')
    // The library's way to refuse an alias that is unknown, or of which a small document would make a huge object.
    if (error instanceof ReferenceError) throw badRequest(`error converting YAML to JSON: yaml: ${error.message}`)
    // The library knows only when it merges that there is nothing to merge.
    if (error instanceof Error && error.message.startsWith('Merge sources'))
      throw badRequest('error converting YAML to JSON: yaml: map merge requires map or sequence of maps as the value')
    throw error
  }
}

function read(text: string): YamlText {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    version: '1.1',
    customTags,
    uniqueKeys: false,
    lineCounter: lines,
    stringKeys: false,
    logLevel: 'error',
  })
  const [error] = document.errors
  if (error !== undefined)
    throw badRequest(
      `error converting YAML to JSON: yaml: ${error.linePos === undefined ? '' : `line ${error.linePos[0].line}: `}${error.message.split('\n')[0] ?? ''}`,
    )
  const duplicates: string[] = []
  collectDuplicates(document.contents, { document, lines }, duplicates)
  return {
    value: plain(document),
    duplicates: duplicates.length === 0 ? [] : [`yaml: unmarshal errors:\n${duplicates.map((line) => `  ${line}`).join('\n')}`],
  }
}

function plain(document: Document): unknown {
  // Through JSON, so that keys are text and no Map, Set or Buffer is left; `!!binary` is base64 text in Go, too.
  const value: unknown = document.toJS({ maxAliasCount: 1000 })
  return toJson(value)
}

function toJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), toJson(item)]))
  if (value instanceof Set) return Object.fromEntries([...value].map((key) => [String(key), null]))
  if (typeof value === 'bigint') return Number(value)
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)])) : value
}

interface Source {
  readonly document: Document
  readonly lines: LineCounter
}

/** Throws BadRequest for keys that are no scalars, as Go's reader does: the library would make text of them, in a time that is no polynomial of their depth. */
function collectDuplicates(node: unknown, source: Source, into: string[]): void {
  const { document, lines } = source
  if (isSeq(node)) for (const item of node.items) collectDuplicates(item, source, into)
  if (!isMap(node)) return
  const seen = new Set<string>()
  for (const pair of node.items) {
    if (!isPair(pair)) continue
    const named = isAlias(pair.key) ? pair.key.resolve(document) : pair.key
    if (isMap(named) || isSeq(named))
      throw badRequest(
        `error converting YAML to JSON: yaml: invalid map key: ${isMap(named) ? 'map[interface {}]interface {}' : '[]interface {}'}`,
      )
    const key = isScalar(named) ? String(named.value) : ''
    if (seen.has(key))
      into.push(`line ${lineOf(pair.value, lines) ?? lineOf(pair.key, lines) ?? 0}: key ${JSON.stringify(key)} already set in map`)
    seen.add(key)
    collectDuplicates(pair.value, source, into)
  }
}

/** Go names the line where the value starts. */
function lineOf(node: unknown, lines: LineCounter): number | undefined {
  const start = isScalar(node) || isMap(node) || isSeq(node) ? node.range?.[0] : undefined
  return start === undefined ? undefined : lines.linePos(start).line
}

/** Writes YAML as Kubernetes does: keys in order of the alphabet, text that YAML 1.1 would misread in quotes. */
export function encodeYaml(value: unknown): string {
  return stringify(value, { version: '1.1', sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false, indentSeq: false })
}

/** Splits a text of several YAML documents; those that hold nothing but comments are left out. Line numbers start anew in each. */
export function splitYaml(text: string): string[] {
  return text
    .split(/^---(?:[ \t].*)?$/m)
    .map((part) => part.replace(/^\r?\n/, ''))
    .filter((part) => part.split('\n').some((line) => !/^\s*(?:#.*)?(?:\.\.\.)?\s*$/.test(line)))
}
