import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type Deployment, type DeploymentStrategy, deployments } from '@k3s/api/types/apps/v1'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import { semanticEqual } from '../../validation/equality.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { type PodRules, templateRules } from '../pods/rules.ts'
import { ageColumn, column, nameColumn, workloadColumns } from '../shared/columns.ts'
import { immutable, nonNegative, notMoreThan100Percent, positiveIntOrPercent } from '../../validation/fields.ts'
import { formatLabelSelector } from '../shared/label-selector.ts'
import { keepSpec, keepStatus } from '../shared/status-rules.ts'
import {
  defaultTemplate,
  validateCounters,
  validateParts,
  validateRunningTemplate,
  validateWorkloadSelector,
} from '../workloads/template.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

function defaults({ spec }: Deployment): void {
  spec.replicas ??= 1
  const strategy = (spec.strategy ??= {})
  strategy.type ||= 'RollingUpdate'
  if (strategy.type === 'RollingUpdate') {
    strategy.rollingUpdate ??= {}
    strategy.rollingUpdate.maxUnavailable ??= '25%'
    strategy.rollingUpdate.maxSurge ??= '25%'
  }
  spec.revisionHistoryLimit ??= 10
  spec.progressDeadlineSeconds ??= 600
  defaultTemplate(spec.template)
}

const amount = (value: number | string | undefined): number => (typeof value === 'string' ? Number.parseInt(value, 10) : (value ?? 0))

function validateStrategy(strategy: DeploymentStrategy): FieldError[] {
  const field = 'spec.strategy'
  const rolling = strategy.rollingUpdate
  if (strategy.type === 'Recreate') {
    return rolling === undefined
      ? []
      : [forbiddenField(`${field}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'")]
  }
  if (strategy.type !== 'RollingUpdate') return [notSupported(field, strategy, ['Recreate', 'RollingUpdate'])]
  if (rolling === undefined) return [required(`${field}.rollingUpdate`, 'this should be defaulted and never be nil')]
  const { maxUnavailable = 0, maxSurge = 0 } = rolling
  const at = `${field}.rollingUpdate`
  return [
    ...positiveIntOrPercent(`${at}.maxUnavailable`, maxUnavailable),
    ...positiveIntOrPercent(`${at}.maxSurge`, maxSurge),
    ...(amount(maxUnavailable) === 0 && amount(maxSurge) === 0
      ? [invalidValue(`${at}.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0')]
      : []),
    ...notMoreThan100Percent(`${at}.maxUnavailable`, maxUnavailable),
  ]
}

function validate({ spec }: Deployment, rules: PodRules): FieldError[] {
  const deadline = spec.progressDeadlineSeconds
  const errors = [
    ...nonNegative('spec.replicas', spec.replicas),
    ...validateWorkloadSelector(spec.selector, 'spec.selector', 'deployment'),
    ...validateRunningTemplate(spec.template, spec.selector, {
      field: 'spec.template',
      owner: 'ReplicaSet',
      unreadable: 'invalid label selector',
      rules,
    }),
    ...validateStrategy(spec.strategy ?? {}),
    ...nonNegative('spec.minReadySeconds', spec.minReadySeconds),
    ...nonNegative('spec.revisionHistoryLimit', spec.revisionHistoryLimit),
    ...nonNegative('spec.progressDeadlineSeconds', deadline),
  ]
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    errors.push(invalidValue('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'))
  }
  return errors
}

function validateStatus({ status = {} }: Deployment, previous: Deployment): FieldError[] {
  const errors = [
    ...validateCounters(status, [
      'observedGeneration',
      'replicas',
      'updatedReplicas',
      'readyReplicas',
      'availableReplicas',
      'unavailableReplicas',
      'terminatingReplicas',
      'collisionCount',
    ]),
    ...validateParts(status, { updatedReplicas: status.updatedReplicas }),
  ]
  const count = status.collisionCount ?? 0
  if (count < (previous.status?.collisionCount ?? 0)) errors.push(invalidValue('status.collisionCount', count, 'cannot be decremented'))
  return errors
}

const warnings = templateWarnings<Deployment>(({ spec }) => spec.template, { namesPods: true })

/** Rules for deployments. */
export const deploymentStrategy: ResourceStrategy<Deployment> = {
  type: deployments,
  hasGeneration: true,
  isNewGeneration: (object, previous) =>
    !semanticEqual(object.spec, previous.spec) || !semanticEqual(object.metadata.annotations, previous.metadata.annotations),
  defaults,
  prepareForCreate(deployment) {
    dropAlphaTemplateFields(deployment.spec.template)
    deployment.status = {}
  },
  validate: (deployment) => validate(deployment, templateRules),
  warningsOnCreate: warnings.onCreate,
  update: {
    prepare(deployment, previous) {
      keepStatus(deployment, previous)
      dropAlphaTemplateFields(deployment.spec.template, previous.spec.template)
    },
    validate: (deployment, previous) => immutable('spec.selector', deployment.spec.selector, previous.spec.selector),
    warnings: warnings.onUpdate,
  },
  status: {
    prepare(deployment, previous) {
      keepSpec(deployment, previous)
      deployment.metadata.labels = previous.metadata.labels
    },
    validate: validateStatus,
  },
  columns: [
    nameColumn(),
    column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`, {
      description: 'Ready pods of those that are wanted',
    }),
    column('Up-to-date', ({ status }) => status?.updatedReplicas ?? 0, { description: 'Pods of the newest template' }),
    column('Available', ({ status }) => status?.availableReplicas ?? 0, { description: 'Pods that have been ready long enough' }),
    ageColumn(),
    ...workloadColumns<Deployment>(
      ({ spec }) => spec.template,
      ({ spec }) => formatLabelSelector(spec.selector),
    ),
  ],
}
