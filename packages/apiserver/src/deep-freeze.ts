/** Freezes a JSON value and everything in it, and returns it. Stops at what is frozen already. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const name in value) if (typeof value[name] === 'object') deepFreeze(value[name])
  return value
}
