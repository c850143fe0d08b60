import { badRequest, isStatusError, jsonMergePatch, parseYaml, schemaOf, StatusError, strategicMergePatch, type JsonObject } from '@k3s/api'
import { isJson, jsonText, yamlText } from '../body-text.ts'
import { mediaTypeOf, unsupportedMediaType, type RequestBody } from '../codec.ts'
import { isObject } from '../json.ts'
import { applyJsonPatch } from './json-patch.ts'

export type PatchKind = 'json' | 'merge' | 'strategic' | 'apply'

/** A patch that was read but not applied. */
export interface PatchDocument {
  readonly kind: PatchKind
  /** Of `json` an array of operations, else an object. */
  readonly value: unknown
}

const kinds: Readonly<Record<string, PatchKind>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
}

// Upstream's bound on the work that one patch may make.
const maxOperations = 10_000

/** Reads a patch body. `supportsStrategic` is false for custom resources. Throws UnsupportedMediaType, BadRequest and RequestEntityTooLarge. */
export function readPatch(body: RequestBody, options: { readonly supportsStrategic: boolean }): PatchDocument {
  const kind = kinds[mediaTypeOf(body.contentType)]
  if (kind === undefined || (kind === 'strategic' && !options.supportsStrategic))
    throw unsupportedMediaType(Object.keys(kinds).filter((type) => options.supportsStrategic || kinds[type] !== 'strategic'))
  const value = 'object' in body ? body.object : parse(kind, body.bytes)
  if (kind !== 'json') {
    if (!isObject(value)) throw badRequest(`error decoding patch: the patch must be an object`)
    return { kind, value }
  }
  if (!Array.isArray(value)) throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch')
  if (value.length > maxOperations)
    throw new StatusError(
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${maxOperations}, got ${value.length}`,
    )
  return { kind, value }
}

function parse(kind: PatchKind, bytes: Buffer): unknown {
  if (kind === 'apply') {
    const text = yamlText(bytes)
    // kubectl sends JSON as YAML.
    return isJson(text) ? JSON.parse(text) : parseYaml(text)
  }
  try {
    return JSON.parse(jsonText(bytes))
  } catch (error) {
    if (isStatusError(error)) throw error
    throw badRequest(`error decoding patch: ${error instanceof Error ? error.message : String(error)}`)
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
