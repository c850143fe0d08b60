import { type Lease, leases } from '@k3s/api/types/coordination/v1'
import { forbiddenField, notSupported } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, nonNegative, positive } from '../../validation/fields.ts'
import { qualifiedName } from '../../validation/names.ts'

function validate({ spec = {} }: Lease): FieldError[] {
  const errors: FieldError[] =
    spec.leaseDurationSeconds === undefined ? [] : positive('spec.leaseDurationSeconds', spec.leaseDurationSeconds)
  errors.push(...nonNegative('spec.leaseTransitions', spec.leaseTransitions))
  const { strategy, preferredHolder } = spec
  if (strategy?.includes('/') === true) errors.push(...invalids('spec.strategy.strategy', strategy, qualifiedName(strategy)))
  else if (strategy !== undefined && strategy !== 'OldestEmulationVersion')
    errors.push(notSupported('spec.strategy.strategy', strategy, ['OldestEmulationVersion']))
  if (preferredHolder && !strategy) errors.push(forbiddenField('spec.preferredHolder', 'may only be specified if `strategy` is defined'))
  return errors
}

/** Rules for leases of `coordination.k8s.io`. */
export const leaseStrategy: ResourceStrategy<Lease> = {
  type: leases,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate,
  columns: [
    nameColumn(),
    column('Holder', (lease) => lease.spec?.holderIdentity ?? '', { description: 'Who holds the lease' }),
    ageColumn(),
  ],
}
