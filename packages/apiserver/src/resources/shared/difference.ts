import { semanticEqual } from '../../validation/equality.ts'

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * What changed between two values, one line for each side of each changed field: `- containers[0].name: "a"`, `+ containers[0].name: "b"`.
 * Unlike upstream, whose messages carry a dump of Go structs: this is read by people.
 */
export function describeDifference(previous: unknown, current: unknown, path = ''): string {
  if (semanticEqual(previous, current)) return ''
  if (isRecord(previous) && isRecord(current)) {
    const keys = [...new Set([...Object.keys(previous), ...Object.keys(current)])].toSorted()
    return keys.map((key) => describeDifference(previous[key], current[key], path === '' ? key : `${path}.${key}`)).join('')
  }
  if (Array.isArray(previous) && Array.isArray(current) && previous.length === current.length) {
    return previous.map((item, index) => describeDifference(item, current[index], `${path}[${index}]`)).join('')
  }
  const show = (value: unknown): string => JSON.stringify(value) ?? 'absent'
  return `- ${path}: ${show(previous)}\n+ ${path}: ${show(current)}\n`
}
