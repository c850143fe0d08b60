import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterrolebindings,
  clusterroles,
  type PolicyRule,
  type RoleBinding,
  rolebindings,
  roles,
  type RoleRef,
} from '@k3s/api/types/rbac/v1'
import type { ObjectReader } from '../../registry/strategy.ts'
import { selectorMatches } from '../../resources/shared/label-selector.ts'
import type { AccessAttributes, Authorizer, Decision, UserInfo } from '../auth.ts'
import { type Binding, BindingIndex } from './binding-index.ts'
import { ruleAllows } from './rules.ts'

/** Namespaces whose bindings are indexed at a time. */
const maxIndexedNamespaces = 500

/** Says what a user may do, all rules at once. */
export interface RuleResolver {
  /** Rules that apply in a namespace; an empty one means those that apply everywhere. `errors` names roles that are missing. */
  rulesFor(user: UserInfo, namespace: string): { readonly rules: readonly PolicyRule[]; readonly errors: readonly string[] }
  /** Rules of the role that a binding names; undefined when there is no such role. */
  rulesOfRole(ref: RoleRef, namespace: string): readonly PolicyRule[] | undefined
}

/** Role based access control, from the roles and bindings in the server's own cache. Waits for nothing. */
export class RbacAuthorizer implements Authorizer, RuleResolver {
  readonly name = 'RBAC'
  readonly #objects: ObjectReader
  readonly #clusterBindings = new BindingIndex<ClusterRoleBinding>()
  /** The most recently used namespace is last. */
  readonly #bindings = new Map<string, BindingIndex<RoleBinding>>()
  readonly #aggregated = new WeakMap<ClusterRole, { readonly roles: readonly ClusterRole[]; readonly rules: readonly PolicyRule[] }>()

  constructor(objects: ObjectReader) {
    this.#objects = objects
  }

  authorize(attributes: AccessAttributes): Decision {
    const errors: string[] = []
    // Many bindings may give the same role.
    const refused = new Set<readonly PolicyRule[]>()
    for (const { binding, kind, rules } of this.#grants(attributes.user, attributes.isResource ? attributes.namespace : '', errors)) {
      if (refused.has(rules)) continue
      if (!rules.some((rule) => ruleAllows(rule, attributes))) {
        refused.add(rules)
        continue
      }
      const where = binding.metadata.namespace ? `${binding.metadata.name}/${binding.metadata.namespace}` : binding.metadata.name
      return {
        decision: 'allow',
        reason: `RBAC: allowed by ${kind} "${where}" of ${binding.roleRef.kind} "${binding.roleRef.name}" to ${subjectText(binding, attributes.user)}`,
      }
    }
    return {
      decision: 'noOpinion',
      reason: errors.length === 0 ? '' : `RBAC: ${errors.length === 1 ? errors[0] : `[${errors.join(', ')}]`}`,
    }
  }

  rulesFor(user: UserInfo, namespace: string): { readonly rules: readonly PolicyRule[]; readonly errors: readonly string[] } {
    const errors: string[] = []
    return { rules: [...this.#grants(user, namespace, errors)].flatMap(({ rules }) => rules), errors }
  }

  rulesOfRole(ref: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    if (ref.kind === 'Role')
      return this.#objects.get(roles, namespace, ref.name)?.rules ?? (this.#objects.get(roles, namespace, ref.name) && [])
    const role = this.#objects.get(clusterroles, '', ref.name)
    return role === undefined ? undefined : this.#effectiveRules(role)
  }

  *#grants(
    user: UserInfo,
    namespace: string,
    errors: string[],
  ): Generator<{ readonly binding: Binding; readonly kind: string; readonly rules: readonly PolicyRule[] }> {
    this.#clusterBindings.follow(this.#objects.list(clusterrolebindings))
    for (const binding of this.#clusterBindings.of(user)) {
      const rules = this.rulesOfRole(binding.roleRef, '')
      if (rules === undefined) errors.push(`clusterrole.rbac.authorization.k8s.io "${binding.roleRef.name}" not found`)
      else yield { binding, kind: 'ClusterRoleBinding', rules }
    }
    if (namespace === '') return
    for (const binding of this.#namespaceIndex(namespace).of(user)) {
      const rules = this.rulesOfRole(binding.roleRef, namespace)
      if (rules === undefined)
        errors.push(`${binding.roleRef.kind.toLowerCase()}.rbac.authorization.k8s.io "${binding.roleRef.name}" not found`)
      else yield { binding, kind: 'RoleBinding', rules }
    }
  }

  #namespaceIndex(namespace: string): BindingIndex<RoleBinding> {
    const index = this.#bindings.get(namespace) ?? new BindingIndex<RoleBinding>()
    this.#bindings.delete(namespace)
    this.#bindings.set(namespace, index)
    if (this.#bindings.size > maxIndexedNamespaces) {
      const [oldest] = this.#bindings.keys()
      if (oldest !== undefined) this.#bindings.delete(oldest)
    }
    index.follow(this.#objects.list(rolebindings, namespace))
    return index
  }

  /** An aggregated role has the rules of all roles that its selectors choose, whether or not a controller has copied them yet. */
  #effectiveRules(role: ClusterRole): readonly PolicyRule[] {
    const selectors = role.aggregationRule?.clusterRoleSelectors ?? []
    if (selectors.length === 0) return role.rules ?? []
    const all = this.#objects.list(clusterroles)
    const cached = this.#aggregated.get(role)
    if (cached !== undefined) {
      if (cached.roles === all) return cached.rules
      if (cached.roles.length === all.length && cached.roles.every((known, index) => known === all[index])) {
        this.#aggregated.set(role, { roles: all, rules: cached.rules })
        return cached.rules
      }
    }
    const members = all.filter(
      (member) => member !== role && selectors.some((selector) => selectorMatches(selector, member.metadata.labels)),
    )
    const rules = [...(role.rules ?? []), ...members.flatMap((member) => member.rules ?? [])]
    this.#aggregated.set(role, { roles: all, rules })
    return rules
  }
}

function subjectText(binding: Binding, user: UserInfo): string {
  for (const { kind, name, namespace = '' } of binding.subjects ?? []) {
    if (kind === 'Group' && user.groups.includes(name)) return `Group "${name}"`
    if (kind === 'User' && user.name === name) return `User "${name}"`
    const home = namespace || (binding.metadata.namespace ?? '')
    if (kind === 'ServiceAccount' && user.name === `system:serviceaccount:${home}:${name}`) return `ServiceAccount "${name}/${home}"`
  }
  return `User "${user.name}"`
}
