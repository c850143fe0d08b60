import type { PolicyRule } from '@k3s/api/types/rbac/v1'
import type { AccessAttributes } from '../auth.ts'

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes('*') || list.includes(value))

function resourceMatches(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  const combined = subresource === '' ? resource : `${resource}/${subresource}`
  if (has(resources, combined)) return true
  return subresource !== '' && resources?.includes(`*/${subresource}`) === true
}

const pathMatches = (paths: readonly string[] | undefined, path: string): boolean =>
  paths?.some((pattern) => pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1)))) === true

/** Whether a rule allows what a request wants. */
export function ruleAllows(rule: PolicyRule, attributes: AccessAttributes): boolean {
  if (!has(rule.verbs, attributes.verb)) return false
  if (!attributes.isResource) return pathMatches(rule.nonResourceURLs, attributes.path)
  const names = rule.resourceNames ?? []
  return (
    has(rule.apiGroups, attributes.group) &&
    resourceMatches(rule.resources, attributes.resource, attributes.subresource) &&
    (names.length === 0 || names.includes(attributes.name))
  )
}

/** A rule for one verb on one thing. */
function* breakdown(rule: PolicyRule): Generator<PolicyRule> {
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs ?? []) yield { verbs: [verb], nonResourceURLs: [url] }
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        const common = { verbs: [verb], apiGroups: [group], resources: [resource] }
        if ((rule.resourceNames ?? []).length === 0) yield common
        for (const name of rule.resourceNames ?? []) yield { ...common, resourceNames: [name] }
      }
    }
  }
}

const coversAll = (owner: readonly string[] | undefined, wanted: readonly string[] | undefined): boolean =>
  owner?.includes('*') === true || (wanted ?? []).every((value) => owner?.includes(value) === true)

function coversResources(owner: readonly string[] | undefined, wanted: readonly string[] | undefined): boolean {
  if (owner?.includes('*') === true) return true
  return (wanted ?? []).every((resource) => {
    const slash = resource.indexOf('/')
    return owner?.includes(resource) === true || (slash >= 0 && owner?.includes(`*${resource.slice(slash)}`) === true)
  })
}

const coversUrls = (owner: readonly string[] | undefined, wanted: readonly string[] | undefined): boolean =>
  (wanted ?? []).every(
    (url) =>
      owner?.some((pattern) => pattern === '*' || pattern === url || (pattern.endsWith('*') && url.startsWith(pattern.slice(0, -1)))) ===
      true,
  )

function ruleCovers(owner: PolicyRule, wanted: PolicyRule): boolean {
  if (!coversAll(owner.verbs, wanted.verbs)) return false
  if ((wanted.nonResourceURLs ?? []).length > 0) return coversUrls(owner.nonResourceURLs, wanted.nonResourceURLs)
  const names = owner.resourceNames ?? []
  const hasNames = names.length === 0 || ((wanted.resourceNames ?? []).length > 0 && coversAll(names, wanted.resourceNames))
  return (
    coversAll(owner.apiGroups, wanted.apiGroups) &&
    coversResources(owner.resources, wanted.resources) &&
    hasNames &&
    (owner.nonResourceURLs ?? []).length === 0
  )
}

/** Which of `wanted` the owner of `rules` lacks, one verb and thing a rule. */
export function coveredRules(rules: readonly PolicyRule[], wanted: readonly PolicyRule[]): { readonly missing: PolicyRule[] } {
  const missing: PolicyRule[] = []
  for (const rule of wanted) for (const part of breakdown(rule)) if (!rules.some((owner) => ruleCovers(owner, part))) missing.push(part)
  return { missing }
}

/** Joins rules that differ in their verbs only. */
export function compactRules(rules: readonly PolicyRule[]): PolicyRule[] {
  const byRest = new Map<string, PolicyRule>()
  for (const rule of rules) {
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs])
    const known = byRest.get(key)
    if (known === undefined) byRest.set(key, { ...rule, verbs: [...rule.verbs] })
    else known.verbs = [...new Set([...known.verbs, ...rule.verbs])]
  }
  return [...byRest.values()]
}

/** A rule as upstream's messages show it. */
export function ruleText(rule: PolicyRule): string {
  const list = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(' ')}]`
  const parts = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ] as const
  return `{${parts
    .filter(([, values]) => (values ?? []).length > 0)
    .map(([name, values]) => `${name}:${list(values ?? [])}`)
    .join(', ')}}`
}
