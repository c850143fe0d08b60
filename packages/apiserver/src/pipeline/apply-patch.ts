import {
  badRequest,
  duplicateFields,
  isStatusError,
  jsonMergePatch,
  jsonSyntaxProblem,
  readYamlText,
  schemaOf,
  StatusError,
  strategicMergePatch,
  type JsonObject,
} from '@k3s/api'
import { jsonText, parsedJson, yamlText } from '../body-text.ts'
import { mediaTypeOf, unsupportedMediaType, type RequestBody } from '../codec.ts'
import { isObject } from '../json.ts'
import { applyJsonPatch } from './json-patch.ts'

export type PatchKind = 'json' | 'merge' | 'strategic' | 'apply'

/** A patch that was read but not applied. */
export interface PatchDocument {
  readonly kind: PatchKind
  /** Of `json` an array of operations, else an object. */
  readonly value: unknown
  /** What strict reading objects to, in upstream's words: keys that stand twice, and what an operation of `json` does not have. */
  readonly fieldErrors: readonly string[]
}

const kinds: Readonly<Record<string, PatchKind>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
}

// Upstream's bound on the work that one patch may make.
const maxOperations = 10_000

/** What kind of patch a body is. Throws UnsupportedMediaType. */
export function patchKind({ contentType }: RequestBody, { supportsStrategic }: { readonly supportsStrategic: boolean }): PatchKind {
  const kind = kinds[mediaTypeOf(contentType)]
  if (kind === undefined) throw new StatusError('UnsupportedMediaType', '415: Unsupported Media Type', { details: {} })
  if (kind === 'strategic' && !supportsStrategic)
    throw unsupportedMediaType(Object.keys(kinds).filter((type) => kinds[type] !== 'strategic'))
  return kind
}

/** Reads a patch body. `supportsStrategic` is false for custom resources. Throws UnsupportedMediaType, BadRequest and RequestEntityTooLarge. */
export function readPatch(body: RequestBody, options: { readonly supportsStrategic: boolean }): PatchDocument {
  const kind = patchKind(body, options)
  const { value, fieldErrors } =
    'object' in body ? { value: body.object, fieldErrors: [] } : parse(kind, body.bytes, body.fromYaml?.duplicates)
  if (kind !== 'json') return { kind, value: documentOf(kind, value), fieldErrors }
  if (value === null) return { kind, value: [], fieldErrors }
  if (!Array.isArray(value))
    throw badRequest(`error decoding patch: json: cannot unmarshal ${jsonKindOf(value)} into Go value of type []handlers.jsonPatchOp`)
  if (value.length > maxOperations)
    throw new StatusError(
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${maxOperations}, got ${value.length}`,
    )
  return { kind, value, fieldErrors: [...operationErrors(value), ...fieldErrors].map((error) => `json patch ${error}`) }
}

/** A patch that is an object; null is an empty one for some. */
function documentOf(kind: Exclude<PatchKind, 'json'>, value: unknown): unknown {
  if (isObject(value)) return value
  if (kind === 'merge' && value === null) throw badRequest('Invalid JSON Patch')
  if (value === null || value === undefined) {
    if (kind === 'strategic') return {}
    throw badRequest('invalid object type: /, Kind=')
  }
  const found = `json: cannot unmarshal ${jsonKindOf(value)} into Go value of type map[string]interface {}`
  if (kind === 'merge') throw badRequest(`error decoding patch: ${found}`)
  throw badRequest(kind === 'strategic' ? found : `error decoding YAML: error unmarshaling JSON: while decoding JSON: ${found}`)
}

const jsonKindOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value)

const operationFields = new Set(['op', 'path', 'from', 'value'])

function operationErrors(operations: readonly unknown[]): readonly string[] {
  return operations.flatMap((operation, index) =>
    Object.keys(isObject(operation) ? operation : {})
      .filter((name) => !operationFields.has(name))
      .map((name) => `unknown field ${JSON.stringify(`[${index}].${name}`)}`),
  )
}

/** Throws BadRequest for text that is no YAML. */
function yamlConfiguration(text: string): Pick<PatchDocument, 'value' | 'fieldErrors'> {
  try {
    const { value, duplicates } = readYamlText(text)
    return { value, fieldErrors: duplicates }
  } catch (error) {
    throw isStatusError(error) ? badRequest(`error decoding YAML: ${error.message}`) : error
  }
}

/** `duplicates` is given when the bytes were YAML but are JSON already. */
function parse(kind: PatchKind, bytes: Buffer, duplicates: readonly string[] | undefined): Pick<PatchDocument, 'value' | 'fieldErrors'> {
  if (kind === 'apply' && duplicates === undefined) {
    const text = yamlText(bytes)
    // kubectl sends JSON as YAML.
    const value = parsedJson(text)
    if (value !== undefined) return { value, fieldErrors: [] }
    return yamlConfiguration(text)
  }
  try {
    const text = jsonText(bytes)
    const value: unknown = JSON.parse(text)
    return { value, fieldErrors: duplicates ?? duplicateFields(text, value) }
  } catch (error) {
    if (isStatusError(error)) throw error
    const why = jsonSyntaxProblem(bytes) ?? (error instanceof Error ? error.message : String(error))
    throw badRequest(kind === 'strategic' ? why : `error decoding patch: ${why}`)
  }
}

/** Applies a JSON, merge or strategic merge patch to an object that is not changed. Throws StatusErrors in upstream's words. */
export function applyPatch(
  document: PatchDocument,
  current: JsonObject,
  kind: { readonly apiVersion: string; readonly kind: string },
): JsonObject {
  switch (document.kind) {
    case 'json':
      return applyOperations(Array.isArray(document.value) ? document.value : [], current)
    case 'merge': {
      const merged = jsonMergePatch(current, document.value)
      if (!isObject(merged)) throw badRequest('error applying patch: the patch must be an object')
      return merged
    }
    case 'strategic': {
      const schema = schemaOf(kind.apiVersion, kind.kind)
      if (schema === undefined || !isObject(document.value)) throw unsupportedMediaType(Object.keys(kinds))
      return strategicMergePatch(current, document.value, schema)
    }
    default:
      throw new Error('Apply patches are merged by field ownership, not by document')
  }
}

/** A failing `test` or a path that is not there refuses the whole patch. */
function applyOperations(operations: readonly unknown[], current: JsonObject): JsonObject {
  try {
    const document = applyJsonPatch(operations, current)
    if (!isObject(document)) throw new Error('the document is no object any more')
    return document
  } catch (error) {
    throw new StatusError('Invalid', 'the server rejected our request due to an error in our request', { cause: error, details: {} })
  }
}

/** The resourceVersion that a patch names, if any: then it is a precondition. */
export function namedVersion({ kind, value }: PatchDocument): string {
  if (kind === 'json' || !isObject(value) || !isObject(value['metadata'])) return ''
  const { resourceVersion } = value['metadata']
  return typeof resourceVersion === 'string' ? resourceVersion : ''
}
