import {
  type DeviceClaim,
  type DeviceClass,
  deviceclasses,
  type DeviceSubRequest,
  type ResourceClaim,
  resourceclaims,
  type ResourceClaimTemplate,
  resourceclaimtemplates,
  type ResourceSlice,
  resourceslices,
} from '@k3s/api/types/resource/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { validateDriverName } from '../pods/volumes.ts'
import { ageColumn, column, nameColumn, plainColumns } from '../shared/columns.ts'
import { immutable, invalids } from '../../validation/fields.ts'
import { dns1123Label, dns1123Subdomain } from '../../validation/names.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'

const maxRequests = 32
const modes = ['All', 'ExactCount']

type DeviceCount = Pick<DeviceSubRequest, 'allocationMode' | 'count' | 'deviceClassName'>

function defaultRequest(request: DeviceCount): void {
  request.allocationMode ||= 'ExactCount'
  if (request.allocationMode === 'ExactCount') request.count ||= 1
}

function defaultClaim(devices: DeviceClaim | undefined): void {
  for (const { exactly, firstAvailable = [] } of devices?.requests ?? []) {
    if (exactly !== undefined) defaultRequest(exactly)
    firstAvailable.forEach(defaultRequest)
  }
}

function validateCount({ allocationMode = '', count = 0, deviceClassName }: DeviceCount, field: string): FieldError[] {
  const errors: FieldError[] = []
  const at = `${field}.deviceClassName`
  append(errors, deviceClassName ? invalids(at, deviceClassName, dns1123Subdomain(deviceClassName)) : [required(at)])
  if (allocationMode === 'All') {
    if (count !== 0) errors.push(invalidValue(`${field}.count`, count, "must not be specified when allocationMode is 'All'"))
  } else if (allocationMode === 'ExactCount') {
    if (count <= 0) errors.push(invalidValue(`${field}.count`, count, 'must be greater than zero'))
  } else errors.push(notSupported(`${field}.allocationMode`, allocationMode, modes))
  return errors
}

function validateClaim(devices: DeviceClaim | undefined, field: string): FieldError[] {
  const requests = devices?.requests ?? []
  const errors: FieldError[] = []
  if (requests.length > maxRequests)
    errors.push({ field, reason: 'FieldValueTooMany', message: `Too many: ${requests.length}: must have at most ${maxRequests} items` })
  for (const [index, { name, exactly, firstAvailable }] of requests.entries()) {
    const at = `${field}.requests[${index}]`
    append(errors, name ? invalids(`${at}.name`, name, dns1123Label(name)) : [required(`${at}.name`)])
    const both = 'exactly one of `exactly` or `firstAvailable` is required'
    if (exactly === undefined && firstAvailable === undefined) errors.push(required(at, both))
    else if (exactly !== undefined && firstAvailable !== undefined)
      errors.push(invalidValue(at, undefined, `${both}, but multiple fields are set`))
    if (exactly !== undefined) append(errors, validateCount(exactly, `${at}.exactly`))
    for (const [position, sub] of (firstAvailable ?? []).entries()) {
      const place = `${at}.firstAvailable[${position}]`
      append(errors, sub.name ? invalids(`${place}.name`, sub.name, dns1123Label(sub.name)) : [required(`${place}.name`)])
      append(errors, validateCount(sub, place))
    }
  }
  return errors
}

function claimState({ metadata, status }: ResourceClaim): string {
  const isDeleted = metadata.deletionTimestamp !== undefined
  if (status?.allocation === undefined) return isDeleted ? 'deleted' : 'pending'
  return [...(isDeleted ? ['deleted'] : []), 'allocated', ...((status.reservedFor ?? []).length > 0 ? ['reserved'] : [])].join(',')
}

/** Rules for device classes. */
export const deviceClassStrategy: ResourceStrategy<DeviceClass> = { type: deviceclasses, hasGeneration: true, columns: plainColumns() }

/** Rules for resource claims: what is claimed never changes. */
export const resourceClaimStrategy: ResourceStrategy<ResourceClaim> = {
  type: resourceclaims,
  hasGeneration: false,
  defaults: ({ spec }) => defaultClaim(spec.devices),
  prepareForCreate(claim) {
    delete claim.status
  },
  validate: ({ spec }) => validateClaim(spec.devices, 'spec.devices'),
  update: { prepare: keepStatus, validate: (claim, previous) => immutable('spec', claim.spec, previous.spec) },
  status: statusUpdate(),
  columns: [nameColumn(), column('State', claimState, { description: 'Whether the claim is allocated and reserved' }), ageColumn()],
}

/** Rules for templates of resource claims. */
export const resourceClaimTemplateStrategy: ResourceStrategy<ResourceClaimTemplate> = {
  type: resourceclaimtemplates,
  hasGeneration: false,
  defaults: ({ spec }) => defaultClaim(spec.spec.devices),
  validate: ({ spec }) => validateClaim(spec.spec.devices, 'spec.spec.devices'),
  update: { validate: (template, previous) => immutable('spec', template.spec, previous.spec) },
  columns: plainColumns(),
}

function validateSlice({ spec }: ResourceSlice): FieldError[] {
  const { driver, pool, nodeName } = spec
  return [
    ...validateDriverName(driver, 'spec.driver'),
    ...(pool.name
      ? pool.name.split('/').flatMap((part) => invalids('spec.pool.name', part, dns1123Subdomain(part)))
      : [required('spec.pool.name')]),
    ...(pool.resourceSliceCount <= 0
      ? [invalidValue('spec.pool.resourceSliceCount', pool.resourceSliceCount, 'must be greater than zero')]
      : []),
    ...(pool.generation < 0 ? [invalidValue('spec.pool.generation', pool.generation, 'must be greater than or equal to zero')] : []),
    ...(nodeName === undefined || nodeName === '' ? [] : invalids('spec.nodeName', nodeName, dns1123Subdomain(nodeName))),
  ]
}

/** Rules for resource slices. */
export const resourceSliceStrategy: ResourceStrategy<ResourceSlice> = {
  type: resourceslices,
  hasGeneration: true,
  defaults({ spec }) {
    for (const { nodeAllocatableResourceMappings } of spec.devices ?? []) {
      for (const mapping of Object.values(nodeAllocatableResourceMappings ?? {})) mapping.allocationMultiplier ??= '1'
    }
  },
  validate: validateSlice,
  update: {
    validate: ({ spec }, { spec: old }) => [
      ...immutable('spec.driver', spec.driver, old.driver),
      ...immutable('spec.pool.name', spec.pool.name, old.pool.name),
      ...immutable('spec.nodeName', spec.nodeName, old.nodeName),
    ],
  },
  selectableFields: { 'spec.nodeName': ({ spec }) => spec.nodeName ?? '', 'spec.driver': ({ spec }) => spec.driver },
  columns: [
    nameColumn(),
    column('Node', ({ spec }) => spec.nodeName ?? ''),
    column('Driver', ({ spec }) => spec.driver),
    column('Pool', ({ spec }) => spec.pool.name),
    ageColumn(),
  ],
}
