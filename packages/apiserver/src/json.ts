/** A copy of a JSON value that shares nothing with it. Properties that are `undefined` are left out, as encoding would. */
export function copyJson<T>(value: T): T {
  return copy(value) as T // a copy has its original's type
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : copy(item)))
  const result: Record<string, unknown> = {}
  const given = value as Readonly<Record<string, unknown>> // an object that is neither null nor an array
  for (const name in given) {
    const inner = given[name]
    if (inner === undefined) continue
    if (name === '__proto__')
      Object.defineProperty(result, name, { value: copy(inner), enumerable: true, configurable: true, writable: true })
    else result[name] = copy(inner)
  }
  return result
}

/** Whether two JSON values say the same: order of properties does not matter, nor does `undefined` against absent. */
export function equalJson(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false
    return left.every((item, index) => equalJson(item, right[index]))
  }
  // Objects that are neither null nor arrays.
  const lefts = left as Readonly<Record<string, unknown>>
  const rights = right as Readonly<Record<string, unknown>>
  let more = 0
  for (const name in lefts) {
    if (lefts[name] === undefined) continue
    more++
    if (!Object.hasOwn(rights, name) || !equalJson(lefts[name], rights[name])) return false
  }
  for (const name in rights) if (rights[name] !== undefined) more--
  return more === 0
}

/** A JSON object: neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
