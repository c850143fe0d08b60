import { badRequest, type StatusError } from '../status.ts'
import type { TypeSchema } from '../schema/table.ts'
import { convert, isObject, TypeMismatch, type JsonObject } from './decode-object.ts'
import { countKeys, countWrittenKeys, fieldErrors } from './field-errors.ts'
import { jsonSyntaxProblem } from './json-syntax.ts'

export interface TypeHead {
  readonly apiVersion: string
  readonly kind: string
}

/** An object that was read, and what strict reading objects to. */
export interface Decoded {
  /** Belongs to the caller. */
  readonly object: JsonObject
  /**
   * Unknown and duplicate fields in upstream's words and order (`unknown field "spec.foo"`, `duplicate field "spec.bar"`), at most 100.
   * The object is without them; of duplicates the last one counts. For `Warn` each is a warning, for `Strict` see {@link strictDecodingError}.
   */
  readonly fieldErrors: readonly string[]
}

/**
 * Chooses the schema for a body by its own `apiVersion` and `kind` (each empty when absent): undefined for kinds without one, such as
 * custom resources. May throw to refuse the kind.
 */
export type SchemaPicker = (head: TypeHead) => TypeSchema | undefined

/** The error of `fieldValidation=Strict`: `Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"`. */
export function strictDecodingError(head: TypeHead, errors: readonly string[]): StatusError {
  return cannotBeHandled(head, `strict decoding error: ${errors.join(', ')}`)
}

export function cannotBeHandled(head: TypeHead, why: string): StatusError {
  const version = head.apiVersion.slice(head.apiVersion.indexOf('/') + 1)
  return badRequest(`${head.kind} in version "${version}" cannot be handled as a ${head.kind}: ${why}`)
}

export function headOf(value: unknown): TypeHead {
  const head = isObject(value) ? value : {}
  const { apiVersion, kind } = head
  return { apiVersion: typeof apiVersion === 'string' ? apiVersion : '', kind: typeof kind === 'string' ? kind : '' }
}

/** Parses JSON text; throws BadRequest. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const why = jsonSyntaxProblem(text) ?? (error instanceof Error ? error.message : String(error))
    throw badRequest(`couldn't get version/kind; json parse error: ${why}`)
  }
}

/**
 * Reads a JSON body. With a schema the object comes in upstream's canonical form (see {@link convert}); without one it is what was
 * written. Throws BadRequest for text that is no JSON object and for values of a wrong type.
 */
export function decodeJson(text: string, pick: SchemaPicker): Decoded {
  const value = parseJson(text)
  const head = headOf(value)
  const type = pick(head)
  if (!isObject(value))
    throw badRequest(
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
    )
  if (type === undefined) return { object: value, fieldErrors: duplicateFields(text, value) }
  const { object, hasUnknown } = convertAs(value, type, head)
  const hasErrors = hasUnknown || countWrittenKeys(text) !== countKeys(value)
  return { object, fieldErrors: hasErrors ? fieldErrors(text, type) : [] }
}

/** Reads an already parsed object, such as a patched one: as {@link decodeJson}, but there are no duplicates. The input is not changed. */
export function decodeObject(value: JsonObject, type: TypeSchema): Decoded {
  const { object, hasUnknown } = convertAs(value, type, headOf(value))
  return { object, fieldErrors: hasUnknown ? fieldErrors(JSON.stringify(value), type) : [] }
}

/** Keys that stand twice in an object of valid JSON text, which `value` was parsed from: `duplicate field "spec.bar"`, at most 100. */
export function duplicateFields(text: string, value: unknown): readonly string[] {
  return countWrittenKeys(text) === countKeys(value) ? [] : fieldErrors(text, undefined)
}

function convertAs(value: JsonObject, type: TypeSchema, head: TypeHead): ReturnType<typeof convert> {
  try {
    return convert(value, type)
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error
    const [own] = type.kinds
    const named = head.kind !== '' || own === undefined ? head : { apiVersion: own.version, kind: own.kind }
    throw cannotBeHandled(named.kind === '' ? { ...named, kind: type.goName.slice(type.goName.indexOf('.') + 1) } : named, error.message)
  }
}
