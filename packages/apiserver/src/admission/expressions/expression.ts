import { CompileError, formatType, type CelType, type Environment, type Program } from '@k3s/cel'

/** An expression, and what became of it when it was compiled. */
export interface Expression {
  readonly source: string
  /** Undefined when there is a problem. */
  readonly program: Program | undefined
  /** Why it cannot run, in upstream's words. */
  readonly problem: string | undefined
}

/** Compiles an expression of one of these types; of any type when none is given. Never throws. */
export function compileExpression(environment: Environment, source: string, returns: readonly CelType[] = []): Expression {
  try {
    const program = environment.compile(source)
    const found = formatType(program.type)
    const wanted = returns.map(formatType)
    if (wanted.length === 0 || wanted.includes(found)) return { source, program, problem: undefined }
    const what = wanted.length === 1 ? (wanted[0] ?? '') : `one of [${wanted.join(' ')}]`
    return { source, program: undefined, problem: `must evaluate to ${what} but got ${found}` }
  } catch (error) {
    if (error instanceof CompileError) return { source, program: undefined, problem: `compilation failed: ${error.message}` }
    throw error
  }
}
