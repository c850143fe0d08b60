import { codePoints } from './values.ts'

/** Something wrong with an expression. */
export interface Issue {
  /** UTF-16 units from the beginning. */
  readonly offset: number
  readonly message: string
}

/** An expression that cannot be compiled; its message is that of cel-go: every issue with its line and a mark below it. */
export class CompileError extends Error {
  override readonly name = 'CompileError'
  readonly issues: readonly Issue[]
  constructor(source: string, issues: readonly Issue[]) {
    super(
      issues
        .toSorted((a, b) => a.offset - b.offset)
        .map((issue) => describe(source, issue))
        .join('\n'),
    )
    this.issues = issues
  }
}

/**
 * ```
 * ERROR: <input>:1:6: undefined field 'x'
 *  | self.x
 *  | .....^
 * ```
 */
function describe(source: string, { offset, message }: Issue): string {
  // There is no place in nothing.
  if (source === '') return `ERROR: <input>:1:0: ${message}`
  const before = source.slice(0, offset)
  const line = before.split('\n').length
  const start = before.lastIndexOf('\n') + 1
  const end = source.indexOf('\n', start)
  const text = source.slice(start, end < 0 ? undefined : end).replaceAll('\t', ' ')
  const column = codePoints(source.slice(start, offset))
  return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${text}\n | ${'.'.repeat(column)}^`
}
