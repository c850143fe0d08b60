import { RE2JS } from 're2js'
import { EvaluationError } from '../values.ts'

/** A regular expression in Go's syntax, which takes time in proportion to the text. */
export interface Pattern {
  matches(text: string): boolean
  find(text: string): string
  /** At most `limit` matches, or all. */
  findAll(text: string, limit: number): string[]
}

/** Throws EvaluationError for what is no regular expression. */
export function compilePattern(source: string): Pattern {
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
