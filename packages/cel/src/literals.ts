import { RE2JS } from 're2js'
import type { Expr } from './ast.ts'
import { parseDuration, parseTimestamp } from './functions/time.ts'
import type { Issue } from './issues.ts'

/** Regular expressions, durations and timestamps that stand in an expression as they are must be right. */
export function literalIssues(expr: Expr): Issue[] {
  const issues: Issue[] = []
  visit(expr, (node) => {
    if (node.kind !== 'call') return
    const args = node.target === undefined ? node.args : [node.target, ...node.args]
    const argument = node.name === 'matches' ? args[1] : args.length === 1 ? args[0] : undefined
    if (argument?.kind !== 'constant' || typeof argument.value !== 'string') return
    const problem = literalProblem(node.name, argument.value)
    if (problem !== undefined) issues.push({ offset: argument.offset, message: problem })
  })
  return issues
}

function literalProblem(name: string, text: string): string | undefined {
  try {
    if (name === 'matches') RE2JS.compile(text)
    else if (name === 'duration') parseDuration(text)
    else if (name === 'timestamp') parseTimestamp(text)
    return undefined
  } catch {
    const what = name === 'matches' ? 'matches' : name
    return `invalid ${what} argument`
  }
}

/** Calls `look` for every node, outer ones first. */
export function visit(expr: Expr, look: (node: Expr) => void): void {
  look(expr)
  for (const child of childrenOf(expr)) visit(child, look)
}

function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'constant':
    case 'ident':
      return []
    case 'select':
      return [expr.operand]
    case 'call':
      return expr.target === undefined ? expr.args : [expr.target, ...expr.args]
    case 'list':
      return expr.items.map(({ value }) => value)
    case 'map':
      return expr.entries.flatMap(({ key, value }) => [key, value])
    case 'struct':
      return expr.fields.map(({ value }) => value)
    case 'fold':
      return [expr.range, expr.initial, expr.condition, expr.step, expr.result]
  }
}
