import { append } from '@k3s/lifecycle'
import type { FieldError } from '../../registry/strategy.ts'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import { validFieldPath } from '../schema/json-path.ts'
import { additionalOf, isEmbedded, itemsOf, metaFields, own, path, propertiesOf, type Schema } from '../schema/schema.ts'
import { unstructuralReason } from '../schema/structural.ts'
import type { RuleScope } from './rule-scope.ts'

/** What of the rules is asked for: an update does not refuse what was accepted before. */
export interface SchemaRuleOptions {
  readonly requiresValidTypes: boolean
  readonly requiresAtomicSets: boolean
  readonly requiresMapKeys: boolean
}

/** Where in the schema a check happens. */
interface Place {
  readonly isRoot: boolean
  /** Why there may be no default here; undefined when there may. */
  readonly noDefault: string | undefined
  readonly isInsideMeta: boolean
  /** The part of the schema around whose old and new values cannot be told which belong together. */
  readonly uncorrelatable: string | undefined
}

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string']

/** Problems of a schema by OpenAPI's and Kubernetes' rules. Expressions are compiled only where the schema itself is in order. */
export function validateSchemaRules(schema: Schema, at: string, options: SchemaRuleOptions, rules: RuleScope | undefined): FieldError[] {
  const place: Place = { isRoot: true, noDefault: undefined, isInsideMeta: false, uncorrelatable: undefined }
  const found = check(schema, at, place, options, rules)
  return [...found.schema, ...found.rules]
}

interface Found {
  readonly schema: FieldError[]
  readonly rules: FieldError[]
}

function check(schema: Schema, at: string, place: Place, options: SchemaRuleOptions, rules: RuleScope | undefined): Found {
  const found: Found = { schema: [], rules: [] }
  const errors = found.schema
  const into = (inner: Found): void => {
    append(errors, inner.schema)
    append(found.rules, inner.rules)
  }
  const inside: Place = { ...place, isRoot: false }
  append(errors, unsupported(schema, at, place, options))
  if (schema.uniqueItems === true)
    errors.push(forbiddenField(`${at}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'))
  if (schema.additionalProperties !== undefined) {
    if (Object.keys(schema.properties ?? {}).length > 0 && schema.additionalProperties !== true)
      errors.push(forbiddenField(`${at}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'))
    const additional = additionalOf(schema)
    const below = place.isInsideMeta
      ? { ...inside, noDefault: 'must not be set inside additionalProperties applying to object metadata' }
      : inside
    if (additional !== undefined) into(check(additional, `${at}.additionalProperties`, below, options, rules?.additional(additional)))
  }
  const isCorrelatable = [undefined, 'granular', 'atomic'].includes(schema['x-kubernetes-map-type'])
  for (const [name, property] of propertiesOf(schema)) {
    const isMeta = (place.isRoot || isEmbedded(schema)) && metaFields.has(name)
    const below: Place = {
      isRoot: false,
      noDefault: isMeta && place.isRoot ? `must not be set in top-level ${name}` : place.noDefault,
      isInsideMeta: place.isInsideMeta || isMeta,
      uncorrelatable: place.uncorrelatable ?? (isCorrelatable ? undefined : at),
    }
    into(check(property, path.key(`${at}.properties`, name), below, options, rules?.property(name, property)))
  }
  if (schema.not !== undefined) into(check(schema.not, `${at}.not`, inside, options, undefined))
  for (const name of ['allOf', 'oneOf', 'anyOf'] as const)
    for (const [index, part] of (schema[name] ?? []).entries()) into(check(part, `${at}.${name}[${index}]`, inside, options, undefined))
  for (const [name, part] of Object.entries(schema.definitions ?? {}))
    into(check(part, path.key(`${at}.definitions`, name), inside, options, undefined))
  const items = itemsOf(schema)
  if (items !== undefined) {
    const below = {
      ...inside,
      uncorrelatable: place.uncorrelatable ?? (schema['x-kubernetes-list-type'] === 'map' ? undefined : at),
    }
    into(check(items, `${at}.items`, below, options, rules?.items(items)))
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    errors.push(invalidValue(`${at}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'))
  append(errors, mapTypeProblems(schema, at), listTypeProblems(schema, at, options))
  append(errors, ruleTextProblems(schema, at))
  if (errors.length === 0 && rules !== undefined) append(found.rules, rules.check(schema, at, place.uncorrelatable))
  return found
}

function unsupported(schema: Schema, at: string, place: Place, options: SchemaRuleOptions): FieldError[] {
  const errors: FieldError[] = []
  const { type = '' } = schema
  if (options.requiresValidTypes && type !== '' && !types.includes(type)) errors.push(notSupported(`${at}.type`, type, types))
  if (schema.default !== undefined && schema.default !== null && place.noDefault !== undefined)
    errors.push(forbiddenField(`${at}.default`, place.noDefault))
  const refuse = (isSet: boolean, name: string): void => {
    if (isSet) errors.push(forbiddenField(`${at}.${name}`, `${name} is not supported`))
  }
  refuse((schema.id ?? '') !== '', 'id')
  refuse(schema.additionalItems !== undefined, 'additionalItems')
  refuse(Object.keys(schema.patternProperties ?? {}).length > 0, 'patternProperties')
  refuse(Object.keys(schema.definitions ?? {}).length > 0, 'definitions')
  refuse(schema.dependencies !== undefined, 'dependencies')
  refuse(schema.$ref !== undefined, '$ref')
  if (type === 'null') errors.push(forbiddenField(`${at}.type`, 'type cannot be set to null, use nullable as an alternative'))
  if (Array.isArray(schema.items)) errors.push(forbiddenField(`${at}.items`, 'items must be a schema object and not an array'))
  if (place.isInsideMeta && isEmbedded(schema))
    errors.push(forbiddenField(`${at}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta'))
  return errors
}

function mapTypeProblems(schema: Schema, at: string): FieldError[] {
  const mapType = schema['x-kubernetes-map-type']
  if (mapType === undefined) return []
  const errors = typeMustBe(schema, at, 'object', 'x-kubernetes-map-type')
  if (mapType !== 'atomic' && mapType !== 'granular')
    errors.push(notSupported(`${at}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']))
  return errors
}

function typeMustBe({ type = '' }: Schema, at: string, wanted: string, because: string): FieldError[] {
  if (type === wanted) return []
  const detail = `must be ${wanted} if ${because} is specified`
  return [type === '' ? required(`${at}.type`, detail) : invalidValue(`${at}.type`, type, detail)]
}

function listTypeProblems(schema: Schema, at: string, options: SchemaRuleOptions): FieldError[] {
  const errors: FieldError[] = []
  const listType = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  const items = itemsOf(schema)
  if (listType !== undefined) {
    const wrong = typeMustBe(schema, at, 'array', 'x-kubernetes-list-type')
    append(errors, wrong)
    if (wrong.length === 0 && options.requiresAtomicSets && listType === 'set' && items !== undefined)
      append(errors, setItemProblems(items, at))
    if (!['atomic', 'set', 'map'].includes(listType))
      errors.push(notSupported(`${at}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']))
  }
  if (keys.length > 0 && listType !== 'map') {
    const detail = 'must be map if x-kubernetes-list-map-keys is non-empty'
    const field = `${at}.x-kubernetes-list-type`
    errors.push(listType === undefined ? required(field, detail) : invalidValue(field, listType, detail))
  }
  if (listType === 'map') append(errors, listMapProblems(schema, keys, at))
  if (options.requiresMapKeys) append(errors, itemProblems(schema, at))
  return errors
}

/** Items of a set are owned as a whole. */
export function setItemProblems(items: Schema, at: string): FieldError[] {
  const inner = items['x-kubernetes-list-type']
  const map = items['x-kubernetes-map-type']
  const detail = 'must be atomic as item of a list with x-kubernetes-list-type=set'
  if (items.type === 'array' && inner !== undefined && inner !== 'atomic')
    return [invalidValue(`${at}.items.x-kubernetes-list-type`, inner, detail)]
  if (items.type === 'object' && map !== 'atomic') return [invalidValue(`${at}.items.x-kubernetes-map-type`, inner ?? null, detail)]
  return []
}

function listMapProblems(schema: Schema, keys: readonly string[], at: string): FieldError[] {
  const errors: FieldError[] = []
  const { items } = schema
  if (keys.length === 0) errors.push(required(`${at}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'))
  if (items === undefined) errors.push(required(`${at}.items`, 'must have a schema if x-kubernetes-list-type is map'))
  else if (Array.isArray(items))
    errors.push(invalidValue(`${at}.items`, items, 'must only have a single schema if x-kubernetes-list-type is map'))
  else if (items.type !== 'object')
    errors.push(invalidValue(`${at}.items.type`, items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map"))
  else {
    for (const [index, key] of keys.entries()) {
      const property = own(items.properties, key)
      if (property === undefined)
        errors.push(invalidValue(`${at}.x-kubernetes-list-map-keys`, keys, 'entries must all be names of item properties'))
      else if (property.type === 'array' || property.type === 'object')
        errors.push(
          invalidValue(
            `${path.key(`${at}.items.properties`, key)}.type`,
            items.type,
            "must be a scalar type if parent array's x-kubernetes-list-type is map",
          ),
        )
      if (keys.indexOf(key) < index)
        errors.push(invalidValue(`${at}.x-kubernetes-list-map-keys`, keys, 'must not contain duplicate entries'))
    }
  }
  return errors
}

/** Items of sets and maps are never null, and keys always have a value. */
export function itemProblems(schema: Schema, at: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type']
  const items = itemsOf(schema)
  if (items === undefined || (listType !== 'set' && listType !== 'map')) return []
  const errors: FieldError[] = []
  if (items.nullable === true)
    errors.push(forbiddenField(`${at}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`))
  if (listType !== 'map') return errors
  for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
    const property = own(items.properties, key)
    if (property === undefined) continue
    const field = path.key(`${at}.items.properties`, key)
    if (!(items.required ?? []).includes(key) && (property.default === undefined || property.default === null))
      errors.push(
        required(`${field}.default`, 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'),
      )
    if (property.nullable === true)
      errors.push(forbiddenField(`${field}.nullable`, 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'))
  }
  return errors
}

const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']
const hasNewlines = (text: string): boolean => /[\n\r]/.test(text)

/** What is wrong with rules without compiling them. */
function ruleTextProblems(schema: Schema, at: string): FieldError[] {
  return (schema['x-kubernetes-validations'] ?? []).flatMap((rule, index) => {
    const errors: FieldError[] = []
    const field = `${at}.x-kubernetes-validations[${index}]`
    const { message = '', messageExpression = '', fieldPath = '', reason } = rule
    const text = (rule.rule ?? '').trim()
    if (text === '') errors.push(required(`${field}.rule`, 'rule is not specified'))
    else if (message !== '' && message.trim() === '')
      errors.push(invalidValue(`${field}.message`, message, 'must be non-empty if specified'))
    else if (hasNewlines(message.trim())) errors.push(invalidValue(`${field}.message`, message, 'must not contain line breaks'))
    else if (hasNewlines(text) && message.trim() === '')
      errors.push(required(`${field}.message`, 'message must be specified if rule contains line breaks'))
    if (messageExpression !== '' && messageExpression.trim() === '')
      errors.push(required(`${field}.messageExpression`, 'messageExpression must be non-empty if specified'))
    if (reason !== undefined && !reasons.includes(reason)) errors.push(notSupported(`${field}.reason`, reason, reasons))
    if (fieldPath !== '') {
      if (fieldPath.trim() === '') errors.push(invalidValue(`${field}.fieldPath`, fieldPath, 'must be non-empty if specified'))
      if (hasNewlines(fieldPath)) errors.push(invalidValue(`${field}.fieldPath`, fieldPath, 'must not contain line breaks'))
      if (unstructuralReason(schema) === undefined && typeof validFieldPath(fieldPath, schema, { allowsBrackets: true }) === 'string')
        errors.push(invalidValue(`${field}.fieldPath`, fieldPath, 'must be a valid path'))
    }
    return errors
  })
}
