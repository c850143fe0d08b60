import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type DaemonSet, type DaemonSetUpdateStrategy, daemonsets } from '@k3s/api/types/apps/v1'
import { invalidValue, notSupported, required } from '../../validation/field-error.ts'
import { semanticEqual } from '../../validation/equality.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { templateRules } from '../pods/rules.ts'
import { ageColumn, column, nameColumn, workloadColumns } from '../shared/columns.ts'
import { immutable, nonNegative, notMoreThan100Percent, positiveIntOrPercent } from '../../validation/fields.ts'
import { formatLabels, formatLabelSelector } from '../shared/label-selector.ts'
import { keepSpec, keepStatus } from '../shared/status-rules.ts'
import { defaultTemplate, validateCounters, validateRunningTemplate, validateWorkloadSelector } from '../workloads/template.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

const counters = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
] as const

function defaults({ spec }: DaemonSet): void {
  const strategy = (spec.updateStrategy ??= {})
  strategy.type ||= 'RollingUpdate'
  if (strategy.type === 'RollingUpdate') {
    strategy.rollingUpdate ??= {}
    strategy.rollingUpdate.maxUnavailable ??= 1
    strategy.rollingUpdate.maxSurge ??= 0
  }
  spec.revisionHistoryLimit ??= 10
  defaultTemplate(spec.template)
}

const amount = (value: number | string): number => (typeof value === 'string' ? Number.parseInt(value, 10) : value)

function validateStrategy(strategy: DaemonSetUpdateStrategy): FieldError[] {
  const field = 'spec.updateStrategy'
  if (strategy.type === 'OnDelete') return []
  if (strategy.type !== 'RollingUpdate') return [notSupported(field, strategy, ['RollingUpdate', 'OnDelete'])]
  if (strategy.rollingUpdate === undefined) return [required(`${field}.rollingUpdate`)]
  const { maxUnavailable = 0, maxSurge = 0 } = strategy.rollingUpdate
  const at = `${field}.rollingUpdate`
  const errors = [
    ...positiveIntOrPercent(`${at}.maxUnavailable`, maxUnavailable),
    ...positiveIntOrPercent(`${at}.maxSurge`, maxSurge),
    ...notMoreThan100Percent(`${at}.maxUnavailable`, maxUnavailable),
    ...notMoreThan100Percent(`${at}.maxSurge`, maxSurge),
  ]
  if (amount(maxUnavailable) !== 0 && amount(maxSurge) !== 0)
    errors.push(invalidValue(`${at}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'))
  if (amount(maxUnavailable) === 0 && amount(maxSurge) === 0)
    errors.push(required(`${at}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'))
  return errors
}

const templateGeneration = 'deprecated.daemonset.template.generation'

const warnings = templateWarnings<DaemonSet>(({ spec }) => spec.template)

/** Rules for daemon sets. */
export const daemonSetStrategy: ResourceStrategy<DaemonSet> = {
  type: daemonsets,
  hasGeneration: true,
  defaults(set) {
    defaults(set)
    // What upstream's conversion shows of a number that it keeps elsewhere; who writes cannot set it.
    set.metadata.annotations = { [templateGeneration]: '0', ...set.metadata.annotations }
  },
  prepareForCreate(set) {
    dropAlphaTemplateFields(set.spec.template)
    set.metadata.annotations = { ...set.metadata.annotations, [templateGeneration]: '1' }
    set.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 }
  },
  warningsOnCreate: warnings.onCreate,
  validate: ({ spec }) => [
    // As upstream, which does not say that a selector is required.
    ...((spec.selector as typeof spec.selector | undefined) === undefined
      ? []
      : validateWorkloadSelector(spec.selector, 'spec.selector', 'daemonset')),
    ...validateRunningTemplate(spec.template, spec.selector, { field: 'spec.template', owner: 'DaemonSet', rules: templateRules }),
    ...nonNegative('spec.minReadySeconds', spec.minReadySeconds),
    ...validateStrategy(spec.updateStrategy ?? {}),
    ...nonNegative('spec.revisionHistoryLimit', spec.revisionHistoryLimit),
  ],
  update: {
    prepare(set, previous) {
      keepStatus(set, previous)
      dropAlphaTemplateFields(set.spec.template, previous.spec.template)
      const last = Number(previous.metadata.annotations?.[templateGeneration] ?? 0)
      const isSame = semanticEqual(set.spec.template, previous.spec.template)
      set.metadata.annotations = { ...set.metadata.annotations, [templateGeneration]: String(isSame ? last : last + 1) }
    },
    validate: (set, previous) => immutable('spec.selector', set.spec.selector, previous.spec.selector),
    warnings: (set, previous) => (semanticEqual(set.spec.template, previous.spec.template) ? [] : warnings.onUpdate(set, previous)),
  },
  status: {
    prepare(set, previous) {
      keepSpec(set, previous)
      const last = previous.metadata.annotations?.[templateGeneration]
      if (last !== undefined) set.metadata.annotations = { ...set.metadata.annotations, [templateGeneration]: last }
    },
    validate: ({ status }, previous) => [
      ...validateCounters(status, counters),
      ...((status?.collisionCount ?? 0) < (previous.status?.collisionCount ?? 0)
        ? [invalidValue('status.collisionCount', status?.collisionCount ?? 0, 'cannot be decremented')]
        : []),
    ],
  },
  hiddenAnnotations: [templateGeneration],
  columns: [
    nameColumn(),
    column('Desired', ({ status }) => status?.desiredNumberScheduled ?? 0, { type: 'integer', description: 'Nodes that should run a pod' }),
    column('Current', ({ status }) => status?.currentNumberScheduled ?? 0, {
      type: 'integer',
      description: 'Nodes that have a pod and should',
    }),
    column('Ready', ({ status }) => status?.numberReady ?? 0, { type: 'integer', description: 'Nodes whose pod is ready' }),
    column('Up-to-date', ({ status }) => status?.updatedNumberScheduled ?? 0, {
      type: 'integer',
      description: 'Nodes whose pod is of the newest template',
    }),
    column('Available', ({ status }) => status?.numberAvailable ?? 0, {
      type: 'integer',
      description: 'Nodes whose pod has been ready long enough',
    }),
    column('Node Selector', ({ spec }) => formatLabels(spec.template.spec?.nodeSelector), { description: 'Which nodes run a pod' }),
    ageColumn(),
    ...workloadColumns<DaemonSet>(
      ({ spec }) => spec.template,
      ({ spec }) => formatLabelSelector(spec.selector),
    ),
  ],
}
