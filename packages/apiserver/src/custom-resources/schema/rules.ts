import type { FieldError } from '../../registry/strategy.ts'
import type { Correlation } from './correlation.ts'
import type { Schema } from './schema.ts'

export interface RuleRun {
  readonly at?: string | undefined
  readonly previous?: unknown
  readonly correlation?: Correlation | undefined
}
export class RuleValidator {
  static of(_schema: Schema, _options: { readonly isRoot: boolean }): RuleValidator | undefined {
    return undefined
  }
  validate(_value: unknown, _run: RuleRun): { readonly errors: FieldError[]; readonly warnings: string[] } {
    return { errors: [], warnings: [] }
  }
}
