import { decodeObject, hasReason, typeSchema } from '@k3s/api'
import type { ObjectMeta } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { isObject } from '../../json.ts'
import { invalidValue, required } from '../../validation/field-error.ts'
import { dns1035Label, pathSegment } from '../../validation/names.ts'
import { validateObjectMeta } from '../../validation/object-meta.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { additionalOf, asResourceRoot, hasAdditional, isEmbedded, itemsOf, own, path, type JsonMap, type Schema } from './schema.ts'

/** What reading the metadata of an object found. */
export interface ReadMetadata {
  readonly metadata: JsonMap
  /** Names of fields that metadata does not have, as upstream words them: `metadata.foo`. */
  readonly unknown: readonly string[]
}

const metadataType = typeSchema('meta/v1.ObjectMeta')

/** Reads `metadata` by its type: unknown fields are left out. With `dropInvalid` so are fields of a wrong type; else it throws what is wrong. */
export function readMetadata(value: unknown, at: string, options: { readonly dropInvalid: boolean }): ReadMetadata {
  if (metadataType === undefined) throw new Error('Cannot read metadata: the schema table has no type for it')
  const field = path.child(at, 'metadata')
  try {
    return read(value)
  } catch (error) {
    if (!hasReason(error, 'BadRequest')) throw error
    if (!options.dropInvalid || !isObject(value)) throw new MetadataError(error.message.replace(/^.*? cannot be handled as an? \S+: /, ''))
    const kept: JsonMap = {}
    const unknown: string[] = []
    for (const [name, inner] of Object.entries(value)) {
      try {
        const one = read({ [name]: inner })
        Object.assign(kept, one.metadata)
        append(unknown, one.unknown)
      } catch (inner_) {
        if (!hasReason(inner_, 'BadRequest')) throw inner_ // else the field is of a wrong type and left out
      }
    }
    return { metadata: kept, unknown }
  }

  function read(metadata: unknown): ReadMetadata {
    if (metadataType === undefined || !isObject(metadata)) {
      if (metadata === null) return { metadata: {}, unknown: [] }
      throw new MetadataError(`json: cannot unmarshal ${describe(metadata)} into Go value of type v1.ObjectMeta`)
    }
    const { object, fieldErrors } = decodeObject(metadata, metadataType)
    const unknown = fieldErrors.flatMap((text) => {
      const name = /^unknown field "(.*)"$/s.exec(text)?.[1]
      return name === undefined ? [] : [`${field}.${name}`]
    })
    return { metadata: object, unknown }
  }
}

/** Metadata that is not of its type; the message is upstream's decoder's. */
export class MetadataError extends Error {
  override readonly name = 'MetadataError'
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

/**
 * Brings the metadata of embedded resources (and of the root with `isRoot`) into its form, in place, and checks that `apiVersion` and `kind` are strings.
 * Answers with the first problem and with the paths of unknown fields. With `dropInvalid` what is of a wrong type is removed instead.
 */
export function coerceMetadata(
  object: unknown,
  schema: Schema | undefined,
  options: { readonly isRoot: boolean; readonly dropInvalid: boolean; readonly at?: string | undefined },
): { readonly problem: FieldError | undefined; readonly unknown: readonly string[] } {
  const unknown: string[] = []
  const problem = coerceAt(object, options.isRoot ? asResourceRoot(schema) : schema, options.at ?? '', options.dropInvalid, unknown)
  return { problem, unknown: unknown.toSorted() }
}

function coerceAt(value: unknown, schema: Schema | undefined, at: string, dropInvalid: boolean, unknown: string[]): FieldError | undefined {
  if (schema === undefined) return undefined
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const problem = coerceAt(item, itemsOf(schema), path.index(at, index), dropInvalid, unknown)
      if (problem !== undefined) return problem
    }
    return undefined
  }
  if (!isObject(value)) return undefined
  for (const name of Object.keys(value)) {
    if (isEmbedded(schema)) {
      const problem = coerceField(value, name, at, dropInvalid, unknown)
      if (problem !== undefined) return problem
    }
    const property = own(schema.properties, name)
    const problem =
      property !== undefined
        ? coerceAt(value[name], property, path.child(at, name), dropInvalid, unknown)
        : hasAdditional(schema)
          ? coerceAt(value[name], additionalOf(schema), path.key(at, name), dropInvalid, unknown)
          : undefined
    if (problem !== undefined) return problem
  }
  return undefined
}

function coerceField(map: JsonMap, name: string, at: string, dropInvalid: boolean, unknown: string[]): FieldError | undefined {
  const value = map[name]
  if (name === 'apiVersion' || name === 'kind') {
    if (typeof value === 'string') return undefined
    if (!dropInvalid) return invalidValue(path.child(at, name), value, 'must be a string')
    delete map[name]
    return undefined
  }
  if (name !== 'metadata') return undefined
  try {
    const read = readMetadata(value, at, { dropInvalid })
    append(unknown, read.unknown)
    map['metadata'] = withoutEmpty(read.metadata)
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error
    if (!dropInvalid) return invalidValue(path.child(at, 'metadata'), value, error.message)
  }
  return undefined
}

/** Upstream's encoder leaves out what is empty. */
function withoutEmpty(metadata: JsonMap): JsonMap {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== '' && value !== undefined))
}

/** Problems of the kinds and metadata of embedded resources, and of the root with `isRoot`. */
export function validateEmbedded(
  value: unknown,
  schema: Schema | undefined,
  options: { readonly isRoot: boolean; readonly at?: string | undefined },
): FieldError[] {
  return validateAt(value, options.isRoot ? asResourceRoot(schema) : schema, options.at ?? '')
}

function validateAt(value: unknown, schema: Schema | undefined, at: string): FieldError[] {
  if (schema === undefined) return []
  if (Array.isArray(value)) return value.flatMap((item, index) => validateAt(item, itemsOf(schema), path.index(at, index)))
  if (!isObject(value)) return []
  const errors = isEmbedded(schema) ? embeddedProblems(value, at) : []
  for (const [name, inner] of Object.entries(value)) {
    const property = own(schema.properties, name)
    if (property !== undefined) append(errors, validateAt(inner, property, path.child(at, name)))
    else if (hasAdditional(schema)) append(errors, validateAt(inner, additionalOf(schema), path.key(at, name)))
  }
  return errors
}

function embeddedProblems(value: JsonMap, at: string): FieldError[] {
  const errors: FieldError[] = []
  if (!Object.hasOwn(value, 'apiVersion')) errors.push(required(path.child(at, 'apiVersion')))
  if (!Object.hasOwn(value, 'kind')) errors.push(required(path.child(at, 'kind')))
  for (const [name, inner] of Object.entries(value)) {
    const field = path.child(at, name)
    if (name === 'apiVersion') {
      if (typeof inner !== 'string') errors.push(invalidValue(field, inner, 'must be a string'))
      else if (inner === '') errors.push(invalidValue(field, inner, 'must not be empty'))
      else if (inner.split('/').length > 2) errors.push(invalidValue(field, inner, `unexpected GroupVersion string: ${inner}`))
    } else if (name === 'kind') {
      if (typeof inner !== 'string') errors.push(invalidValue(field, inner, 'must be a string'))
      else if (inner === '') errors.push(invalidValue(field, inner, 'must not be empty'))
      else {
        const problems = dns1035Label(inner.toLowerCase())
        if (problems.length > 0)
          errors.push(invalidValue(field, inner, `may have mixed case, but should otherwise match: ${problems.join(',')}`))
      }
    } else if (name === 'metadata') append(errors, metadataProblems(inner, at, field))
  }
  return errors
}

function metadataProblems(value: unknown, at: string, field: string): FieldError[] {
  try {
    const metadata = readMetadata(value, at, { dropInvalid: false }).metadata as unknown as ObjectMeta // read by its type
    const named = { ...metadata, name: metadata.name === undefined || metadata.name === '' ? 'fakename' : metadata.name }
    const rules = { namespaced: (metadata.namespace ?? '') !== '', validateName: pathSegment, allowsAnyFinalizer: true }
    return validateObjectMeta(named, rules).map((error) => ({ ...error, field: `${field}${(error.field ?? '').slice('metadata'.length)}` }))
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error
    return [invalidValue(field, value, error.message)]
  }
}
