import {
  apiVersionOf,
  badRequest,
  decodeJson,
  decodeObject,
  decodeProtobuf,
  decodeYaml,
  goText,
  hasReason,
  invalid,
  restoreProblem,
  schemaOf,
  StatusError,
  strictDecodingError,
  typeSchema,
  type Decoded,
  type JsonObject,
  type KubernetesObject,
  type SchemaPicker,
  type TypeSchema,
} from '@k3s/api'
import { jsonText, yamlText } from './body-text.ts'
import { copyJson, isObject } from './json.ts'
import { invalidValue } from './validation/field-error.ts'

/** A body as it came: bytes from the wire, or an object from a client in this process. */
export type RequestBody =
  | {
      readonly bytes: Buffer
      readonly contentType: string
      /** Present when `bytes` are JSON, whatever the type says: the document was YAML, and has these duplicate keys. */
      readonly fromYaml?: { readonly duplicates: readonly string[] } | undefined
    }
  /** Not ours to change. */
  | { readonly object: unknown; readonly contentType: string }

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

/** What a body must be. */
export interface ExpectedKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

const jsonType = 'application/json'
const yamlType = 'application/yaml'
const protobufType = 'application/vnd.kubernetes.protobuf'

/** The media type without its parameters. */
export function mediaTypeOf(contentType: string): string {
  return (contentType.split(';')[0] ?? '').trim().toLowerCase()
}

export interface DecodeOptions {
  readonly fieldValidation: FieldValidation
  warn(message: string): void
  /** Of custom resources: brings the object into its form and answers with the paths of unknown fields. */
  readonly coerce?: ((object: JsonObject) => readonly string[]) | undefined
  /** What was wrong with the patch, told before what is wrong with the object. */
  readonly patchErrors?: readonly string[] | undefined
  /** The strategic merge patch that made the object: upstream quotes it, and converts what it made in another way than JSON. */
  readonly strategicPatch?: JsonObject | undefined
  /** How what does not fit its type is refused; absent: as an invalid patch. */
  readonly refuse?: ((why: string) => StatusError) | undefined
}

const unknownField = (path: string): string => `unknown field ${JSON.stringify(path)}`

/** Reads a body of one kind. Unknown and duplicate fields are refused, warned about or ignored, as asked. Throws BadRequest and UnsupportedMediaType. */
export function decodeBody(body: RequestBody, expected: ExpectedKind, options: DecodeOptions): KubernetesObject {
  return finishDecoded(decodePlain(body, expected, { isCustom: options.coerce !== undefined }), expected, options)
}

/** The first half of {@link decodeBody}: reads a body, of built-in kinds by their schema. Throws BadRequest and UnsupportedMediaType. */
export function decodePlain(body: RequestBody, expected: ExpectedKind, { isCustom }: { readonly isCustom: boolean }): Decoded {
  return decode(body, expected, isCustom ? 'custom' : schemaOf(apiVersionOf(expected), expected.kind))
}

/** The second half of {@link decodeBody}. Takes over the object. */
export function finishDecoded(decoded: Decoded, expected: ExpectedKind, options: DecodeOptions): KubernetesObject {
  if (options.coerce !== undefined) checkCustomVersion(decoded.object, expected, options)
  const unknown = options.coerce?.(decoded.object).map(unknownField) ?? []
  checkFields([...decoded.fieldErrors, ...unknown], expected, options)
  if (options.coerce !== undefined) checkCustomKind(decoded.object, expected)
  const object = decoded.object as unknown as KubernetesObject // its schema is that of a kind; metadata is checked below
  if (typeof object.metadata !== 'object' || object.metadata === null) object.metadata = { name: '' }
  object.metadata.name ??= ''
  object.apiVersion = apiVersionOf(expected)
  object.kind = expected.kind
  return object
}

/** Unlike other kinds, custom resources are looked at before they are refused: nothing is known of fields in a version that there is not. */
function checkCustomVersion(object: JsonObject, expected: ExpectedKind, options: DecodeOptions): void {
  const { apiVersion, kind } = object
  if (typeof apiVersion !== 'string' || apiVersion === '' || apiVersion === apiVersionOf(expected)) return
  const heads = new Set(['apiVersion', 'kind', 'metadata'])
  const unknown = Object.keys(object).filter((name) => !heads.has(name))
  checkFields(unknown.map(unknownField), expected, options)
  throw wrongKind(apiVersion, typeof kind === 'string' ? kind : '', expected)
}

/** Of a custom resource the kind is a field like others. */
function checkCustomKind(object: JsonObject, expected: ExpectedKind): void {
  const { kind, metadata } = object
  if (typeof kind !== 'string' || kind === expected.kind) return
  const name = isObject(metadata) ? metadata['name'] : undefined
  throw invalid({ group: expected.group, kind }, typeof name === 'string' ? name : '', [
    invalidValue('kind', kind, `must be ${expected.kind}`),
  ])
}

/** Brings an object that a patch made into the form of its kind. Throws Invalid for what does not fit, as upstream does for patches. */
export function decodePatched(value: JsonObject, expected: ExpectedKind, options: DecodeOptions): KubernetesObject {
  const { coerce } = options
  const schema = coerce === undefined ? schemaOf(apiVersionOf(expected), expected.kind) : undefined
  const { object: plain, fieldErrors: found } =
    coerce !== undefined
      ? coercePatched(value, coerce)
      : schema === undefined
        ? { object: copyJson(value), fieldErrors: [] }
        : decodeForPatch(value, schema, options)
  const fieldErrors = [...(options.patchErrors ?? []), ...found]
  if (fieldErrors.length > 0 && options.fieldValidation === 'Strict')
    throw invalidPatch(value, `strict decoding error: ${fieldErrors.join(', ')}`, options.strategicPatch)
  if (options.fieldValidation === 'Warn') for (const error of fieldErrors) options.warn(error)
  const object = plain as unknown as KubernetesObject // as above
  if (typeof object.metadata !== 'object' || object.metadata === null) object.metadata = { name: '' }
  object.metadata.name ??= ''
  return object
}

function coercePatched(value: JsonObject, coerce: (object: JsonObject) => readonly string[]): Decoded {
  const object = copyJson(value)
  try {
    return { object, fieldErrors: coerce(object).map(unknownField) }
  } catch (error) {
    if (!hasReason(error, 'BadRequest')) throw error
    throw invalidPatch(value, error.message)
  }
}

function decodeForPatch(value: JsonObject, schema: TypeSchema, { strategicPatch, refuse }: DecodeOptions): Decoded {
  try {
    return decodeObject(value, schema)
  } catch (error) {
    if (!hasReason(error, 'BadRequest')) throw error
    const converted = strategicPatch === undefined && refuse === undefined ? undefined : restoreProblem(value, schema)
    const why = converted ?? error.message.replace(/^.*? cannot be handled as an? \S+: /, '')
    throw refuse?.(why) ?? invalidPatch(value, why, strategicPatch)
  }
}

function invalidPatch(value: JsonObject, why: string, strategicPatch?: JsonObject): StatusError {
  return invalid({ kind: '' }, '', [
    invalidValue('patch', strategicPatch === undefined ? JSON.stringify(value) : goText(strategicPatch), why),
  ])
}

function checkFields(
  errors: readonly string[],
  expected: ExpectedKind,
  options: { readonly fieldValidation: FieldValidation; warn(message: string): void },
): void {
  if (errors.length === 0 || options.fieldValidation === 'Ignore') return
  if (options.fieldValidation === 'Strict') throw strictDecodingError({ apiVersion: apiVersionOf(expected), kind: expected.kind }, errors)
  for (const error of errors) options.warn(error)
}

const missingKind = "Object 'Kind' is missing in "

function decode(body: RequestBody, expected: ExpectedKind, known: TypeSchema | 'custom' | undefined): Decoded {
  const schema = known === 'custom' ? undefined : known
  const pick: SchemaPicker = (head) => {
    if (known === 'custom') {
      if (head.kind === '' && 'bytes' in body) throw badRequest(`${missingKind}'${body.bytes.toString('utf8')}'`)
      if (head.apiVersion.split('/').length > 2) throw badRequest(`unexpected GroupVersion string: ${head.apiVersion}`)
      return undefined
    }
    const wanted = apiVersionOf(expected)
    // As upstream: what a body leaves out is taken from the path.
    const [version, kind] = [head.apiVersion === '' ? wanted : head.apiVersion, head.kind === '' ? expected.kind : head.kind]
    if (version.split('/').length > 2) throw badRequest(`unexpected GroupVersion string: ${version}`)
    if (version !== wanted || kind !== expected.kind) throw wrongKind(version, kind, expected)
    return schema
  }
  if ('object' in body) {
    if (typeof body.object !== 'object' || body.object === null) throw badRequest('the body of the request must be an object')
    const value = body.object as JsonObject // any object is one
    const { apiVersion, kind } = value
    pick({ apiVersion: typeof apiVersion === 'string' ? apiVersion : '', kind: typeof kind === 'string' ? kind : '' })
    if (schema === undefined) return { object: copyJson(value), fieldErrors: [] }
    return decodeObject(value, schema)
  }
  switch (mediaTypeOf(body.contentType)) {
    case '':
    case jsonType:
      return recognised(body.bytes, expected, () => {
        const text = jsonText(body.bytes)
        // As upstream, whose decoder leaves an empty object alone then.
        return decodeJson(text.trim() === 'null' ? '{}' : text, pick)
      })
    case yamlType: {
      const { bytes, fromYaml } = body
      return recognised(bytes, expected, () =>
        fromYaml === undefined ? decodeYaml(yamlText(bytes), pick) : decodeFromYaml(bytes, fromYaml.duplicates, pick),
      )
    }
    case protobufType:
      return { object: decodeProtobuf(body.bytes, pick), fieldErrors: [] }
    default:
      throw unsupportedMediaType([jsonType, yamlType, protobufType])
  }
}

/** What cannot be told from its head is shown by its beginning, as upstream does. */
function recognised(bytes: Buffer, expected: ExpectedKind, read: () => Decoded): Decoded {
  try {
    return read()
  } catch (error) {
    if (!hasReason(error, 'BadRequest')) throw error
    const why = unrecognised(bytes, error.message)
    if (why === undefined) throw error
    throw badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summaryOf(bytes)})`)
  }
}

const headPattern = /(json: cannot unmarshal \w+ into Go struct field )\w+\.TypeMeta(\.(?:kind|apiVersion) of type string)$/

const yamlProblem = 'error converting YAML to JSON: '

function unrecognised(bytes: Buffer, message: string): string | undefined {
  const head = headPattern.exec(message)
  if (head !== null) return `couldn't get version/kind; json parse error: ${head[1] ?? ''}${head[2] ?? ''}`
  if (message.startsWith("couldn't get version/kind; "))
    return bytes.length === 0 ? "couldn't get version/kind; json parse error: unexpected end of JSON input" : message
  if (message.startsWith(missingKind)) return message
  if (message.startsWith(yamlProblem)) return message.slice(yamlProblem.length)
  return message.startsWith('unexpected GroupVersion string: ') ? message : undefined
}

function summaryOf(bytes: Buffer): string {
  if (bytes.length === 0) return '<empty>'
  const rest = bytes.length > 30 ? ' ...' : ''
  return `${bytes.subarray(0, 30).toString(bytes[0] === 0x7b ? 'utf8' : 'hex')}${rest}`
}

function decodeFromYaml(bytes: Buffer, duplicates: readonly string[], pick: SchemaPicker): Decoded {
  const { object, fieldErrors } = decodeJson(jsonText(bytes), pick)
  return { object, fieldErrors: [...duplicates, ...fieldErrors] }
}

/** Reads a DeleteOptions body, which clients send in their own or in the meta group's version; undefined for one without content. */
export function decodeOptions(body: RequestBody): JsonObject | undefined {
  const schema = schemaOf('v1', 'DeleteOptions') ?? typeSchema('meta/v1.DeleteOptions')
  const pick: SchemaPicker = ({ apiVersion, kind }) => {
    if (kind !== '' && kind !== 'DeleteOptions')
      throw badRequest(
        `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
      )
    return schema
  }
  if ('object' in body) {
    if (body.object === undefined || body.object === null) return undefined
    if (!isObject(body.object)) throw badRequest('the body of the request must be an object')
    return body.object
  }
  if (body.bytes.length === 0) return undefined
  switch (mediaTypeOf(body.contentType)) {
    case '':
    case jsonType:
      return unwrapped(() => decodeJson(jsonText(body.bytes), pick).object)
    case yamlType:
      return (body.fromYaml === undefined ? decodeYaml(yamlText(body.bytes), pick) : decodeFromYaml(body.bytes, [], pick)).object
    case protobufType:
      return decodeProtobuf(body.bytes, pick)
    default:
      throw unsupportedMediaType([jsonType, yamlType, protobufType])
  }
}

/** Options are read by themselves: nobody says what they should have been. */
function unwrapped(read: () => JsonObject): JsonObject {
  try {
    return read()
  } catch (error) {
    if (!hasReason(error, 'BadRequest')) throw error
    throw badRequest(error.message.replace(/^DeleteOptions in version "[^"]*" cannot be handled as a DeleteOptions: /, ''))
  }
}

/** 415 in upstream's words. */
export function unsupportedMediaType(supported: readonly string[]): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${supported.join(', ')}`,
  )
}

function wrongKind(apiVersion: string, kind: string, expected: ExpectedKind): StatusError {
  // Named as upstream's own scheme is where its program is built from its repository.
  if (schemaOf(apiVersion, kind) === undefined && schemaOf(apiVersionOf(expected), expected.kind) !== undefined)
    return badRequest(
      `${kind} in version ${JSON.stringify(apiVersion.slice(apiVersion.indexOf('/') + 1))} cannot be handled as a ${expected.kind}: no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/api/legacyscheme/scheme.go:30"`,
    )
  const [group, version] = splitVersion(apiVersion)
  if (kind === expected.kind && group === expected.group)
    return badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${apiVersionOf(expected)})`)
  const internal = expected.group === '' || expected.group === 'events.k8s.io' ? 'core' : expected.group.split('.')[0]
  return badRequest(
    `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${expected.kind}: converting (${version}.${kind}) to (${internal}.${expected.kind}): unknown conversion`,
  )
}

function splitVersion(apiVersion: string): readonly [string, string] {
  const slash = apiVersion.indexOf('/')
  return [slash < 0 ? '' : apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
}
