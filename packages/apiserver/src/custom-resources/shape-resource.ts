import { coerceResource, type CoerceOptions } from './coerce.ts'
import { applyDefaults } from './schema/defaults.ts'
import type { JsonMap, Schema } from './schema/schema.ts'

/** Schemas by version; their defaults are pruned. */
export type Schemas = ReadonlyMap<string, Schema | undefined>

/**
 * Brings an object into the form of a version's schema, in place; one that was stored gets its defaults, too. In a version that is not defined any more
 * what was stored is left alone. Throws BadRequest.
 */
export function shapeResource(
  object: JsonMap,
  schemas: Schemas,
  { version, isStored }: CoerceOptions & { readonly version: string },
): void {
  if (isStored && !schemas.has(version)) return
  const schema = schemas.get(version)
  coerceResource(object, schema, { isStored })
  if (isStored) applyDefaults(object, schema)
}
