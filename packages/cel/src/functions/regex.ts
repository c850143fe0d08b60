import { RE2JS } from 're2js'
import { overload, type Overload } from '../overload.ts'
import { EvaluationError, type Value } from '../values.ts'
import { asString } from './arguments.ts'

/** A regular expression in Go's syntax, which takes time in proportion to the text. */
export interface Pattern {
  matches(text: string): boolean
  find(text: string): string
  /** At most `limit` matches, or all. */
  findAll(text: string, limit: number): string[]
}

/** Throws EvaluationError for what is no regular expression. */
function compilePattern(source: string): Pattern {
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(source)
  } catch (error) {
    throw new EvaluationError(`Illegal regex: ${error instanceof Error ? error.message : String(error)}`)
  }
  return {
    matches: (text) => compiled.matcher(text).find(),
    find(text) {
      const matcher = compiled.matcher(text)
      return matcher.find() ? (matcher.group() ?? '') : ''
    },
    findAll(text, limit) {
      const found: string[] = []
      const matcher = compiled.matcher(text)
      while (found.length !== limit && matcher.find()) found.push(matcher.group() ?? '')
      return found
    },
  }
}

/** Declares an overload whose first argument is a text and whose second is a regular expression. */
export function patternOverload(
  signature: string,
  run: (pattern: Pattern, text: string, third: Value | undefined) => Value,
  cost?: (args: readonly Value[], result: Value) => number,
): Overload {
  const call = (pattern: Pattern, [text, , third]: readonly Value[]): Value => run(pattern, asString(text), third)
  return {
    ...overload(signature, (...args) => call(compilePattern(asString(args[1])), args), cost),
    withPattern(source) {
      const pattern = compilePattern(source)
      return (args) => call(pattern, args)
    },
  }
}
