import { type Service, services } from '@k3s/api/types/core/v1'
import type { ResourceStrategy } from '../../registry/strategy.ts'
import { dns1123Label } from '../../validation/names.ts'
import { isNew, statusUpdate } from '../shared/status-rules.ts'
import type { ServiceAllocators } from './allocators.ts'
import { serviceColumns } from './columns.ts'
import { defaultService } from './defaults.ts'
import { normalizeClusterIps, prepareServiceUpdate } from './update.ts'
import { serviceWarnings } from './warnings.ts'
import { validateServiceCreate, validateServiceStatus, validateServiceUpdate } from './validation.ts'

/** Rules for services. */
export function serviceStrategy(allocators: ServiceAllocators): ResourceStrategy<Service> {
  return {
    type: services,
    hasGeneration: false,
    allowCreateOnUpdate: true,
    validateName: dns1123Label,
    defaults: defaultService,
    prepareForCreate(service) {
      service.status = { loadBalancer: {} }
      normalizeClusterIps(service, undefined)
    },
    warningsOnCreate: serviceWarnings,
    validate: (service) => (isNew(service) ? validateServiceCreate(service) : []),
    update: { prepare: prepareServiceUpdate, validate: validateServiceUpdate, warnings: serviceWarnings },
    status: statusUpdate(validateServiceStatus),
    allocate(service, previous, scope) {
      const { release } = allocators.allocate(service, previous, scope)
      return { release: () => Promise.resolve(release()) }
    },
    afterDelete: (service) => allocators.forget(service),
    selectableFields: {
      'spec.clusterIP': ({ spec }) => spec.clusterIP ?? '',
      'spec.type': ({ spec }) => spec.type ?? '',
    },
    columns: serviceColumns,
  }
}
