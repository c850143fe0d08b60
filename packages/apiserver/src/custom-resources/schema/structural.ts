import { RE2JS } from 're2js'
import { append } from '@k3s/lifecycle'
import { equalJson } from '../../json.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import {
  additionalOf,
  hasAdditional,
  isEmbedded,
  isIntOrString,
  itemsOf,
  own,
  path,
  preservesUnknown,
  propertiesOf,
  propertyOf,
  type Schema,
} from './schema.ts'

type Level = 'root' | 'item' | 'field'

const anyOfIntOrString: readonly Schema[] = [{ type: 'integer' }, { type: 'string' }]

/** Problems that keep a schema from being structural, in the order of their texts. `at` is the path of the schema. */
export function validateStructural(schema: Schema, at: string): FieldError[] {
  const text = ({ field, message }: FieldError): string => `${field ?? ''}: ${message ?? ''}`
  return [...invariants(schema, 'root', at), ...completeness(schema, schema, at, at)].toSorted((a, b) =>
    text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0,
  )
}

/** Why a schema cannot even be read as a structural one; undefined when it can. */
export function unstructuralReason(schema: Schema): string | undefined {
  const no = (name: string): string => `OpenAPIV3Schema '${name}' is not supported`
  if ((schema.id ?? '') !== '') return no('id')
  if ((schema.$schema ?? '') !== '') return no('schema')
  if ((schema.$ref ?? '') !== '') return no('$ref')
  if (Object.keys(schema.patternProperties ?? {}).length > 0) return no('patternProperties')
  if (Object.keys(schema.dependencies ?? {}).length > 0) return no('dependencies')
  if (schema.additionalItems !== undefined) return no('additionalItems')
  if (Object.keys(schema.definitions ?? {}).length > 0) return no('definitions')
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
  if (Array.isArray(schema.items)) return "OpenAPIV3Schema 'items' must be a schema, but is an array"
  for (const child of partsOf(schema)) {
    const reason = unstructuralReason(child)
    if (reason !== undefined) return reason
  }
  return undefined
}

function partsOf(schema: Schema): readonly Schema[] {
  const items = itemsOf(schema)
  const additional = additionalOf(schema)
  return [
    ...(schema.not === undefined ? [] : [schema.not]),
    ...(schema.allOf ?? []),
    ...(schema.anyOf ?? []),
    ...(schema.oneOf ?? []),
    ...(items === undefined ? [] : [items]),
    ...Object.values(schema.properties ?? {}),
    ...(additional === undefined ? [] : [additional]),
  ]
}

function invariants(schema: Schema, level: Level, at: string): FieldError[] {
  const errors: FieldError[] = []
  const items = itemsOf(schema)
  if (schema.type === 'array' && items === undefined) errors.push(required(`${at}.items`, 'must be specified'))
  if (items !== undefined) append(errors, invariants(items, 'item', `${at}.items`))
  for (const [name, property] of propertiesOf(schema)) append(errors, invariants(property, 'field', path.key(`${at}.properties`, name)))
  if (hasAdditional(schema)) {
    if (level === 'root') errors.push(forbiddenField(`${at}.additionalProperties`, 'must not be used at the root'))
    const additional = additionalOf(schema)
    if (additional !== undefined) append(errors, invariants(additional, 'field', `${at}.additionalProperties`))
  }
  if (isIntOrString(schema) && preservesUnknown(schema))
    errors.push(invalidValue(`${at}.x-kubernetes-preserve-unknown-fields`, true, 'must be false if x-kubernetes-int-or-string is true'))
  if (isIntOrString(schema) && isEmbedded(schema))
    errors.push(invalidValue(`${at}.x-kubernetes-embedded-resource`, true, 'must be false if x-kubernetes-int-or-string is true'))
  const [first] = schema.allOf ?? []
  errors.push(
    ...valueValidation(schema, at, {
      skipsAnyOf: equalJson(schema.anyOf ?? [], anyOfIntOrString),
      skipsFirstAllOf: first !== undefined && equalJson(first.anyOf ?? [], anyOfIntOrString),
    }),
  )
  append(errors, typeProblems(schema, level, at))
  append(errors, metaProblems(schema, level, at))
  return errors
}

function typeProblems(schema: Schema, level: Level, at: string): FieldError[] {
  const errors: FieldError[] = []
  const { type = '' } = schema
  if (isEmbedded(schema) && type !== 'object') {
    const detail = 'must be object if x-kubernetes-embedded-resource is true'
    errors.push(type === '' ? required(`${at}.type`, detail) : invalidValue(`${at}.type`, type, detail))
  } else if (type === '' && !isIntOrString(schema) && !preservesUnknown(schema)) {
    const where = { root: 'at the root', item: 'for specified array items', field: 'for specified object fields' }[level]
    errors.push(required(`${at}.type`, `must not be empty ${where}`))
  }
  if (isEmbedded(schema) && hasAdditional(schema))
    errors.push(forbiddenField(`${at}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set'))
  if (level === 'root' && type !== '' && type !== 'object') errors.push(invalidValue(`${at}.type`, type, 'must be object at the root'))
  return errors
}

/** Metadata may be restricted in its names only, and kinds are strings. */
function metaProblems(schema: Schema, level: Level, at: string): FieldError[] {
  const errors: FieldError[] = []
  const isChecked = level === 'root' || isEmbedded(schema)
  for (const name of ['kind', 'apiVersion']) {
    const property = propertyOf(schema, name)
    if (property !== undefined && isChecked && property.type !== 'string')
      errors.push(invalidValue(`${at}.properties[${name}].type`, property.type ?? '', 'must be string'))
  }
  const metadata = propertyOf(schema, 'metadata')
  if (metadata !== undefined) {
    const field = `${at}.properties[metadata]`
    if (isChecked && metadata.type !== 'object') errors.push(invalidValue(`${field}.type`, metadata.type ?? '', 'must be object'))
    if (level === 'root' && !isNamesOnly(metadata))
      errors.push(forbiddenField(field, 'must not specify anything other than name and generateName, but metadata is implicitly specified'))
  }
  if (isEmbedded(schema) && !preservesUnknown(schema) && Object.keys(schema.properties ?? {}).length === 0)
    errors.push(
      required(
        `${at}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    )
  return errors
}

function isNamesOnly(metadata: Schema): boolean {
  const names = Object.keys(metadata.properties ?? {})
  const restrictsNames = names.every((name) => name === 'name' || name === 'generateName')
  const rest = { ...metadata, type: undefined, default: undefined, properties: restrictsNames ? undefined : metadata.properties }
  return Object.values(rest).every(
    (value) => value === undefined || value === '' || value === false || (Array.isArray(value) && value.length === 0),
  )
}

function valueValidation(
  schema: Schema,
  at: string,
  { skipsAnyOf, skipsFirstAllOf }: { readonly skipsAnyOf: boolean; readonly skipsFirstAllOf: boolean },
): FieldError[] {
  const errors: FieldError[] = []
  if (!skipsAnyOf) for (const [index, part] of (schema.anyOf ?? []).entries()) append(errors, nested(part, `${at}.anyOf[${index}]`))
  for (const [index, part] of (schema.allOf ?? []).entries())
    append(errors, nested(part, `${at}.allOf[${index}]`, skipsFirstAllOf && index === 0))
  for (const [index, part] of (schema.oneOf ?? []).entries()) append(errors, nested(part, `${at}.oneOf[${index}]`))
  if (schema.not !== undefined) append(errors, nested(schema.not, `${at}.not`))
  if (schema.pattern !== undefined && schema.pattern !== '') {
    const problem = patternProblem(schema.pattern)
    if (problem !== undefined)
      errors.push(invalidValue(`${at}.pattern`, schema.pattern, `must be a valid regular expression, but isn't: ${problem}`))
  }
  return errors
}

/** What is wrong with a regular expression of Go; undefined for a good one. */
export function patternProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Below `allOf` and its like values are only restricted, never described. */
function nested(schema: Schema, at: string, skipsAnyOf = false): FieldError[] {
  const errors = valueValidation(schema, at, { skipsAnyOf, skipsFirstAllOf: false })
  const items = itemsOf(schema)
  if (items !== undefined) append(errors, nested(items, `${at}.items`))
  for (const [name, property] of propertiesOf(schema)) append(errors, nested(property, path.key(`${at}.properties`, name)))
  const forbid = (isSet: boolean, name: string, state: string): void => {
    if (isSet) errors.push(forbiddenField(`${at}.${name}`, `must be ${state} to be structural`))
  }
  forbid((schema.type ?? '') !== '', 'type', 'empty')
  forbid(schema.additionalProperties !== undefined && schema.additionalProperties !== false, 'additionalProperties', 'undefined')
  forbid(schema.default !== undefined && schema.default !== null, 'default', 'undefined')
  forbid((schema.title ?? '') !== '', 'title', 'empty')
  forbid((schema.description ?? '') !== '', 'description', 'empty')
  forbid(schema.nullable === true, 'nullable', 'false')
  forbid(preservesUnknown(schema), 'x-kubernetes-preserve-unknown-fields', 'false')
  forbid(isEmbedded(schema), 'x-kubernetes-embedded-resource', 'false')
  forbid(isIntOrString(schema), 'x-kubernetes-int-or-string', 'false')
  forbid((schema['x-kubernetes-list-map-keys'] ?? []).length > 0, 'x-kubernetes-list-map-keys', 'empty')
  forbid(schema['x-kubernetes-list-type'] !== undefined, 'x-kubernetes-list-type', 'undefined')
  forbid(schema['x-kubernetes-map-type'] !== undefined, 'x-kubernetes-map-type', 'undefined')
  forbid((schema['x-kubernetes-validations'] ?? []).length > 0, 'x-kubernetes-validations', 'empty')
  if (own(schema.properties, 'metadata') !== undefined)
    errors.push(forbiddenField(`${at}.properties[metadata]`, 'must not be specified in a nested context'))
  return errors
}

/** Every field that is restricted somewhere must be described. `at` is where it should be, `from` where it is restricted. */
function completeness(schema: Schema, described: Schema | undefined, at: string, from: string): FieldError[] {
  return [
    ...(schema.not === undefined ? [] : nestedCompleteness(schema.not, described, at, `${from}.not`)),
    ...(['allOf', 'anyOf', 'oneOf'] as const).flatMap((name) =>
      (schema[name] ?? []).flatMap((part, index) => nestedCompleteness(part, described, at, `${from}.${name}[${index}]`)),
    ),
  ]
}

function nestedCompleteness(schema: Schema, described: Schema | undefined, at: string, from: string): FieldError[] {
  if (described === undefined) return [required(at, `because it is defined in ${from}`)]
  const errors = completeness(schema, described, at, from)
  const items = itemsOf(schema)
  if (items !== undefined) append(errors, nestedCompleteness(items, itemsOf(described), `${at}.items`, `${from}.items`))
  for (const [name, property] of propertiesOf(schema))
    errors.push(
      ...nestedCompleteness(
        property,
        own(described.properties, name),
        path.key(`${at}.properties`, name),
        path.key(`${from}.properties`, name),
      ),
    )
  return errors
}
