import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type ReplicaSet, replicasets } from '@k3s/api/types/apps/v1'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { templateRules } from '../pods/rules.ts'
import { ageColumn, nameColumn, replicaColumns, workloadColumns } from '../shared/columns.ts'
import { immutable, nonNegative } from '../../validation/fields.ts'
import { formatLabelSelector } from '../shared/label-selector.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import {
  defaultTemplate,
  validateCounters,
  validateParts,
  validateRunningTemplate,
  validateWorkloadSelector,
} from '../workloads/template.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

function validate({ spec }: ReplicaSet): FieldError[] {
  return [
    ...nonNegative('spec.replicas', spec.replicas),
    ...nonNegative('spec.minReadySeconds', spec.minReadySeconds),
    ...validateWorkloadSelector(spec.selector, 'spec.selector', 'deployment'),
    ...validateRunningTemplate(spec.template, spec.selector, {
      field: 'spec.template',
      owner: 'ReplicaSet',
      unreadable: 'invalid label selector',
      rules: templateRules,
    }),
  ]
}

const warnings = templateWarnings<ReplicaSet>(({ spec }) => spec.template, { namesPods: true })

/** Rules for replica sets. */
export const replicaSetStrategy: ResourceStrategy<ReplicaSet> = {
  type: replicasets,
  hasGeneration: true,
  defaults({ spec }) {
    spec.replicas ??= 1
    defaultTemplate(spec.template)
  },
  prepareForCreate(set) {
    dropAlphaTemplateFields(set.spec.template)
    set.status = { replicas: 0 }
  },
  validate,
  warningsOnCreate: warnings.onCreate,
  update: {
    prepare(set, previous) {
      keepStatus(set, previous)
      dropAlphaTemplateFields(set.spec.template, previous.spec.template)
    },
    validate: (set, previous) => immutable('spec.selector', set.spec.selector, previous.spec.selector),
    warnings: warnings.onUpdate,
  },
  status: statusUpdate(({ status }) => [
    ...validateCounters(status, [
      'replicas',
      'fullyLabeledReplicas',
      'readyReplicas',
      'availableReplicas',
      'observedGeneration',
      'terminatingReplicas',
    ]),
    ...validateParts(status ?? { replicas: 0 }, { fullyLabeledReplicas: status?.fullyLabeledReplicas }),
  ]),
  columns: [
    nameColumn(),
    ...replicaColumns<ReplicaSet>(),
    ageColumn(),
    ...workloadColumns<ReplicaSet>(
      ({ spec }) => spec.template,
      ({ spec }) => formatLabelSelector(spec.selector),
    ),
  ],
}
