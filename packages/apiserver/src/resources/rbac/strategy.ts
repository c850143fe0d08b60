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
  type Subject,
} from '@k3s/api/types/rbac/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy, TableColumn } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { invalids } from '../../validation/fields.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { dns1123Subdomain, pathSegment } from '../../validation/names.ts'

const apiGroup = 'rbac.authorization.k8s.io'

function validateRule(rule: PolicyRule, isNamespaced: boolean, field: string): FieldError[] {
  const errors: FieldError[] = []
  const isEmpty = (list: readonly string[] | undefined): boolean => (list ?? []).length === 0
  if (isEmpty(rule.verbs)) errors.push(required(`${field}.verbs`, 'verbs must contain at least one value'))
  if (!isEmpty(rule.nonResourceURLs)) {
    if (isNamespaced)
      errors.push(invalidValue(`${field}.nonResourceURLs`, rule.nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'))
    if (!isEmpty(rule.apiGroups) || !isEmpty(rule.resources) || !isEmpty(rule.resourceNames)) {
      errors.push(
        invalidValue(
          `${field}.nonResourceURLs`,
          rule.nonResourceURLs,
          'rules cannot apply to both regular resources and non-resource URLs',
        ),
      )
    }
    return errors
  }
  if (isEmpty(rule.apiGroups)) errors.push(required(`${field}.apiGroups`, 'resource rules must supply at least one api group'))
  if (isEmpty(rule.resources)) errors.push(required(`${field}.resources`, 'resource rules must supply at least one resource'))
  return errors
}

const validateRules = (rules: readonly PolicyRule[] | undefined, isNamespaced: boolean): FieldError[] =>
  (rules ?? []).flatMap((rule, index) => validateRule(rule, isNamespaced, `rules[${index}]`))

function validateAggregation(role: ClusterRole): FieldError[] {
  if (role.aggregationRule === undefined) return []
  const field = 'aggregationRule.clusterRoleSelectors'
  const selectors = role.aggregationRule.clusterRoleSelectors ?? []
  if (selectors.length === 0) return [required(field, 'at least one clusterRoleSelector required if aggregationRule is non-nil')]
  return selectors.flatMap((selector, index) => validateLabelSelector(selector, `${field}[${index}]`))
}

function validateSubject(subject: Subject, isNamespaced: boolean, field: string): FieldError[] {
  const errors: FieldError[] = subject.name ? [] : [required(`${field}.name`)]
  const group = subject.apiGroup ?? ''
  if (subject.kind === 'ServiceAccount') {
    if (subject.name) append(errors, invalids(`${field}.name`, subject.name, dns1123Subdomain(subject.name)))
    if (group !== '') errors.push(notSupported(`${field}.apiGroup`, group, ['']))
    if (!isNamespaced && !subject.namespace) errors.push(required(`${field}.namespace`))
  } else if (subject.kind === 'User' || subject.kind === 'Group') {
    if (group !== apiGroup) errors.push(notSupported(`${field}.apiGroup`, group, [apiGroup]))
  } else errors.push(notSupported(`${field}.kind`, subject.kind, ['ServiceAccount', 'User', 'Group']))
  return errors
}

type AnyBinding = ClusterRoleBinding | RoleBinding

function defaultBinding(binding: AnyBinding): void {
  binding.roleRef.apiGroup ||= apiGroup
  for (const subject of binding.subjects ?? []) if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= apiGroup
}

function validateBinding({ roleRef, subjects }: AnyBinding, isNamespaced: boolean): FieldError[] {
  const errors: FieldError[] = []
  const kinds = isNamespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  if (roleRef.apiGroup !== apiGroup) errors.push(notSupported('roleRef.apiGroup', roleRef.apiGroup, [apiGroup]))
  if (!kinds.includes(roleRef.kind)) errors.push(notSupported('roleRef.kind', roleRef.kind, kinds))
  if (!roleRef.name) errors.push(required('roleRef.name'))
  else append(errors, invalids('roleRef.name', roleRef.name, pathSegment(roleRef.name)))
  for (const [index, subject] of (subjects ?? []).entries()) append(errors, validateSubject(subject, isNamespaced, `subjects[${index}]`))
  return errors
}

function validateBindingUpdate({ roleRef }: AnyBinding, previous: AnyBinding): FieldError[] {
  if (semanticEqual(roleRef, previous.roleRef)) return []
  // Upstream shows the fields by their names in Go.
  const shown = { APIGroup: roleRef.apiGroup, Kind: roleRef.kind, Name: roleRef.name }
  return [invalidValue('roleRef', shown, 'cannot change roleRef')]
}

function subjectColumns<B extends AnyBinding>(): readonly TableColumn<B>[] {
  const list = (kind: string, text: (subject: Subject) => string) => (binding: B) =>
    (binding.subjects ?? [])
      .filter((subject) => subject.kind === kind)
      .map(text)
      .join(', ')
  return [
    nameColumn(),
    column('Role', ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`, { description: 'The role that is given' }),
    ageColumn(),
    column(
      'Users',
      list('User', ({ name }) => name),
      { wide: true, description: 'Users who get it' },
    ),
    column(
      'Groups',
      list('Group', ({ name }) => name),
      { wide: true, description: 'Groups that get it' },
    ),
    column(
      'ServiceAccounts',
      list('ServiceAccount', ({ name, namespace }) => (namespace ? `${namespace}/${name}` : name)),
      {
        wide: true,
        description: 'Service accounts that get it',
      },
    ),
  ]
}

const common = { hasGeneration: false, allowCreateOnUpdate: true, validateName: pathSegment } as const

export const roleStrategy: ResourceStrategy<Role> = { ...common, type: roles, validate: ({ rules }) => validateRules(rules, true) }

export const clusterRoleStrategy: ResourceStrategy<ClusterRole> = {
  ...common,
  type: clusterroles,
  validate: (role) => [...validateRules(role.rules, false), ...validateAggregation(role)],
}

export const roleBindingStrategy: ResourceStrategy<RoleBinding> = {
  ...common,
  type: rolebindings,
  defaults: defaultBinding,
  validate: (binding) => validateBinding(binding, true),
  update: { validate: validateBindingUpdate },
  columns: subjectColumns(),
}

export const clusterRoleBindingStrategy: ResourceStrategy<ClusterRoleBinding> = {
  ...common,
  type: clusterrolebindings,
  defaults: defaultBinding,
  validate: (binding) => validateBinding(binding, false),
  update: { validate: validateBindingUpdate },
  columns: subjectColumns(),
}
