import { isObject, setKey, type JsonObject } from '../codec/decode-object.ts'

/**
 * Applies an RFC 7386 merge patch: objects merge, null removes, everything else replaces. Returns a new value; parts that the patch does
 * not touch are shared with `target`, parts that it brings with `patch`.
 */
export function jsonMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: JsonObject = isObject(target) ? { ...target } : {}
  for (const key of Object.keys(patch)) {
    const value = patch[key]
    if (value === null) delete result[key]
    else setKey(result, key, jsonMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value))
  }
  return result
}
