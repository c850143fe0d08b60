import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterrolebindings,
  clusterroles,
  type PolicyRule,
  type Role,
  type RoleBinding,
  rolebindings,
  roles,
} from '@k3s/api/types/rbac/v1'
import { groupResourceOf, type KubernetesObject, type ResourceType, notFound } from '@k3s/api'
import type { AccessAttributes, Authorizer, UserInfo } from '../auth/auth.ts'
import { mastersGroup } from '../auth/authorizers.ts'
import type { RuleResolver } from '../auth/rbac/rbac-authorizer.ts'
import { compactRules, coveredRules, ruleText } from '../auth/rbac/rules.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { objectOf, oldObjectOf, refusal } from './requests.ts'

const quoted = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(' ')}]`

/** Refuses a rule that its giver does not have. */
function checkCovered(request: AdmissionRequest, resolver: RuleResolver, wanted: readonly PolicyRule[]): void {
  const { user } = request.scope
  const { rules, errors } = resolver.rulesFor(user, request.namespace)
  const missing = compactRules(coveredRules(rules, wanted).missing)
  if (missing.length === 0) return
  const who = `user ${JSON.stringify(user.name)} (groups=${quoted(user.groups)})`
  const resolution = errors.length === 0 ? '' : `; resolution errors: ${quoted(errors)}`
  throw refusal(
    request,
    `${who} is attempting to grant RBAC permissions not currently held:\n${missing.map(ruleText).join('\n')}${resolution}`,
  )
}

async function may(
  authorizer: Authorizer,
  user: UserInfo,
  verb: string,
  type: ResourceType,
  namespace: string,
  name: string,
): Promise<boolean> {
  const attributes: AccessAttributes = {
    user,
    verb,
    name,
    namespace,
    isResource: true,
    group: type.group,
    version: type.version,
    resource: type.resource,
    subresource: '',
    path: '',
  }
  return (await authorizer.authorize(attributes)).decision === 'allow'
}

/** True for changes of metadata that grant nothing. */
const isSame = (now: KubernetesObject, then: KubernetesObject | undefined, ...fields: readonly string[]): boolean => {
  if (then === undefined) return false
  const [a, b] = [new Map(Object.entries(now)), new Map(Object.entries(then))]
  return fields.every((field) => semanticEqual(a.get(field), b.get(field)))
}

/**
 * Keeps users from giving what they do not have: a role's rules, or a role to somebody, must be within the giver's own rules, unless it has the verb
 * `escalate` on the role or `bind` on the role that is given. Unlike upstream, which does this in storage: here it is the last of the validating plugins.
 */
export function rbacEscalation(authorizer: Authorizer, resolver: RuleResolver): AdmissionPlugin {
  return {
    name: 'RbacEscalation',
    validate(request): Promise<void> | undefined {
      const isTrusted = request.scope.user.groups.includes(mastersGroup)
      const givesRights = request.operation === 'CREATE' || request.operation === 'UPDATE'
      return isTrusted || !givesRights ? undefined : check(request, authorizer, resolver)
    },
  }
}

async function check(request: AdmissionRequest, authorizer: Authorizer, resolver: RuleResolver): Promise<void> {
  const { user } = request.scope
  for (const type of [roles, clusterroles] as const) {
    const role: Role | ClusterRole | undefined = objectOf<Role | ClusterRole>(request, type, ['CREATE', 'UPDATE'])
    if (role === undefined) continue
    if (isSame(role, oldObjectOf<Role | ClusterRole>(request, type), 'rules', 'aggregationRule')) return
    if (await may(authorizer, user, 'escalate', type, request.namespace, role.metadata.name)) return
    // An aggregated role can come to hold anything.
    const everything: PolicyRule[] = [
      { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      { verbs: ['*'], nonResourceURLs: ['*'] },
    ]
    const hasAggregation = 'aggregationRule' in role && role.aggregationRule !== undefined
    checkCovered(request, resolver, hasAggregation ? everything : (role.rules ?? []))
    return
  }
  for (const type of [rolebindings, clusterrolebindings] as const) {
    const binding: RoleBinding | ClusterRoleBinding | undefined = objectOf<RoleBinding | ClusterRoleBinding>(request, type, [
      'CREATE',
      'UPDATE',
    ])
    if (binding === undefined) continue
    if (isSame(binding, oldObjectOf<RoleBinding | ClusterRoleBinding>(request, type), 'subjects', 'roleRef')) return
    const given: ResourceType = binding.roleRef.kind === 'Role' ? roles : clusterroles
    if (await may(authorizer, user, 'bind', given, binding.roleRef.kind === 'Role' ? request.namespace : '', binding.roleRef.name)) return
    if (
      groupResourceOf(type) === groupResourceOf(rolebindings) &&
      (await may(authorizer, user, 'bind', given, request.namespace, binding.roleRef.name))
    )
      return
    const rules = resolver.rulesOfRole(binding.roleRef, request.namespace)
    if (rules === undefined) throw notFound(given, binding.roleRef.name)
    checkCovered(request, resolver, rules)
    return
  }
}
