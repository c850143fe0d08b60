import { badRequest, invalid, jsonMergePatch, schemaOf, strategicMergePatch } from '@k3s/api'
import type { FakeObject } from './fake-api-server.ts'

/** An object of JSON; what its fields hold is looked at where it matters. */
export interface JsonObject {
  readonly [key: string]: unknown
}

export const isJsonObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Applies a patch of the given content type. Strategic patches of kinds without a schema are merged as JSON. Unlike upstream, an apply is a
 * strategic merge that owns nothing: fields that a manager stops to send stay.
 */
export function applyPatch(target: FakeObject, patch: unknown, contentType: string): unknown {
  if (contentType.startsWith('application/json-patch+json')) {
    if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations')
    return patch.reduce<unknown>(applyOperation, target)
  }
  if (!isJsonObject(patch)) throw badRequest('a patch is an object')
  const schema = contentType.startsWith('application/merge-patch+json') ? undefined : schemaOf(target.apiVersion ?? '', target.kind ?? '')
  return schema === undefined ? jsonMergePatch(target, patch) : strategicMergePatch({ ...target }, { ...patch }, schema)
}

/** One operation of a JSON patch (RFC 6902): add, replace, remove or test. */
function applyOperation(target: unknown, operation: unknown): unknown {
  if (!isJsonObject(operation) || typeof operation['path'] !== 'string') throw badRequest('an operation of a JSON patch has a path')
  const path = operation['path']
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  return change(target, path, operation)
}

function change(target: unknown, [head, ...rest]: readonly string[], operation: JsonObject): unknown {
  const { op, path, value = null } = operation
  const refuse = (): never => {
    throw invalid({ kind: '' }, '', [
      { reason: 'FieldValueInvalid', field: JSON.stringify(path), message: `cannot ${JSON.stringify(op)} at this path` },
    ])
  }
  if (head === undefined) return op === 'test' && JSON.stringify(target) !== JSON.stringify(value) ? refuse() : value
  if (Array.isArray(target)) {
    const list: unknown[] = [...target]
    const index = head === '-' ? list.length : Number(head)
    if (rest.length > 0) list[index] = change(list[index], rest, operation)
    else if (op === 'add') list.splice(index, 0, value)
    else if (op === 'remove' && index < list.length) list.splice(index, 1)
    else if (op === 'replace' && index < list.length) list[index] = value
    else if (op !== 'test' || JSON.stringify(list[index]) !== JSON.stringify(value)) refuse()
    return list
  }
  if (!isJsonObject(target)) return refuse()
  const copy: Record<string, unknown> = { ...target }
  if (rest.length > 0) copy[head] = change(copy[head], rest, operation)
  else if (op === 'add' || (op === 'replace' && head in copy)) copy[head] = value
  else if (op === 'remove' && head in copy) delete copy[head]
  else if (op !== 'test' || JSON.stringify(copy[head]) !== JSON.stringify(value)) refuse()
  return copy
}
