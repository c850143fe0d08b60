import type { FlowSchema, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject } from '@k3s/api/types/flowcontrol/v1'
import type { UserInfo } from '../auth/auth.ts'
import type { RequestInfo } from '../http/request-info.ts'

/** What flow schemas look at. */
export type FlowRequest = Pick<RequestInfo, 'isResource' | 'verb' | 'path' | 'group' | 'resource' | 'subresource' | 'namespace'>

/** True when a flow schema is about this request. */
export type FlowMatcher = (request: FlowRequest, user: Pick<UserInfo, 'name' | 'groups'>) => boolean

/** Orders flow schemas as they are asked: by precedence, then by name. */
export function byPrecedence(a: FlowSchema, b: FlowSchema): number {
  const difference = (a.spec.matchingPrecedence ?? 0) - (b.spec.matchingPrecedence ?? 0)
  return difference !== 0 ? difference : a.metadata.name < b.metadata.name ? -1 : 1
}

export function flowMatcher({ spec }: Pick<FlowSchema, 'spec'>): FlowMatcher {
  const rules = (spec.rules ?? []).map(ruleMatcher)
  return (request, user) => rules.some((matches) => matches(request, user))
}

function ruleMatcher({ subjects, resourceRules = [], nonResourceRules = [] }: PolicyRulesWithSubjects): FlowMatcher {
  const whos = subjects.map(subjectMatcher)
  const resources = resourceRules.map(resourceMatcher)
  const paths = nonResourceRules.map(pathMatcher)
  return (request, user) =>
    whos.some((matches) => matches(user)) && (request.isResource ? resources : paths).some((matches) => matches(request))
}

function subjectMatcher({ kind, user, group, serviceAccount }: Subject): (who: Pick<UserInfo, 'name' | 'groups'>) => boolean {
  switch (kind) {
    case 'User':
      return (who) => user !== undefined && (user.name === '*' || user.name === who.name)
    case 'Group':
      return (who) => group !== undefined && (group.name === '*' || who.groups.includes(group.name))
    case 'ServiceAccount': {
      if (serviceAccount === undefined) return () => false
      const prefix = `system:serviceaccount:${serviceAccount.namespace}:`
      return serviceAccount.name === '*' ? (who) => who.name.startsWith(prefix) : (who) => who.name === `${prefix}${serviceAccount.name}`
    }
    default:
      return () => false
  }
}

/** `wildcard` stands alone: validation sees to it. */
function listMatcher(values: readonly string[]): (value: string) => boolean {
  if (values.length === 1 && values[0] === '*') return () => true
  return (value) => values.includes(value)
}

function resourceMatcher(rule: ResourcePolicyRule): (request: FlowRequest) => boolean {
  const verb = listMatcher(rule.verbs)
  const group = listMatcher(rule.apiGroups)
  const resource = listMatcher(rule.resources)
  const namespace = listMatcher(rule.namespaces ?? [])
  return (request) =>
    verb(request.verb) &&
    resource(request.subresource === '' ? request.resource : `${request.resource}/${request.subresource}`) &&
    group(request.group) &&
    (request.namespace === '' ? rule.clusterScope === true : namespace(request.namespace))
}

function pathMatcher(rule: NonResourcePolicyRule): (request: FlowRequest) => boolean {
  const verb = listMatcher(rule.verbs)
  const paths = rule.nonResourceURLs.map((path) => {
    const stem = path.endsWith('*') ? path.slice(0, -1) : path
    return { path, prefix: stem.endsWith('/') ? stem : `${stem}/` }
  })
  return (request) =>
    verb(request.verb) && paths.some(({ path, prefix }) => path === '*' || path === request.path || request.path.startsWith(prefix))
}
