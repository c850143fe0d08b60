import { compareQuantities, isQuantity, quantityNanos } from '@k3s/api'
import type { ResourceRequirements } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids } from '../../validation/fields.ts'
import { dns1123Label, qualifiedName } from '../../validation/names.ts'
import { isExtendedResource, isHugePages, isNativeResource, isOvercommitAllowed } from './resource-list.ts'

const integerResources = new Set([
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
])
const standardResources = new Set([
  ...integerResources,
  'cpu',
  'memory',
  'ephemeral-storage',
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'storage',
  'requests.storage',
])
const containerResources = new Set(['cpu', 'memory', 'ephemeral-storage'])

/** Extended and count resources have no fractions. */
export const isIntegerResource = (name: string): boolean => integerResources.has(name) || isExtendedResource(name)

/** Problems of a resource's name: a standard one, or one with a domain. */
export function validateResourceName(name: string, field: string): FieldError[] {
  const errors = invalids(field, name, qualifiedName(name))
  if (errors.length > 0 || name.includes('/') || standardResources.has(name) || isHugePages(name)) return errors
  return [invalidValue(field, name, 'must be a standard resource type or fully qualified')]
}

/** Problems of the name of a resource that a container asks for. */
export function validateContainerResourceName(name: string, field: string): FieldError[] {
  const errors = validateResourceName(name, field)
  if (!name.includes('/')) {
    if (!containerResources.has(name) && !isHugePages(name))
      errors.push(invalidValue(field, name, 'must be a standard resource for containers'))
  } else if (!isNativeResource(name) && qualifiedName(`requests.${name}`).length > 0) {
    errors.push(invalidValue(field, name, "doesn't follow extended resource name standard"))
  }
  return errors
}

/** Problems of an amount: a quantity, not negative, whole where the resource is counted. */
export function validateAmount(name: string, amount: string, field: string): FieldError[] {
  if (!isQuantity(amount)) {
    return [invalidValue(field, amount, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
  }
  const errors: FieldError[] = []
  if (compareQuantities(amount, '0') < 0) errors.push(invalidValue(field, amount, 'must be greater than or equal to 0'))
  if (isIntegerResource(name) && quantityNanos(amount) % 1_000_000_000n !== 0n)
    errors.push(invalidValue(field, amount, 'must be an integer'))
  return errors
}

function validateClaims(requirements: ResourceRequirements, claimNames: ReadonlySet<string>, field: string): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [index, { name, request = '' }] of (requirements.claims ?? []).entries()) {
    const at = `${field}[${index}]`
    if (name === '') {
      errors.push(required(at))
      continue
    }
    if (seen.has(name)) errors.push(duplicate(at, name))
    else {
      if (request !== '') append(errors, invalids(`${at}.request`, request, dns1123Label(request)))
      const key = request === '' ? name : `${name}/${request}`
      if (seen.has(key)) errors.push(duplicate(at, key))
      else if (request === '') for (const other of seen) if (other.startsWith(`${name}/`)) errors.push(duplicate(at, name))
      seen.add(key)
    }
    if (!claimNames.has(name)) {
      const known = claimNames.size === 0 ? ' which is empty' : `: ${[...claimNames].toSorted().join(', ')}`
      errors.push({
        reason: 'FieldValueNotFound',
        message: `Not found: ${JSON.stringify(name)}: must be one of the names in pod.spec.resourceClaims${known}`,
        field: at,
      })
    }
  }
  return errors
}

const isHugePageMultiple = (name: string, amount: string): boolean => {
  const size = name.slice('hugepages-'.length)
  const page = isQuantity(size) ? quantityNanos(size) : 0n
  return page > 0n && isQuantity(amount) && quantityNanos(amount) % page === 0n
}

/** Problems of requests and limits. `validateName` judges the names; `claimNames` are those of the pod's resource claims. */
export function validateRequirements(
  requirements: ResourceRequirements | undefined,
  claimNames: ReadonlySet<string>,
  field: string,
  validateName: (name: string, field: string) => FieldError[] = validateContainerResourceName,
): FieldError[] {
  if (requirements === undefined) return []
  const errors: FieldError[] = []
  const { limits = {}, requests = {} } = requirements
  const checkHugePages = (name: string, amount: string, at: string): void => {
    if (isHugePages(name) && !isHugePageMultiple(name, amount)) {
      errors.push(invalidValue(at, amount, `${amount} is not positive integer multiple of ${name.slice('hugepages-'.length)}`))
    }
  }
  for (const [name, amount] of Object.entries(limits)) {
    const at = `${field}.limits[${name}]`
    append(errors, validateName(name, at), validateAmount(name, amount, at))
    checkHugePages(name, amount, at)
  }
  for (const [name, amount] of Object.entries(requests)) {
    const at = `${field}.requests[${name}]`
    append(errors, validateName(name, at), validateAmount(name, amount, at))
    const limit = limits[name]
    if (limit !== undefined && isQuantity(limit) && isQuantity(amount)) {
      const order = compareQuantities(amount, limit)
      if (order !== 0 && !isOvercommitAllowed(name))
        errors.push(invalidValue(`${field}.requests`, amount, `must be equal to ${name} limit of ${limit}`))
      else if (order > 0) errors.push(invalidValue(`${field}.requests`, amount, `must be less than or equal to ${name} limit of ${limit}`))
    } else if (limit === undefined && !isOvercommitAllowed(name))
      errors.push(required(`${field}.limits`, 'Limit must be set for non overcommitable resources'))
    checkHugePages(name, amount, at)
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)]
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory'))
    errors.push(forbiddenField(field, 'HugePages require cpu or memory'))
  append(errors, validateClaims(requirements, claimNames, `${field}.claims`))
  return errors
}
