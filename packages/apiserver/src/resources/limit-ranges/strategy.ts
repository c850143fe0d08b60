import { randomUUID } from 'node:crypto'
import { compareQuantities, quantityNanos } from '@k3s/api'
import { type LimitRange, type LimitRangeItem, limitranges } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { invalids } from '../../validation/fields.ts'
import { qualifiedName } from '../../validation/names.ts'
import { canonicalizeResources, isOvercommitAllowed } from '../shared/resource-list.ts'
import { validateContainerResourceName, validateResourceName } from '../shared/resource-validation.ts'

const amounts = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const

function defaults({ spec }: LimitRange): void {
  for (const item of spec.limits ?? []) {
    for (const name of amounts) canonicalizeResources(item[name])
    if (item.type !== 'Container') continue
    item.default = { ...item.max, ...item.default }
    item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest }
  }
}

function validateName(type: string, name: string, field: string): FieldError[] {
  if (type === 'Pod' || type === 'Container') return validateContainerResourceName(name, field)
  return validateResourceName(name, field)
}

const standardTypes = ['Pod', 'Container', 'PersistentVolumeClaim']

function validateType(type: string, field: string): FieldError[] {
  const errors = invalids(field, type, qualifiedName(type))
  if (errors.length > 0 || type.includes('/') || standardTypes.includes(type)) return errors
  return [invalidValue(field, type, 'must be a standard limit type or fully qualified')]
}

/** What is wrong between the amounts of one resource. */
function validateOrder(item: LimitRangeItem, name: string, field: string): FieldError[] {
  const [min, max, limit, request, ratio] = [
    item.min?.[name],
    item.max?.[name],
    item.default?.[name],
    item.defaultRequest?.[name],
    item.maxLimitRequestRatio?.[name],
  ]
  const errors: FieldError[] = []
  const above = (left: string | undefined, right: string | undefined): boolean =>
    left !== undefined && right !== undefined && compareQuantities(left, right) > 0
  if (above(min, max)) errors.push(invalidValue(`${field}.min[${name}]`, min, `min value ${min} is greater than max value ${max}`))
  if (above(min, request))
    errors.push(
      invalidValue(`${field}.defaultRequest[${name}]`, request, `min value ${min} is greater than default request value ${request}`),
    )
  if (above(request, max))
    errors.push(
      invalidValue(`${field}.defaultRequest[${name}]`, request, `default request value ${request} is greater than max value ${max}`),
    )
  if (above(request, limit))
    errors.push(
      invalidValue(
        `${field}.defaultRequest[${name}]`,
        request,
        `default request value ${request} is greater than default limit value ${limit}`,
      ),
    )
  if (above(min, limit))
    errors.push(invalidValue(`${field}.default[${name}]`, min, `min value ${min} is greater than default value ${limit}`))
  if (above(limit, max))
    errors.push(invalidValue(`${field}.default[${name}]`, max, `default value ${limit} is greater than max value ${max}`))
  const ratioField = `${field}.maxLimitRequestRatio[${name}]`
  if (ratio !== undefined && compareQuantities(ratio, '1') < 0)
    errors.push(invalidValue(ratioField, ratio, `ratio ${ratio} is less than 1`))
  if (ratio !== undefined && min !== undefined && max !== undefined) {
    const bound = Number(quantityNanos(max)) / Number(quantityNanos(min))
    if (Number(quantityNanos(ratio)) / 1e9 > bound)
      errors.push(invalidValue(ratioField, ratio, `ratio ${ratio} is greater than max/min = ${bound.toFixed(6)}`))
  }
  if (!isOvercommitAllowed(name) && limit !== undefined && request !== undefined && compareQuantities(limit, request) !== 0) {
    errors.push(
      invalidValue(
        `${field}.defaultRequest[${name}]`,
        request,
        `default value ${limit} must equal to defaultRequest value ${request} in ${name}`,
      ),
    )
  }
  return errors
}

function validate({ spec }: LimitRange): FieldError[] {
  const types = new Set<string>()
  return (spec.limits ?? []).flatMap((item, index) => {
    const at = `spec.limits[${index}]`
    const errors: FieldError[] = validateType(item.type, `${at}.type`)
    if (types.has(item.type)) errors.push(duplicate(`${at}.type`, item.type))
    types.add(item.type)
    const names = new Set<string>()
    for (const list of amounts) {
      if (item.type === 'Pod' && (list === 'default' || list === 'defaultRequest')) {
        if (Object.keys(item[list] ?? {}).length > 0)
          errors.push(forbiddenField(`${at}.${list}`, "may not be specified when `type` is 'Pod'"))
        continue
      }
      for (const name of Object.keys(item[list] ?? {})) {
        append(errors, validateName(item.type, name, `${at}.${list}[${name}]`))
        names.add(name)
      }
    }
    if (item.type === 'PersistentVolumeClaim' && item.min?.['storage'] === undefined && item.max?.['storage'] === undefined) {
      errors.push(required(`${at}.limits`, 'either minimum or maximum storage value is required, but neither was provided'))
    }
    for (const name of names) append(errors, validateOrder(item, name, at))
    return errors
  })
}

/** Rules for limit ranges. */
export const limitRangeStrategy: ResourceStrategy<LimitRange> = {
  type: limitranges,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  defaults,
  // As upstream: a limit range needs no name.
  prepareForCreate({ metadata }) {
    metadata.name ||= randomUUID()
  },
  validate,
}
