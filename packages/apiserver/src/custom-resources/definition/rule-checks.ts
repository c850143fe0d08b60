import type { Schema } from '../schema/schema.ts'
import type { RuleScope } from './rule-scope.ts'

export function ruleScope(_schema: Schema, _options: { readonly ignoresCostOfOne: boolean }): RuleScope | undefined {
  return undefined
}
