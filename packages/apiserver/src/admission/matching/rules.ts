import type { MatchResources, NamedRuleWithOperations, RuleWithOperations } from '@k3s/api/types/admissionregistration/v1'
import type { Attributes } from './attributes.ts'
import { kindOf, type Catalog, type GroupVersionKind, type ResourceName } from './catalog.ts'

/** What a rule matched: the request's own resource, or another version of it. */
export interface Match {
  readonly resource: ResourceName
  readonly kind: GroupVersionKind
}

const holds = (items: readonly string[] | undefined, wanted: string): boolean =>
  items?.some((item) => item === '*' || item === wanted) === true

const isNamespaces = ({ group, version, resource }: ResourceName): boolean => group === '' && version === 'v1' && resource === 'namespaces'

function matchesScope(scope: string | undefined, resource: ResourceName, namespace: string): boolean {
  const isCluster = isNamespaces(resource) || namespace === ''
  switch (scope ?? '*') {
    case '*':
      return true
    case 'Namespaced':
      return !isCluster
    case 'Cluster':
      return isCluster
    default:
      return false
  }
}

function matchesResource(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  return (
    resources?.some((text) => {
      const slash = text.indexOf('/')
      const [wanted, below] = slash < 0 ? [text, ''] : [text.slice(0, slash), text.slice(slash + 1)]
      return (wanted === '*' || wanted === resource) && (below === '*' || below === subresource)
    }) === true
  )
}

/** Whether a rule is about a request, were it for `resource`. */
export function matchesRule(
  rule: RuleWithOperations,
  { operation, subresource, namespace }: Pick<Attributes, 'operation' | 'subresource' | 'namespace'>,
  resource: ResourceName,
): boolean {
  return (
    matchesScope(rule.scope, resource, namespace) &&
    holds(rule.operations, operation) &&
    holds(rule.apiGroups, resource.group) &&
    holds(rule.apiVersions, resource.version) &&
    matchesResource(rule.resources, resource.resource, subresource)
  )
}

const isSame = (a: ResourceName, b: ResourceName): boolean => a.group === b.group && a.version === b.version && a.resource === b.resource

/** The first rule that matches wins; the request's own version comes before all others. Undefined: none does. */
export function matchRules(
  rules: readonly NamedRuleWithOperations[],
  matchPolicy: string | undefined,
  attributes: Attributes,
  catalog: Catalog,
): Match | undefined {
  const names = (rule: NamedRuleWithOperations): boolean => {
    const { resourceNames = [] } = rule
    return resourceNames.length === 0 || resourceNames.includes(attributes.name)
  }
  const { resource, kind, subresource } = attributes
  if (rules.some((rule) => matchesRule(rule, attributes, resource) && names(rule))) return { resource, kind }
  if (matchPolicy !== 'Equivalent' || rules.length === 0) return undefined
  for (const rule of rules) {
    for (const served of catalog.equivalents(resource, subresource)) {
      if (isSame(served.type, resource) || !matchesRule(rule, attributes, served.type) || !names(rule)) continue
      const { group, version, resource: plural } = served.type
      return { resource: { group, version, resource: plural }, kind: kindOf(served, subresource) }
    }
  }
  return undefined
}

/** What a policy or a binding selects by its rules; without rules, everything. */
export function matchResourceRules(match: MatchResources, attributes: Attributes, catalog: Catalog): Match | undefined {
  const { resourceRules = [], excludeResourceRules = [], matchPolicy } = match
  if (matchRules(excludeResourceRules, matchPolicy, attributes, catalog) !== undefined) return undefined
  if (resourceRules.length === 0) return { resource: attributes.resource, kind: attributes.kind }
  return matchRules(resourceRules, matchPolicy, attributes, catalog)
}

/** Groups and kinds as Go prints them: `apps/v1, Kind=Deployment`. */
export function formatKind({ group, version, kind }: GroupVersionKind): string {
  return `${group}/${version}, Kind=${kind}`
}
