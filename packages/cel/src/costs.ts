import type { Overload } from './overload.ts'
import { sizeOf, type Value } from './values.ts'

/** cel-go's prices. */
export const costs = { list: 10, map: 30, struct: 40 } as const

/** Of each character of a string that is gone over. */
export const perCharacter = 0.1
/** Of each character of a regular expression. */
export const perPatternCharacter = 0.25

const comparing = new Set([
  'equals',
  'not_equals',
  'less_string',
  'less_equals_string',
  'greater_string',
  'greater_equals_string',
  'less_bytes',
  'less_equals_bytes',
  'greater_bytes',
  'greater_equals_bytes',
])

/** What a call cost, by cel-go's rules where the function has none of its own. */
export function callCost(overload: Overload, args: readonly Value[], result: Value): number {
  if (overload.cost !== undefined) return overload.cost(args, result)
  const size = (index: number): number => {
    const value = args[index]
    return value === undefined ? 1 : sizeOf(value)
  }
  if (comparing.has(overload.id)) return Math.ceil(Math.min(size(0), size(1)) * perCharacter)
  switch (overload.id) {
    case 'starts_with_string':
    case 'ends_with_string':
    case 'string_to_bytes':
    case 'bytes_to_string':
    case 'strings_quote':
    case 'string_format':
      return Math.ceil(size(0) * perCharacter)
    case 'in_list':
      return size(1)
    case 'add_string':
    case 'add_bytes':
      return Math.ceil((size(0) + size(1)) * perCharacter)
    case 'matches_string':
      return Math.ceil((1 + size(0)) * perCharacter) * Math.ceil(size(1) * perPatternCharacter)
    case 'contains_string':
      return Math.ceil(size(0) * perCharacter) * Math.ceil(size(1) * perCharacter)
    default:
      return 1
  }
}

/** Costs of functions by what they go over. */
export const traversal =
  (times = 1) =>
  (args: readonly Value[]): number => {
    const [first] = args
    return Math.ceil((first === undefined ? 1 : sizeOf(first)) * times * perCharacter)
  }

export const one = (): number => 1
