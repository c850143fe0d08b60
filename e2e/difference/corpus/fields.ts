import { schemaOf, type FieldSchema, type TypeSchema } from '@k3s/api'
import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'
import { collectionOf, nameOf, objectOf, samples, slugOf, type Sample } from './samples.ts'
import { leavesOf, pointerOf, withValue, type Path } from './values.ts'

// Of any one kind; more say nothing new.
const maxLeaves = 14
const maxSchemaFields = 45

const wrongTypeOf = (value: Json): Json => (typeof value === 'string' ? { not: 'text' } : 'text')
const badValueOf = (value: Json): Json => (typeof value === 'number' ? -1 : typeof value === 'string' ? 'Bad Value!' : null)
const otherValueOf = (value: Json): Json => (typeof value === 'number' ? value + 1 : typeof value === 'boolean' ? !value : 'other')

/** Every field of a sample: absent, of a wrong type, with a bad value, emptied, and changed in an object that exists. */
function fieldsOf(of: Sample): Case {
  const collection = collectionOf(of)
  const name = nameOf(of, 'f')
  const object = objectOf(of, name)
  const dry = `${collection}?dryRun=All`
  const built = new CaseBuilder(`fields-${slugOf(of)}`)
  if (of.isWatched !== true) built.post(collection, object, 'create')
  for (const { path, value } of leavesOf(object, ['apiVersion', 'kind', 'metadata']).slice(0, maxLeaves)) {
    const label = path.join('.')
    const at = (next: Json | undefined): Json => withValue(object, path, next)
    built
      .post(dry, at(undefined), `${label} absent`)
      .post(dry, at(wrongTypeOf(value)), `${label} of a wrong type`)
      .post(dry, at(badValueOf(value)), `${label} bad`)
    if (of.isWatched !== true)
      built.patch(
        `${collection}/${name}?dryRun=All`,
        'json',
        [{ op: 'replace', path: pointerOf(path), value: otherValueOf(value) }],
        `${label} changed`,
      )
    if (typeof value === 'string') built.post(dry, at(''), `${label} empty`)
  }
  if (of.isWatched !== true) built.delete(`${collection}/${name}`, undefined, 'delete')
  return built.build()
}

/** A value that looks right for a field of the schema, by its kind alone. */
function valuesFor({ value, enum: words }: FieldSchema): readonly Json[] {
  switch (value.kind) {
    case 'string':
      return words === undefined ? ['some-value'] : ['Wrong', words[0] ?? '']
    case 'int32':
    case 'int64':
      return [7, -7]
    case 'bool':
      return [true]
    case 'intOrString':
      return [3, '30%', 'text']
    case 'quantity':
      return ['5', '-5', 'much']
    case 'list':
      return value.items.kind === 'string' ? [['some', 'Bad Value!']] : [[{}]]
    case 'map':
      return value.values.kind === 'string' ? [{ key: 'value', 'bad key': '' }] : []
    case 'ref':
      return [{}]
    default:
      return ['text']
  }
}

/** Fields of a type and of the types below it, to a depth. */
function schemaFields(type: TypeSchema, depth: number, path: Path = []): { readonly path: Path; readonly field: FieldSchema }[] {
  return type.fields.flatMap((field) => {
    const at = [...path, field.name]
    const below = field.value.kind === 'ref' && depth > 1 ? schemaFields(field.value.type, depth - 1, at) : []
    return [{ path: at, field }, ...below]
  })
}

/** Every field that the schema has and the sample has not. */
function schemaOfKind(of: Sample): Case {
  const collection = collectionOf(of)
  const object = objectOf(of, nameOf(of, 'f'))
  const dry = `${collection}?dryRun=All`
  const schema = schemaOf(of.group === '' ? of.version : `${of.group}/${of.version}`, of.kind)
  const built = new CaseBuilder(`schema-${slugOf(of)}`)
  const heads = new Set(['apiVersion', 'kind', 'metadata', 'status'])
  const fields = (schema?.fields ?? []).filter(({ name }) => !heads.has(name))
  const all = fields.flatMap((field) => [
    { path: [field.name], field },
    ...(field.name === 'spec' && field.value.kind === 'ref' ? schemaFields(field.value.type, 1, ['spec']) : []),
  ])
  const has = (path: Path): boolean =>
    path.reduce<Json | undefined>((at, key) => (at as JsonObject | undefined)?.[key], object) !== undefined
  for (const { path, field } of all.filter(({ path }) => !has(path)).slice(0, maxSchemaFields)) {
    for (const value of valuesFor(field)) built.post(dry, withValue(object, path, value), `${path.join('.')} ${JSON.stringify(value)}`)
  }
  return built.build()
}

export const fields: Area = { name: 'fields', cases: samples.map(fieldsOf) }
export const schemas: Area = { name: 'schemas', cases: samples.map(schemaOfKind).filter(({ steps }) => steps.length > 0) }
