import { clearNulls, schemaOf, type JsonObject } from '@k3s/api'

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Takes the nulls out of an answer that was just parsed, in place, where they stand for nothing: its type says that there is an empty list or map, or no
 * time. Kinds without a schema, such as custom resources, stay as they are.
 */
export function readNulls(body: unknown): unknown {
  if (!isObject(body)) return body
  const { apiVersion, kind } = body
  const schema = typeof apiVersion === 'string' && typeof kind === 'string' ? schemaOf(apiVersion, kind) : undefined
  if (schema !== undefined) clearNulls(body, schema)
  return body
}
