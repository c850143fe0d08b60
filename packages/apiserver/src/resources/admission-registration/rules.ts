import type { MatchCondition, MatchResources, NamedRuleWithOperations, RuleWithOperations } from '@k3s/api/types/admissionregistration/v1'
import { append } from '@k3s/lifecycle'
import { conditionProblems } from './expressions.ts'
import { duplicate, invalidValue, notSupported, required, tooMany } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids, oneOf, optionalOneOf } from '../../validation/fields.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { pathSegment, qualifiedName } from '../../validation/names.ts'

const maxConditions = 64
const operationNames = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const scopes = ['*', 'Cluster', 'Namespaced']

export const failurePolicies: readonly string[] = ['Fail', 'Ignore']
export const matchPolicies: readonly string[] = ['Equivalent', 'Exact']
export const reinvocationPolicies: readonly string[] = ['IfNeeded', 'Never']

/** A rule without a scope is for all. */
export function defaultRules(rules: readonly RuleWithOperations[] | undefined): void {
  for (const rule of rules ?? []) rule.scope ??= '*'
}

/** Fills what a match leaves open: everything, by equivalent versions. */
export function defaultMatch(match: MatchResources | undefined): void {
  if (match === undefined) return
  match.matchPolicy ??= 'Equivalent'
  match.namespaceSelector ??= {}
  match.objectSelector ??= {}
  defaultRules(match.resourceRules)
  defaultRules(match.excludeResourceRules)
}

function validateResources(resources: readonly string[], field: string): FieldError[] {
  const errors: FieldError[] = resources.length === 0 ? [required(field)] : []
  const allSubresources = new Set<string>()
  const allResources = new Set<string>()
  let lastIsPlain = false
  for (const [index, name] of resources.entries()) {
    const at = `${field}[${index}]`
    if (name === '') {
      errors.push(required(at))
      continue
    }
    const slash = name.indexOf('/')
    if (slash === -1) {
      lastIsPlain = name !== '*'
      continue
    }
    const [resource, subresource] = [name.slice(0, slash), name.slice(slash + 1)]
    if (allSubresources.has(resource)) errors.push(invalidValue(at, name, `if '${resource}/*' is present, must not specify ${name}`))
    if (allResources.has(subresource)) errors.push(invalidValue(at, name, `if '*/${subresource}' is present, must not specify ${name}`))
    if (subresource === '*') allSubresources.add(resource)
    if (resource === '*') allResources.add(subresource)
  }
  if (resources.length > 1 && resources.includes('*/*')) {
    errors.push(invalidValue(field, resources, "if '*/*' is present, must not specify other resources"))
  }
  if (resources.includes('*') && lastIsPlain) {
    errors.push(invalidValue(field, resources, "if '*' is present, must not specify other resources without subresources"))
  }
  return errors
}

/** A list that is not empty, and in which `*` stands alone. */
function validateList(values: readonly string[], field: string, what: string): FieldError[] {
  if (values.length === 0) return [required(field)]
  return values.length > 1 && values.includes('*') ? [invalidValue(field, values, `if '*' is present, must not specify other ${what}`)] : []
}

/** Problems of one rule: which requests. */
export function validateRule(
  { operations = [], apiGroups = [], apiVersions = [], resources = [], scope }: RuleWithOperations,
  field: string,
): FieldError[] {
  return [
    ...validateList(operations, `${field}.operations`, 'operations'),
    ...operations.flatMap((operation, index) =>
      operationNames.includes(operation) ? [] : [notSupported(`${field}.operations[${index}]`, operation, operationNames)],
    ),
    ...validateList(apiGroups, `${field}.apiGroups`, 'API groups'),
    ...validateList(apiVersions, `${field}.apiVersions`, 'API versions'),
    ...apiVersions.flatMap((version, index) => (version === '' ? [required(`${field}.apiVersions[${index}]`)] : [])),
    ...validateResources(resources, `${field}.resources`),
    ...optionalOneOf(`${field}.scope`, scope, scopes),
  ]
}

function validateNamedRule(rule: NamedRuleWithOperations, field: string): FieldError[] {
  const names = rule.resourceNames ?? []
  return [
    ...names.flatMap((name, index) => {
      const at = `${field}.resourceNames[${index}]`
      return [...invalids(at, name, pathSegment(name)), ...(names.indexOf(name) < index ? [duplicate(at, name)] : [])]
    }),
    ...validateRule(rule, field),
  ]
}

/** Problems of what a policy or a binding matches. */
export function validateMatch(match: MatchResources | undefined, field: string): FieldError[] {
  if (match === undefined) return []
  return [
    ...oneOf(`${field}.matchPolicy`, match.matchPolicy, matchPolicies),
    ...(match.namespaceSelector === undefined
      ? [required(`${field}.namespaceSelector`)]
      : validateLabelSelector(match.namespaceSelector, `${field}.namespaceSelector`)),
    ...(match.objectSelector === undefined
      ? [required(`${field}.objectSelector`)]
      : validateLabelSelector(match.objectSelector, `${field}.objectSelector`)),
    ...(match.resourceRules ?? []).flatMap((rule, index) => validateNamedRule(rule, `${field}.resourceRules[${index}]`)),
    ...(match.excludeResourceRules ?? []).flatMap((rule, index) => validateNamedRule(rule, `${field}.excludeResourceRules[${index}]`)),
  ]
}

/** Problems of conditions. They may use parameters when their policy has some. */
export function validateConditions(
  conditions: readonly MatchCondition[] | undefined,
  field: string,
  options: { readonly hasParams: boolean } = { hasParams: false },
): FieldError[] {
  const names = (conditions ?? []).map(({ name }) => name)
  const errors: FieldError[] = names.length > maxConditions ? [tooMany(field, names.length, maxConditions)] : []
  for (const [index, condition] of (conditions ?? []).entries()) {
    const { name, expression } = condition
    const at = `${field}[${index}]`
    if (expression.trim() === '') errors.push(required(`${at}.expression`))
    else append(errors, conditionProblems(condition, `${at}.expression`, options))
    append(errors, name ? invalids(`${at}.name`, name, qualifiedName(name)) : [required(`${at}.name`)])
    if (name && names.indexOf(name) < index) errors.push(duplicate(`${at}.name`, name))
  }
  return errors
}
