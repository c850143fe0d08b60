import { copyJson, equalJson, isObject } from '../../json.ts'
import { coerceMetadata } from './object-meta.ts'
import { prune } from './prune.ts'
import { additionalOf, hasAdditional, itemsOf, own, propertiesOf, setOwn, type JsonMap, type Schema } from './schema.ts'

/** Fills defaults in place: where a value is missing, or null and may not be. Defaults of missing parents do not count. */
export function applyDefaults(value: unknown, schema: Schema | undefined): void {
  if (schema === undefined) return
  if (Array.isArray(value)) {
    const items = itemsOf(schema)
    for (const [index, item] of value.entries()) {
      if (isForbiddenNull(item, items)) value[index] = copyJson(items?.default ?? null)
      applyDefaults(value[index], items)
    }
    return
  }
  if (!isObject(value)) return
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.default === undefined || property.default === null) continue
    if (!Object.hasOwn(value, name) || value[name] === undefined || isForbiddenNull(value[name], property))
      setOwn(value, name, copyJson(property.default))
  }
  for (const name of Object.keys(value)) {
    const property = own(schema.properties, name)
    if (property !== undefined) applyDefaults(value[name], property)
    else if (hasAdditional(schema)) {
      const additional = additionalOf(schema)
      if (isForbiddenNull(value[name], additional)) setOwn(value, name, copyJson(additional?.default ?? null))
      applyDefaults(value[name], additional)
    }
  }
}

const isForbiddenNull = (value: unknown, schema: Schema | undefined): boolean =>
  value === null && schema !== undefined && schema.nullable !== true

/** Builds an object around a value, and finds the value in it again. */
interface Surrounding {
  around(value: unknown): unknown
  find(object: unknown): unknown
}

const root: Surrounding = { around: (value) => value, find: (object) => object }
const inField = (outer: Surrounding, name: string): Surrounding => ({
  around: (value) => {
    const map: JsonMap = {}
    setOwn(map, name, value)
    return outer.around(map)
  },
  find: (object) => {
    const map = outer.find(object)
    return isObject(map) ? own(map, name) : undefined
  },
})
const inList = (outer: Surrounding): Surrounding => ({
  around: (value) => outer.around([value]),
  find: (object) => {
    const list = outer.find(object)
    return Array.isArray(list) ? (list[0] as unknown) : undefined
  },
})

/** The schema with its defaults pruned by the schema itself, so that a default never brings what a client could not send. The schema itself when nothing changes. */
export function withPrunedDefaults(schema: Schema): Schema {
  return pruneDefaultsAt(schema, schema, root)
}

function pruneDefaultsAt(schema: Schema, rootSchema: Schema, where: Surrounding): Schema {
  const changed: { -readonly [K in keyof Schema]?: Schema[K] } = {}
  if (schema.default !== undefined && schema.default !== null) {
    const object = where.around(copyJson(schema.default))
    if (isObject(object)) {
      coerceMetadata(object, rootSchema, { isRoot: true, dropInvalid: true })
      prune(object, rootSchema, { isRoot: true })
      const pruned = where.find(object)
      if (!equalJson(pruned, schema.default)) changed.default = pruned
    }
  }
  const additional = additionalOf(schema)
  if (additional !== undefined) {
    const pruned = pruneDefaultsAt(additional, rootSchema, inField(where, '*'))
    if (pruned !== additional) changed.additionalProperties = pruned
  }
  const items = itemsOf(schema)
  if (items !== undefined) {
    const pruned = pruneDefaultsAt(items, rootSchema, inList(where))
    if (pruned !== items) changed.items = pruned
  }
  const properties = propertiesOf(schema)
  const prunedProperties = properties.map(
    ([name, property]) => [name, pruneDefaultsAt(property, rootSchema, inField(where, name))] as const,
  )
  if (prunedProperties.some(([, property], index) => property !== properties[index]?.[1]))
    changed.properties = Object.fromEntries(prunedProperties)
  return Object.keys(changed).length === 0 ? schema : { ...schema, ...changed }
}
