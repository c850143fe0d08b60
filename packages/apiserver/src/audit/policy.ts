import { parse } from 'yaml'
import type { UserInfo } from '../auth/auth.ts'
import type { RequestInfo } from '../http/request-info.ts'
import { isObject } from '../json.ts'

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse'
export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic'

export interface AuditRule {
  readonly level: AuditLevel
  readonly users: readonly string[]
  readonly userGroups: readonly string[]
  readonly verbs: readonly string[]
  readonly resources: readonly {
    readonly group: string
    readonly resources: readonly string[]
    readonly resourceNames: readonly string[]
  }[]
  readonly namespaces: readonly string[]
  readonly nonResourceURLs: readonly string[]
  readonly omitStages: readonly AuditStage[]
  readonly omitManagedFields: boolean | undefined
}

/** What is logged of which requests; the first rule that matches counts, and none means nothing. */
export interface AuditPolicy {
  readonly rules: readonly AuditRule[]
  readonly omitStages: readonly AuditStage[]
  readonly omitManagedFields: boolean
}

/** What is logged of one request. */
export interface AuditDecision {
  readonly level: AuditLevel
  readonly omitStages: ReadonlySet<AuditStage>
  readonly omitManagedFields: boolean
}

const levels: readonly string[] = ['None', 'Metadata', 'Request', 'RequestResponse']
const stages: readonly string[] = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic']

/** Reads a Policy of audit.k8s.io/v1 in YAML or JSON. Throws an Error that names the field. */
export function parseAuditPolicy(text: string): AuditPolicy {
  let value: unknown
  try {
    value = parse(text)
  } catch (cause) {
    throw new Error('Cannot read the audit policy: it is neither YAML nor JSON', { cause })
  }
  if (!isObject(value) || value['apiVersion'] !== 'audit.k8s.io/v1' || value['kind'] !== 'Policy')
    throw wrong('', 'must be a Policy of audit.k8s.io/v1')
  const { rules, omitStages, omitManagedFields } = value
  if (!Array.isArray(rules) || rules.length === 0) throw wrong('rules', 'must not be empty')
  return {
    rules: rules.map((rule: unknown, index) => parseRule(rule, `rules[${index}]`)),
    omitStages: parseStages(omitStages, 'omitStages'),
    omitManagedFields: omitManagedFields === true,
  }
}

function parseRule(rule: unknown, field: string): AuditRule {
  if (!isObject(rule)) throw wrong(field, 'must be an object')
  const { level, resources = [], omitManagedFields } = rule
  if (typeof level !== 'string' || !levels.includes(level)) throw wrong(`${field}.level`, `must be one of ${levels.join(', ')}`)
  if (!Array.isArray(resources)) throw wrong(`${field}.resources`, 'must be a list')
  const parsed: AuditRule = {
    level: level as AuditLevel, // one of them, see above
    users: texts(rule['users'], `${field}.users`),
    userGroups: texts(rule['userGroups'], `${field}.userGroups`),
    verbs: texts(rule['verbs'], `${field}.verbs`),
    resources: resources.map((resource: unknown, index) => {
      const at = `${field}.resources[${index}]`
      if (!isObject(resource)) throw wrong(at, 'must be an object')
      return {
        group: typeof resource['group'] === 'string' ? resource['group'] : '',
        resources: texts(resource['resources'], `${at}.resources`),
        resourceNames: texts(resource['resourceNames'], `${at}.resourceNames`),
      }
    }),
    namespaces: texts(rule['namespaces'], `${field}.namespaces`),
    nonResourceURLs: texts(rule['nonResourceURLs'], `${field}.nonResourceURLs`),
    omitStages: parseStages(rule['omitStages'], `${field}.omitStages`),
    omitManagedFields: typeof omitManagedFields === 'boolean' ? omitManagedFields : undefined,
  }
  if (parsed.nonResourceURLs.length > 0 && (parsed.resources.length > 0 || parsed.namespaces.length > 0))
    throw wrong(`${field}.nonResourceURLs`, 'rules cannot apply to both regular resources and non-resource URLs')
  return parsed
}

function texts(value: unknown, field: string): readonly string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) throw wrong(field, 'must be a list of texts')
  return value
}

function parseStages(value: unknown, field: string): readonly AuditStage[] {
  const names = texts(value, field)
  for (const name of names) if (!stages.includes(name)) throw wrong(field, `must be of ${stages.join(', ')}`)
  return names as readonly AuditStage[] // checked above
}

function wrong(field: string, why: string): Error {
  return new Error(`Cannot use the audit policy: ${field === '' ? 'it' : field} ${why}`)
}

/** What `policy` says of a request. */
export function decideAudit(policy: AuditPolicy, info: RequestInfo, user: UserInfo): AuditDecision {
  const rule = policy.rules.find((candidate) => matches(candidate, info, user))
  return {
    level: rule?.level ?? 'None',
    omitStages: new Set([...policy.omitStages, ...(rule?.omitStages ?? [])]),
    omitManagedFields: rule?.omitManagedFields ?? policy.omitManagedFields,
  }
}

function matches(rule: AuditRule, info: RequestInfo, user: UserInfo): boolean {
  if (rule.users.length > 0 && !rule.users.includes(user.name)) return false
  if (rule.userGroups.length > 0 && !user.groups.some((group) => rule.userGroups.includes(group))) return false
  if (rule.verbs.length > 0 && !rule.verbs.includes(info.verb)) return false
  if (rule.namespaces.length > 0 || rule.resources.length > 0) return info.isResource && matchesResource(rule, info)
  if (rule.nonResourceURLs.length > 0)
    return (
      !info.isResource &&
      rule.nonResourceURLs.some(
        (path) => path === '*' || path === info.path || (path.endsWith('*') && info.path.startsWith(path.replace(/\*+$/, ''))),
      )
    )
  return true
}

function matchesResource(rule: AuditRule, { group, resource, subresource, namespace, name }: RequestInfo): boolean {
  if (rule.namespaces.length > 0 && !rule.namespaces.includes(namespace)) return false
  if (rule.resources.length === 0) return true
  const whole = subresource === '' ? resource : `${resource}/${subresource}`
  return rule.resources.some((entry) => {
    if (entry.group !== group && entry.group !== '*') return false
    if (entry.resources.length === 0) return true
    if (entry.resourceNames.length > 0 && !entry.resourceNames.includes(name)) return false
    return entry.resources.some(
      (wanted) => wanted === '*' || wanted === whole || (subresource !== '' && wanted === `*/${subresource}`) || wanted === `${resource}/*`,
    )
  })
}
