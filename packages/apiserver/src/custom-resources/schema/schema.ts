import type { JSONSchemaProps } from '@k3s/api/types/apiextensions/v1'

/** A schema of a CustomResourceDefinition, as it is stored. Never changed by who reads it. */
export type Schema = Readonly<JSONSchemaProps>

export type JsonMap = Record<string, unknown>

/** An own property: names such as `constructor` are names like all others. */
export function own<T>(map: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, name) ? map[name] : undefined
}

/** Sets an own property, whatever its name. */
export function setOwn(map: JsonMap, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(map, name, { value, enumerable: true, configurable: true, writable: true })
  else map[name] = value
}

export function propertyOf(schema: Schema | undefined, name: string): Schema | undefined {
  return own(schema?.properties, name)
}

/** Properties by name, in the order of their names: errors come in the same order every time. */
export function propertiesOf(schema: Schema): readonly (readonly [string, Schema])[] {
  return Object.entries(schema.properties ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** The schema of items; undefined for none and for the list of schemas that validation refuses. */
export function itemsOf(schema: Schema | undefined): Schema | undefined {
  const items = schema?.items
  return items === undefined || Array.isArray(items) ? undefined : items
}

/** The schema of additional properties when they have one. */
export function additionalOf(schema: Schema | undefined): Schema | undefined {
  const additional = schema?.additionalProperties
  return typeof additional === 'object' ? additional : undefined
}

/** Whether properties that are not named are known: `additionalProperties` is a schema, true or false. */
export function hasAdditional(schema: Schema): boolean {
  return schema.additionalProperties !== undefined
}

export function preservesUnknown(schema: Schema | undefined): boolean {
  return schema?.['x-kubernetes-preserve-unknown-fields'] === true
}

export function isEmbedded(schema: Schema | undefined): boolean {
  return schema?.['x-kubernetes-embedded-resource'] === true
}

export function isIntOrString(schema: Schema | undefined): boolean {
  return schema?.['x-kubernetes-int-or-string'] === true
}

/** The root of a resource knows its metadata whether its schema says so or not. */
export function asResourceRoot(schema: Schema | undefined): Schema {
  return isEmbedded(schema) && schema !== undefined ? schema : { ...schema, 'x-kubernetes-embedded-resource': true }
}

/** Fields that every resource has and no schema needs to name. */
export const metaFields: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata'])

/** True when the schema or one within it, wherever a schema may stand, satisfies `test`. */
export function someSchema(schema: Schema | undefined, test: (schema: Schema) => boolean): boolean {
  return schema !== undefined && (test(schema) || childrenOf(schema).some((child) => someSchema(child, test)))
}

function childrenOf(schema: Schema): readonly Schema[] {
  const { items, additionalProperties, additionalItems, dependencies } = schema
  return [
    ...(items === undefined ? [] : Array.isArray(items) ? items : [items]),
    ...(schema.allOf ?? []),
    ...(schema.anyOf ?? []),
    ...(schema.oneOf ?? []),
    ...(schema.not === undefined ? [] : [schema.not]),
    ...Object.values(schema.properties ?? {}),
    ...(typeof additionalProperties === 'object' ? [additionalProperties] : []),
    ...Object.values(schema.patternProperties ?? {}),
    ...(typeof additionalItems === 'object' ? [additionalItems] : []),
    ...Object.values(schema.definitions ?? {}),
    ...Object.values(dependencies ?? {}).flatMap((dependency) => (Array.isArray(dependency) ? [] : [dependency])),
  ]
}

/** A path like upstream's field.Path: `spec`, `spec.versions[0]`, `properties[name]`. The empty path prints as `<nil>`. */
export const path = {
  child: (parent: string, ...names: readonly string[]): string => [...(parent === '' ? [] : [parent]), ...names].join('.'),
  index: (parent: string, index: number): string => `${parent}[${index}]`,
  key: (parent: string, key: string): string => `${parent}[${key}]`,
  show: (field: string): string => (field === '' ? '<nil>' : field),
}
