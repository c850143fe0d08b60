/** A rule in short: verbs, groups, resources and, where given, names; each a list separated by spaces. `core` is the empty group. */
export type RuleData =
  | readonly [verbs: string, groups: string, resources: string, names?: string]
  | { readonly verbs: string; readonly paths: string }

export interface RoleData {
  readonly name: string
  /** Present for roles in a namespace. */
  readonly namespace?: string | undefined
  /** Roles that take in this one's rules. */
  readonly aggregatesTo?: string | undefined
  /** The label with which others say that their rules belong here. */
  readonly aggregates?: string | undefined
  readonly rules: readonly RuleData[]
}

export interface BindingData {
  readonly name: string
  readonly namespace?: string | undefined
  readonly role?: string | undefined
  readonly clusterRole?: string | undefined
  /** `user:NAME`, `group:NAME` or `sa:NAMESPACE/NAME`. */
  readonly subjects: readonly string[]
}
