import {
  type DeviceClaim,
  type DeviceClass,
  deviceclasses,
  type DeviceSubRequest,
  type DeviceToleration,
  type ResourceClaim,
  resourceclaims,
  type ResourceClaimTemplate,
  resourceclaimtemplates,
  type ResourceSlice,
  resourceslices,
} from '@k3s/api/types/resource/v1'
import { forbiddenField, invalidValue } from '../../validation/field-error.ts'
import type { FieldError, RequestScope, ResourceStrategy } from '../../registry/strategy.ts'
import { validateAnnotations, validateLabels } from '../../validation/object-meta.ts'
import { ageColumn, column, nameColumn, plainColumns } from '../shared/columns.ts'
import { immutable } from '../../validation/fields.ts'
import { isExtendedResource } from '../shared/resource-list.ts'
import { qualifiedName } from '../../validation/names.ts'
import { isNew, keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { adminProblems, maxConfigurations, validateClaim, validateConfiguration } from './claims.ts'
import { dropDeallocated, validateClaimStatus } from './claim-status.ts'
import { validateList } from './lists.ts'
import { validateSelectors } from './selectors.ts'
import { dropDisabled, validateSlice } from './slices.ts'

type DeviceCount = Pick<DeviceSubRequest, 'allocationMode' | 'count' | 'tolerations'>

function defaultTolerations(tolerations: DeviceToleration[] = []): void {
  for (const toleration of tolerations) toleration.operator ||= 'Equal'
}

function defaultRequest(request: DeviceCount): void {
  defaultTolerations(request.tolerations)
  request.allocationMode ||= 'ExactCount'
  if (request.allocationMode === 'ExactCount') request.count ||= 1
}

function defaultClaim(devices: DeviceClaim | undefined): void {
  for (const { exactly, firstAvailable = [] } of devices?.requests ?? []) {
    if (exactly !== undefined) defaultRequest(exactly)
    firstAvailable.forEach(defaultRequest)
  }
}

function claimState({ metadata, status }: ResourceClaim): string {
  const isDeleted = metadata.deletionTimestamp !== undefined
  if (status?.allocation === undefined) return isDeleted ? 'deleted' : 'pending'
  return [...(isDeleted ? ['deleted'] : []), 'allocated', ...((status.reservedFor ?? []).length > 0 ? ['reserved'] : [])].join(',')
}

/** Extended resources are named so that quotas can count what is requested of them. */
const isExtendedName = (name: string): boolean => isExtendedResource(name) && qualifiedName(`requests.${name}`).length === 0

function validateClass({ spec }: DeviceClass): FieldError[] {
  const { extendedResourceName: name } = spec
  return [
    ...validateSelectors(spec.selectors, 'spec.selectors'),
    ...validateList(spec.config, maxConfigurations, 'spec.config', validateConfiguration),
    ...(name === undefined || isExtendedName(name)
      ? []
      : [invalidValue('spec.extendedResourceName', name, 'must be a valid extended resource name')]),
  ]
}

/** Rules for device classes. */
export const deviceClassStrategy: ResourceStrategy<DeviceClass> = {
  type: deviceclasses,
  hasGeneration: true,
  validate: validateClass,
  columns: plainColumns(),
}

/** Rules for resource claims: what is claimed never changes. */
export const resourceClaimStrategy: ResourceStrategy<ResourceClaim> = {
  type: resourceclaims,
  hasGeneration: false,
  defaults({ spec, status }) {
    defaultClaim(spec.devices)
    for (const { tolerations } of status?.allocation?.devices?.results ?? []) defaultTolerations(tolerations)
  },
  prepareForCreate(claim) {
    delete claim.status
  },
  validateCreate: ({ spec: { devices = {} } }, scope) => [...adminProblems(devices, scope), ...validateClaim(devices, 'spec.devices')],
  update: { prepare: keepStatus, validate: (claim, previous) => immutable('spec', claim.spec, previous.spec) },
  status: {
    prepare(claim, previous, scope) {
      statusUpdate<ResourceClaim>().prepare?.(claim, previous, scope)
      dropDeallocated(claim, previous)
    },
    validate: validateClaimStatus,
  },
  columns: [nameColumn(), column('State', claimState, { description: 'Whether the claim is allocated and reserved' }), ageColumn()],
}

function validateTemplate(template: ResourceClaimTemplate, scope: RequestScope): FieldError[] {
  const { spec: { devices = {} } = {}, metadata } = template.spec
  const { labels, annotations, ...others } = metadata ?? {}
  return [
    ...(isNew(template) ? adminProblems(devices, scope) : []),
    ...validateAnnotations(annotations, 'spec.metadata.annotations'),
    ...validateLabels(labels, 'spec.metadata.labels'),
    ...Object.entries(others)
      .filter(([, value]) => value !== undefined)
      .map(([name]) => forbiddenField(`spec.metadata.${name}`, 'cannot be set')),
    ...validateClaim(devices, 'spec.spec.devices'),
  ]
}

/** Rules for templates of resource claims. */
export const resourceClaimTemplateStrategy: ResourceStrategy<ResourceClaimTemplate> = {
  type: resourceclaimtemplates,
  hasGeneration: false,
  defaults: ({ spec }) => defaultClaim(spec.spec.devices),
  validate: validateTemplate,
  update: { validate: (template, previous) => immutable('spec', template.spec, previous.spec) },
  columns: plainColumns(),
}

function dateTaints({ devices = [] }: ResourceSlice['spec'], now: string): void {
  for (const { taints = [] } of devices) for (const taint of taints) taint.timeAdded ??= now
}

const driverWarnings = ({ spec: { driver } }: ResourceSlice): readonly string[] =>
  driver === driver.toLowerCase()
    ? []
    : [`spec.driver: driver names should be lowercase; ${JSON.stringify(driver)} contains uppercase characters`]

/** Rules for resource slices. */
export const resourceSliceStrategy: ResourceStrategy<ResourceSlice> = {
  type: resourceslices,
  hasGeneration: true,
  defaults({ spec }) {
    for (const { nodeAllocatableResourceMappings } of spec.devices ?? []) {
      for (const mapping of Object.values(nodeAllocatableResourceMappings ?? {})) mapping.allocationMultiplier ??= '1'
    }
  },
  prepareForCreate({ spec }, { now }) {
    dropDisabled(spec)
    dateTaints(spec, now)
  },
  validateCreate: ({ spec }) => validateSlice(spec, undefined),
  warningsOnCreate: driverWarnings,
  update: {
    prepare({ spec }, _previous, { now }) {
      dropDisabled(spec)
      dateTaints(spec, now)
    },
    validate: ({ spec }, previous) => validateSlice(spec, previous.spec),
    warnings: driverWarnings,
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
