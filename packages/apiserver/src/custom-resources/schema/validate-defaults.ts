import { append } from '@k3s/lifecycle'
import { copyJson, equalJson, isObject } from '../../json.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalidValue } from '../../validation/field-error.ts'
import { RuleValidator } from './rules.ts'
import { coerceMetadata, validateEmbedded } from './object-meta.ts'
import { prune } from './prune.ts'
import { asResourceRoot, isEmbedded, itemsOf, metaFields, path, propertiesOf, setOwn, type JsonMap, type Schema } from './schema.ts'
import { ValueValidator } from './values.ts'

/** Builds the resource around a default inside of its metadata. */
type Around = (value: unknown) => unknown

interface Place {
  readonly root: Schema
  readonly around: Around
  readonly isInsideMeta: boolean
}

const kindOfTests = { apiVersion: 'validation/v1', kind: 'Validation' }
const asResource: Around = (value) => (isObject(value) ? { ...kindOfTests, ...value } : value)

/** Problems of the defaults in a structural schema: they must be what a client could send. */
export function validateDefaults(schema: Schema, at: string, options: { readonly requiresPruned: boolean }): FieldError[] {
  const root = asResourceRoot(schema)
  return validateAt(root, at, { root, around: asResource, isInsideMeta: false }, options)
}

function validateAt(schema: Schema, at: string, outer: Place, options: { readonly requiresPruned: boolean }): FieldError[] {
  const place: Place = isEmbedded(schema) ? { root: schema, around: asResource, isInsideMeta: false } : outer
  const errors: FieldError[] = []
  if (schema.default !== undefined && schema.default !== null)
    append(errors, place.isInsideMeta ? metaDefault(schema, `${at}.default`, place) : ownDefault(schema, `${at}.default`, options))
  // There are no defaults in additional properties.
  const items = itemsOf(schema)
  if (items !== undefined) append(errors, validateAt(items, `${at}.items`, { ...place, around: (value) => place.around([value]) }, options))
  for (const [name, property] of propertiesOf(schema)) {
    const below: Place = {
      ...place,
      around: (value) => {
        const map: JsonMap = {}
        setOwn(map, name, value)
        return place.around(map)
      },
      isInsideMeta: place.isInsideMeta || (isEmbedded(schema) && metaFields.has(name)),
    }
    append(errors, validateAt(property, path.key(`${at}.properties`, name), below, options))
  }
  return errors
}

function metaDefault(schema: Schema, field: string, { root, around }: Place): FieldError[] {
  const object = around(copyJson(schema.default))
  const { problem } = coerceMetadata(object, root, { isRoot: true, dropInvalid: false })
  const invalid = (why: string): FieldError[] => [invalidValue(field, schema.default, `must result in valid metadata: ${why}`)]
  const text = (error: FieldError): string => `${error.field ?? ''}: ${error.message ?? ''}`
  if (problem !== undefined) return invalid(text(problem))
  const problems = validateEmbedded(object, root, { isRoot: true })
  if (problems.length > 0) return invalid(problems.length === 1 ? problems.map(text).join() : `[${problems.map(text).join(', ')}]`)
  return valueProblems(schema, field)
}

function ownDefault(schema: Schema, field: string, { requiresPruned }: { readonly requiresPruned: boolean }): FieldError[] {
  const errors: FieldError[] = []
  if (requiresPruned) {
    const pruned = copyJson(schema.default)
    prune(pruned, schema, { isRoot: isEmbedded(schema) })
    if (!equalJson(pruned, schema.default)) errors.push(invalidValue(field, schema.default, 'must not have unknown fields'))
  }
  const value = copyJson(schema.default)
  const { problem } = coerceMetadata(value, schema, { isRoot: isEmbedded(schema), dropInvalid: false, at: field })
  if (problem !== undefined) return [...errors, problem]
  const problems = validateEmbedded(value, schema, { isRoot: isEmbedded(schema), at: field })
  return [...errors, ...(problems.length > 0 ? problems : valueProblems(schema, field))]
}

function valueProblems(schema: Schema, field: string): FieldError[] {
  const errors = new ValueValidator(schema).validate(schema.default, { at: field })
  if (errors.length > 0) return errors
  const rules = RuleValidator.of(schema, { isRoot: isEmbedded(schema) })
  const asUpdate = rules?.validate(schema.default, { at: field, previous: schema.default }).errors ?? []
  // Rules that look at the old value must hold for a new one, too.
  return asUpdate.length > 0 ? asUpdate : (rules?.validate(schema.default, { at: field }).errors ?? [])
}
