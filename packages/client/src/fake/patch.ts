import { badRequest, invalid } from '@k3s/api'

/** An object of JSON; what its fields hold is looked at where it matters. */
export interface JsonObject {
  readonly [key: string]: unknown
}

export const isJsonObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a list of objects is merged by in a strategic patch; other lists are replaced. */
const mergeKeys: Readonly<Record<string, string>> = {
  conditions: 'type',
  addresses: 'type',
  containers: 'name',
  initContainers: 'name',
  volumes: 'name',
  env: 'name',
  imagePullSecrets: 'name',
  secrets: 'name',
  ownerReferences: 'uid',
  volumeMounts: 'mountPath',
  topologySpreadConstraints: 'topologyKey',
}
const setLists: readonly string[] = ['finalizers', 'podCIDRs']

/** Applies a patch of the given content type. */
export function applyPatch(target: JsonObject, patch: unknown, contentType: string): JsonObject {
  if (contentType.startsWith('application/json-patch+json')) {
    if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations')
    return asObject(patch.reduce<unknown>(applyOperation, target))
  }
  if (!isJsonObject(patch)) throw badRequest('a patch is an object')
  return asObject(mergePatch(target, patch, contentType.startsWith('application/strategic-merge-patch+json')))
}

function asObject(value: unknown): JsonObject {
  if (!isJsonObject(value)) throw badRequest('a patched object is an object')
  return value
}

/** JSON merge patch (RFC 7386); strategic ones also merge the lists that have a merge key. */
export function mergePatch(target: unknown, patch: unknown, strategic: boolean): unknown {
  if (!isJsonObject(patch)) return patch
  const merged: Record<string, unknown> = isJsonObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (strategic && key.startsWith('$')) continue
    if (value === null || value === undefined) delete merged[key]
    else if (strategic && Array.isArray(value)) merged[key] = mergeLists(key, merged[key], value, patch)
    else merged[key] = mergePatch(merged[key], value, strategic)
  }
  return merged
}

function mergeLists(field: string, target: unknown, patch: readonly unknown[], siblings: JsonObject): unknown {
  const current: readonly unknown[] = Array.isArray(target) ? target : []
  if (setLists.includes(field)) {
    const removed = siblings[`$deleteFromPrimitiveList/${field}`]
    return [...new Set([...current, ...patch])].filter((item) => !Array.isArray(removed) || !removed.includes(item))
  }
  const key = mergeKeys[field]
  if (key === undefined) return patch
  const merged = [...current]
  for (const item of patch) {
    if (!isJsonObject(item)) throw badRequest(`items of "${field}" are objects`)
    const index = merged.findIndex((other) => isJsonObject(other) && other[key] === item[key])
    if (item['$patch'] === 'delete') {
      if (index >= 0) merged.splice(index, 1)
    } else if (index < 0) merged.push(mergePatch({}, item, true))
    else merged[index] = mergePatch(merged[index], item, true)
  }
  return merged
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
