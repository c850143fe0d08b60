import { isObject, type JsonObject } from '../codec/decode-object.ts'
import type { TypeSchema } from '../schema/table.ts'
import { mergeSchemaOf, type MergeSchema } from './merge-schema.ts'
import { mergeTyped, validateTyped } from './typed.ts'

/**
 * Merges what a policy wants into an object, as server-side apply would, but nobody owns anything: fields that are not named stay. Changes no argument;
 * the result may share parts with them, and is not yet in canonical form (`decodeObject`). Throws an Error, in upstream's words, when the configuration does
 * not fit the schema, or names a list, map or struct that can only be replaced as a whole.
 */
export function mergeConfiguration(live: JsonObject, configuration: JsonObject, declared: TypeSchema | MergeSchema): JsonObject {
  const schema = 'protoFields' in declared ? mergeSchemaOf(declared) : declared
  const errors = validateTyped(configuration, schema)
  if (errors.length > 0) {
    const list = errors.length === 1 ? errors[0] : `errors:\n${errors.map((error) => `  ${error}`).join('\n')}`
    throw new Error(`failed to convert patch object to typed object: ${list}`)
  }
  const atomics = findAtomics(configuration, schema, '')
  if (atomics.length > 0)
    throw new Error(`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`)
  return mergeTyped(live, configuration, schema) as JsonObject // both are objects
}

function findAtomics(value: unknown, schema: MergeSchema, path: string): string[] {
  if (schema.kind === 'map' && isObject(value)) {
    const below = Object.keys(value).flatMap((name) => {
      const inner = schema.field(name)
      return inner === undefined ? [] : findAtomics(value[name], inner, `${path}.${name}`)
    })
    return [...(schema.isAtomic ? [path] : []), ...below]
  }
  if (schema.kind === 'list' && Array.isArray(value)) {
    const below = value.flatMap((item, index) => findAtomics(item, schema.items, `${path}[${index}]`))
    return [...(schema.listType === 'atomic' ? [path] : []), ...below]
  }
  return []
}
