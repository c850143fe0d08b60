import { type PodDisruptionBudget, poddisruptionbudgets } from '@k3s/api/types/policy/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { notMoreThan100Percent, optionalOneOf, positiveIntOrPercent } from '../../validation/fields.ts'
import { pathSegment } from '../../validation/names.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { validateCounters } from '../workloads/template.ts'

function validate({ spec }: PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = []
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
    errors.push(invalidValue('spec', spec, 'minAvailable and maxUnavailable cannot be both set'))
  for (const name of ['minAvailable', 'maxUnavailable'] as const) {
    const value = spec[name]
    if (value !== undefined) append(errors, positiveIntOrPercent(`spec.${name}`, value), notMoreThan100Percent(`spec.${name}`, value))
  }
  errors.push(
    ...validateLabelSelector(spec.selector, 'spec.selector'),
    ...optionalOneOf('spec.unhealthyPodEvictionPolicy', spec.unhealthyPodEvictionPolicy, ['AlwaysAllow', 'IfHealthyBudget']),
  )
  return errors
}

/** Rules for pod disruption budgets. */
export const podDisruptionBudgetStrategy: ResourceStrategy<PodDisruptionBudget> = {
  type: poddisruptionbudgets,
  validateName: pathSegment,
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  prepareForCreate(budget) {
    budget.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }
  },
  validate,
  update: { prepare: keepStatus },
  status: statusUpdate(({ status }) =>
    validateCounters(status, ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods']),
  ),
  columns: [
    nameColumn(),
    column('Min Available', ({ spec }) => String(spec.minAvailable ?? 'N/A'), { description: 'Pods that must stay' }),
    column('Max Unavailable', ({ spec }) => String(spec.maxUnavailable ?? 'N/A'), { description: 'Pods that may be missing' }),
    column('Allowed Disruptions', ({ status }) => status?.disruptionsAllowed ?? 0, {
      type: 'integer',
      description: 'Pods that may go now',
    }),
    ageColumn(),
  ],
}
