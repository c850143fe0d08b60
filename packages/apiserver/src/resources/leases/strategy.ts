import { type Lease, leases } from '@k3s/api/types/coordination/v1'
import { append } from '@k3s/lifecycle'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { nonNegative, positive } from '../../validation/fields.ts'

function validate({ spec = {} }: Lease): FieldError[] {
  const errors: FieldError[] =
    spec.leaseDurationSeconds === undefined ? [] : positive('spec.leaseDurationSeconds', spec.leaseDurationSeconds)
  append(errors, nonNegative('spec.leaseTransitions', spec.leaseTransitions))
  return errors
}

/** Fields of a feature that is off by default in 1.36. */
function dropCoordination({ spec }: Lease): void {
  delete spec?.strategy
  delete spec?.preferredHolder
}

/** Rules for leases of `coordination.k8s.io`. */
export const leaseStrategy: ResourceStrategy<Lease> = {
  type: leases,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  prepareForCreate: dropCoordination,
  update: { prepare: dropCoordination },
  validate,
  columns: [
    nameColumn(),
    column('Holder', (lease) => lease.spec?.holderIdentity ?? '', { description: 'Who holds the lease' }),
    ageColumn(),
  ],
}
