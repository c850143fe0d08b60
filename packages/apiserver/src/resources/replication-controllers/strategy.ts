import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type ReplicationController, replicationcontrollers } from '@k3s/api/types/core/v1'
import { required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { templateRules } from '../pods/rules.ts'
import { ageColumn, nameColumn, replicaColumns, workloadColumns } from '../shared/columns.ts'
import { nonNegative } from '../../validation/fields.ts'
import { formatLabels } from '../shared/label-selector.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { defaultTemplate, validateCounters, validateParts, validateRunningTemplate } from '../workloads/template.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

const isEmpty = (labels: Readonly<Record<string, string>> | undefined): boolean => Object.keys(labels ?? {}).length === 0

function defaults(controller: ReplicationController): void {
  const { spec, metadata } = controller
  const labels = spec.template?.metadata?.labels
  if (labels !== undefined) {
    if (isEmpty(spec.selector)) spec.selector = { ...labels }
    if (isEmpty(metadata.labels)) metadata.labels = { ...labels }
  }
  spec.replicas ??= 1
  defaultTemplate(spec.template)
}

function validate({ spec }: ReplicationController): FieldError[] {
  return [
    ...nonNegative('spec.minReadySeconds', spec.minReadySeconds),
    ...(isEmpty(spec.selector) ? [required('spec.selector')] : []),
    ...nonNegative('spec.replicas', spec.replicas),
    ...validateRunningTemplate(
      spec.template,
      { matchLabels: spec.selector },
      { field: 'spec.template', owner: 'ReplicationController', rules: templateRules, isPlain: true },
    ),
  ]
}

const warnings = templateWarnings<ReplicationController>(({ spec }) => spec.template, { namesPods: true })

/** Rules for replication controllers. */
export const replicationControllerStrategy: ResourceStrategy<ReplicationController> = {
  type: replicationcontrollers,
  hasGeneration: true,
  defaults,
  prepareForCreate(controller) {
    controller.status = { replicas: 0 }
    dropAlphaTemplateFields(controller.spec.template)
  },
  validate,
  warningsOnCreate: warnings.onCreate,
  update: {
    prepare(controller, previous) {
      keepStatus(controller, previous)
      dropAlphaTemplateFields(controller.spec.template, previous.spec.template)
    },
    warnings: warnings.onUpdate,
  },
  status: statusUpdate(({ status }) => [
    ...validateCounters(status, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration']),
    ...validateParts(status ?? { replicas: 0 }, { fullyLabeledReplicas: status?.fullyLabeledReplicas }),
  ]),
  selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  columns: [
    nameColumn(),
    ...replicaColumns<ReplicationController>(),
    ageColumn(),
    ...workloadColumns<ReplicationController>(
      ({ spec }) => spec.template,
      ({ spec }) => formatLabels(spec.selector),
    ),
  ],
}
