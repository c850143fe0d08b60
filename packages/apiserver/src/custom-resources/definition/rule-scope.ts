import type { FieldError } from '../../registry/strategy.ts'
import type { Schema } from '../schema/schema.ts'

/** Checks the expressions of a schema at one place of it, and knows the way to the places below. */
export interface RuleScope {
  property(name: string, schema: Schema): RuleScope
  items(schema: Schema): RuleScope
  additional(schema: Schema): RuleScope
  /** Problems of the rules of this very schema. `uncorrelatable` is the part in which rules may not use `oldSelf`. */
  check(schema: Schema, at: string, uncorrelatable: string | undefined): FieldError[]
  /** Problems of all rules together, to be asked last. */
  total(at: string): FieldError[]
}
