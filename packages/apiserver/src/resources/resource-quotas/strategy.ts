import { type ResourceQuota, resourcequotas } from '@k3s/api/types/core/v1'
import { invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { immutableMessage } from '../../validation/fields.ts'
import { canonicalizeResources, type ResourceList } from '../shared/resource-list.ts'
import { validateAmount, validateResourceName } from '../shared/resource-validation.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'

const scopes = [
  'BestEffort',
  'CrossNamespacePodAffinity',
  'NotBestEffort',
  'NotTerminating',
  'PriorityClass',
  'Terminating',
  'VolumeAttributesClass',
]
const podResources = new Set(['pods', 'count/pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])
const existsOnly = new Set(['BestEffort', 'NotBestEffort', 'Terminating', 'NotTerminating', 'CrossNamespacePodAffinity'])

const validateAmounts = (list: Readonly<ResourceList> | undefined, field: string): FieldError[] =>
  Object.entries(list ?? {}).flatMap(([name, amount]) => [
    ...validateResourceName(name, `${field}[${name}]`),
    ...validateAmount(name, amount, `${field}[${name}]`),
  ])

/** Whether a scope can hold for what a resource counts. */
function isInScope(scope: string, resource: string): boolean {
  if (scope === 'BestEffort') return resource === 'pods'
  if (scope === 'VolumeAttributesClass') return resource.includes('persistentvolumeclaims') || resource.includes('storage')
  return (
    podResources.has(resource) || resource.startsWith('requests.') || resource.startsWith('limits.') || resource.startsWith('hugepages-')
  )
}

function validateScopes({ spec }: ResourceQuota): FieldError[] {
  const errors: FieldError[] = []
  const check = (scope: string, field: string): void => {
    if (!scopes.includes(scope)) errors.push(invalidValue(field, spec.scopes ?? scope, 'unsupported scope'))
    for (const resource of Object.keys(spec.hard ?? {})) {
      if (scopes.includes(scope) && !isInScope(scope, resource))
        errors.push(invalidValue(field, spec.scopes ?? scope, 'unsupported scope applied to resource'))
    }
  }
  for (const scope of spec.scopes ?? []) check(scope, 'spec.scopes')
  for (const pair of [
    ['BestEffort', 'NotBestEffort'],
    ['Terminating', 'NotTerminating'],
  ] as const) {
    if (pair.every((scope) => spec.scopes?.includes(scope) === true))
      errors.push(invalidValue('spec.scopes', spec.scopes, 'conflicting scopes'))
  }
  for (const { scopeName, operator, values = [] } of spec.scopeSelector?.matchExpressions ?? []) {
    const field = 'spec.scopeSelector.matchExpressions'
    check(scopeName, `${field}.scopeName`)
    if (existsOnly.has(scopeName) && operator !== 'Exists') {
      errors.push(
        invalidValue(
          `${field}.operator`,
          operator,
          "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        ),
      )
    }
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0)
        errors.push(required(`${field}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0)
        errors.push(
          invalidValue(`${field}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"),
        )
    } else errors.push(invalidValue(`${field}.operator`, operator, 'not a valid selector operator'))
  }
  return errors
}

function usageText({ status }: ResourceQuota, isLimits: boolean): string {
  const names = Object.keys(status?.hard ?? {}).filter((name) => name.startsWith('limits.') === isLimits)
  return names
    .toSorted()
    .map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status?.hard?.[name] ?? '0'}`)
    .join(', ')
}

/** Rules for resource quotas. */
export const resourceQuotaStrategy: ResourceStrategy<ResourceQuota> = {
  type: resourcequotas,
  hasGeneration: false,
  defaults(quota) {
    quota.spec ??= {}
    quota.status ??= {}
    canonicalizeResources(quota.spec.hard)
    canonicalizeResources(quota.status.hard)
    canonicalizeResources(quota.status.used)
  },
  prepareForCreate(quota) {
    quota.status = {}
  },
  validate: (quota) => [...validateAmounts(quota.spec.hard, 'spec.hard'), ...validateScopes(quota)],
  update: {
    prepare: keepStatus,
    validate: (quota, previous) => {
      const [now, then] = [new Set(quota.spec.scopes), new Set(previous.spec.scopes)]
      return now.symmetricDifference(then).size === 0 ? [] : [invalidValue('spec.scopes', quota.spec.scopes, immutableMessage)]
    },
  },
  status: statusUpdate(({ status }) => [...validateAmounts(status?.hard, 'status.hard'), ...validateAmounts(status?.used, 'status.used')]),
  columns: [
    nameColumn(),
    column('Request', (quota) => usageText(quota, false), { description: 'Used and allowed amounts' }),
    column('Limit', (quota) => usageText(quota, true), { description: 'Used and allowed limits' }),
    ageColumn(),
  ],
}
