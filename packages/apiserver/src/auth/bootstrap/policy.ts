import type { KubernetesObject } from '@k3s/api'
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject } from '@k3s/api/types/rbac/v1'
import { bindingData } from './bindings.ts'
import { clusterRoleData } from './cluster-roles.ts'
import { controllerRoleData } from './controller-roles.ts'
import { k3sBindingData, k3sRoleData } from './k3s-policy.ts'
import { namespaceRoleData } from './namespace-roles.ts'
import type { BindingData, RoleData, RuleData } from './policy-data.ts'

/** Roles and bindings that every cluster has. */
export interface BootstrapPolicy {
  readonly clusterRoles: readonly ClusterRole[]
  readonly clusterRoleBindings: readonly ClusterRoleBinding[]
  readonly roles: readonly Role[]
  readonly roleBindings: readonly RoleBinding[]
}

const apiGroup = 'rbac.authorization.k8s.io'
const aggregateLabel = (role: string): string => `${apiGroup}/aggregate-to-${role}`
const words = (list: string): string[] => list.split(' ')

function ruleOf(data: RuleData): PolicyRule {
  if (!('length' in data)) return { verbs: words(data.verbs), nonResourceURLs: words(data.paths) }
  const [verbs, groups, resources, names] = data
  return {
    verbs: words(verbs),
    apiGroups: words(groups).map((group) => (group === 'core' ? '' : group)),
    resources: words(resources),
    ...(names === undefined ? {} : { resourceNames: words(names) }),
  }
}

function metadataOf(
  { name, namespace }: { readonly name: string; readonly namespace?: string | undefined },
  labels: Readonly<Record<string, string>> = {},
): KubernetesObject['metadata'] {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
  }
}

function clusterRoleOf(data: RoleData, all: readonly RoleData[]): ClusterRole {
  const labels = Object.fromEntries(
    (data.aggregatesTo === undefined ? [] : words(data.aggregatesTo)).map((role) => [aggregateLabel(role), 'true']),
  )
  const common = { apiVersion: `${apiGroup}/v1`, kind: 'ClusterRole', metadata: metadataOf(data, labels) }
  const { aggregates } = data
  if (aggregates === undefined) return { ...common, rules: data.rules.map(ruleOf) }
  return {
    ...common,
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateLabel(aggregates)]: 'true' } }] },
    rules: aggregated(aggregates, all).map(ruleOf),
  }
}

/** Rules of all roles that say that they belong to `label`, and of those that belong to them. */
function aggregated(label: string, all: readonly RoleData[]): RuleData[] {
  const members = all.filter(({ aggregatesTo }) => aggregatesTo !== undefined && words(aggregatesTo).includes(label))
  return members.flatMap((member) => (member.aggregates === undefined ? [...member.rules] : aggregated(member.aggregates, all)))
}

function subjectOf(text: string): Subject {
  const [kind = '', name = ''] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)]
  if (kind === 'sa') {
    const [namespace = '', account = ''] = name.split('/')
    return { kind: 'ServiceAccount', name: account, namespace }
  }
  return { kind: kind === 'user' ? 'User' : 'Group', name, apiGroup }
}

function bindingOf<K extends 'ClusterRoleBinding' | 'RoleBinding'>(data: BindingData, kind: K) {
  const roleRef: RoleRef = { apiGroup, kind: data.role === undefined ? 'ClusterRole' : 'Role', name: data.role ?? data.clusterRole ?? '' }
  return { apiVersion: `${apiGroup}/v1`, kind, metadata: metadataOf(data), roleRef, subjects: data.subjects.map(subjectOf) }
}

/** Upstream's default policy for 1.36, roles of the controllers included, and what K3s adds. A new copy each time. */
export function bootstrapPolicy(): BootstrapPolicy {
  const roles = [...clusterRoleData, ...controllerRoleData, ...k3sRoleData]
  const controllerBindings = controllerRoleData.map(({ name }) => ({
    name,
    clusterRole: name,
    subjects: [`sa:kube-system/${name.slice('system:controller:'.length)}`],
  }))
  const bindings: readonly BindingData[] = [...bindingData, ...controllerBindings, ...k3sBindingData]
  return {
    clusterRoles: roles.map((role) => clusterRoleOf(role, roles)),
    clusterRoleBindings: bindings.filter(({ namespace }) => namespace === undefined).map((data) => bindingOf(data, 'ClusterRoleBinding')),
    roles: namespaceRoleData.map((data) => ({
      apiVersion: `${apiGroup}/v1`,
      kind: 'Role',
      metadata: metadataOf(data),
      rules: data.rules.map(ruleOf),
    })),
    roleBindings: bindings.filter(({ namespace }) => namespace !== undefined).map((data) => bindingOf(data, 'RoleBinding')),
  }
}
