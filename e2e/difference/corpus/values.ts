import type { Json, JsonObject } from '../case.ts'

export type Path = readonly (string | number)[]

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Paths of everything in a value that is no object or list with something in it; `skip` leaves out whole fields at the top. */
export function leavesOf(value: JsonObject, skip: readonly string[] = []): { readonly path: Path; readonly value: Json }[] {
  const walk = (at: Json, path: Path): { path: Path; value: Json }[] => {
    if (Array.isArray(at))
      return at.length === 0 ? [{ path, value: at }] : at.flatMap((item, index) => walk(item as Json, [...path, index]))
    if (isObject(at)) return Object.entries(at).flatMap(([key, inner]) => (inner === undefined ? [] : walk(inner, [...path, key])))
    return [{ path, value: at }]
  }
  return Object.entries(value).flatMap(([key, inner]) => (inner === undefined || skip.includes(key) ? [] : walk(inner, [key])))
}

/** A copy of `value` with another value at a path; undefined takes the field away. Objects on the way are made. */
export function withValue(value: Json | undefined, path: Path, next: Json | undefined): Json {
  const [key, ...rest] = path
  if (key === undefined) return next ?? null
  if (Array.isArray(value)) {
    const items = value as readonly Json[]
    if (rest.length === 0 && next === undefined) return items.filter((_, index) => index !== key)
    return items.map((item, index) => (index === key ? withValue(item, rest, next) : item))
  }
  const object = isObject(value) ? value : {}
  if (rest.length === 0 && next === undefined) return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key))
  return { ...object, [key]: withValue(object[key], rest, next) }
}

/** As a JSON pointer. */
export function pointerOf(path: Path): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
