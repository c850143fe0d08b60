import type { Violation } from '../src/conformance/recorded.ts'

/** What a run shows: figures, and whether each that has a bound keeps it. */
export class RunReport {
  readonly #rows: { readonly what: string; readonly value: string; readonly bound: string; readonly isKept: boolean }[] = []

  note(what: string, value: string | number): void {
    this.#rows.push({ what, value: String(value), bound: '', isKept: true })
  }

  check(what: string, value: string | number, bound: string, isKept: boolean): void {
    this.#rows.push({ what, value: String(value), bound, isKept })
  }

  /** Counts what went wrong in a history, and tells the first few of each kind. */
  history(violations: readonly Violation[]): void {
    const count = (...problems: readonly string[]): number => violations.filter(({ problem }) => problems.includes(problem)).length
    const [lost, doubled, reordered] = [
      count('lost write', 'lost event'),
      count('doubled write', 'doubled event'),
      count('wrong order', 'reordered event', 'split revision', 'early event'),
    ]
    this.check('lost', lost, '0', lost === 0)
    this.check('doubled', doubled, '0', doubled === 0)
    this.check('reordered', reordered, '0', reordered === 0)
    const others = violations.length - lost - doubled - reordered
    this.check('other violations', others, '0', others === 0)
    for (const { invariant, problem, message } of violations.slice(0, 20)) console.log(`${invariant} ${problem}: ${message}`)
  }

  /** Prints the table; true when every bound is kept. */
  print(title: string): boolean {
    const width = Math.max(...this.#rows.map(({ what }) => what.length))
    console.log(`\n${title}`)
    for (const { what, value, bound, isKept } of this.#rows)
      console.log(`  ${what.padEnd(width)}  ${value}${bound === '' ? '' : `  (${bound})`}${isKept ? '' : '  FAILED'}`)
    return this.#rows.every(({ isKept }) => isKept)
  }
}

/** A part of sorted or unsorted figures, 0 to 1. */
export function quantile(figures: readonly number[], part: number): number {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}
