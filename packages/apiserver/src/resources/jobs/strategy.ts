import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type Job, type JobSpec, jobs } from '@k3s/api/types/batch/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, humanDuration, nameColumn, workloadColumns } from '../shared/columns.ts'
import { formatLabelSelector, selectorMatches, validateLabelSelector } from '../shared/label-selector.ts'
import { dns1123Label } from '../../validation/names.ts'
import { isNew, keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { defaultTemplate, validateCounters } from '../workloads/template.ts'
import { invalidUnshown, validateJobSpec, validateJobSpecUpdate } from './validation.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

const maxInt32 = 2147483647
const uidLabel = 'batch.kubernetes.io/controller-uid'
const nameLabel = 'batch.kubernetes.io/job-name'

/** Defaults of a job's spec, in jobs and in templates of jobs; `isJob` adds what only jobs get. */
export function defaultJobSpec(spec: JobSpec): void {
  for (const rule of spec.podFailurePolicy?.rules ?? []) for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True'
  defaultTemplate(spec.template)
}

/** A job without labels has those of its pods. */
function completeLabels({ spec, metadata }: Job): boolean {
  const labels = spec.template.metadata?.labels
  if (labels === undefined || Object.keys(labels).length === 0 || Object.keys(metadata.labels ?? {}).length > 0) return false
  metadata.labels = { ...labels }
  return true
}

function defaults(job: Job): void {
  const { spec } = job
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1
  spec.parallelism ??= 1
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : maxInt32
  completeLabels(job)
  spec.completionMode ??= 'NonIndexed'
  spec.suspend ??= false
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed'
  spec.manualSelector ??= false
  defaultJobSpec(spec)
}

/** A job finds its pods by its own uid, unless it was told otherwise. */
function generateSelector(job: Job): void {
  const { spec, metadata } = job
  const uid = metadata.uid ?? ''
  const template = (spec.template.metadata ??= {})
  template.labels = { 'job-name': metadata.name, [nameLabel]: metadata.name, 'controller-uid': uid, [uidLabel]: uid, ...template.labels }
  spec.selector = { ...spec.selector, matchLabels: { [uidLabel]: uid, ...spec.selector?.matchLabels } }
}

function validateGeneratedSelector({ spec, metadata }: Job): FieldError[] {
  if (spec.manualSelector === true || spec.selector === undefined) return []
  const expected = {
    'controller-uid': metadata.uid ?? '',
    'job-name': metadata.name,
    [uidLabel]: metadata.uid ?? '',
    [nameLabel]: metadata.name,
  }
  const errors: FieldError[] = []
  const labels = spec.template.metadata?.labels ?? {}
  for (const [name, value] of Object.entries(expected)) {
    const at = 'spec.template.metadata.labels'
    if (labels[name] === undefined) errors.push(required(`${at}[${name}]`, `must be '${value}'`))
    else if (labels[name] !== value) errors.push(invalidValue(`${at}[${name}]`, labels, `must be '${value}'`))
  }
  if (!selectorMatches(spec.selector, expected)) errors.push(invalidValue('spec.selector', spec.selector, '`selector` not auto-generated'))
  return errors
}

function validate(job: Job): FieldError[] {
  const { spec, metadata } = job
  const errors = [...validateGeneratedSelector(job), ...validateSpec(job)]
  if (isNew(job) && spec.completionMode === 'Indexed' && (spec.completions ?? 0) > 0) {
    const last = `${metadata.name}-${(spec.completions ?? 0) - 1}`
    if (dns1123Label(last).length > 0)
      errors.push(invalidValue('metadata.name', metadata.name, `will not able to create pod with invalid DNS label: ${last}`))
  }
  return errors
}

function validateSpec({ spec }: Job): FieldError[] {
  const errors = validateJobSpec(spec, 'spec')
  if (spec.selector === undefined) errors.push(required('spec.selector'))
  else append(errors, validateLabelSelector(spec.selector, 'spec.selector'))
  const labels = spec.template.metadata?.labels
  if (!selectorMatches(spec.selector, labels)) {
    errors.push(invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'))
  }
  return errors
}

const hasCondition = (job: Job, type: string): boolean =>
  job.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false

function isTemplateMutable(job: Job): boolean {
  const { spec, status } = job
  return spec.suspend === true && (status?.startTime === undefined || hasCondition(job, 'Suspended')) && (status?.active ?? 0) === 0
}

/** The end of a job is final. */
function validateStatus(job: Job, previous: Job): FieldError[] {
  const errors = validateCounters(job.status, ['active', 'succeeded', 'failed', 'ready', 'terminating'])
  for (const type of ['Failed', 'Complete', 'FailureTarget']) {
    if (hasCondition(previous, type) && !hasCondition(job, type))
      errors.push(invalidUnshown('status.conditions', `cannot disable the terminal ${type}=True condition`))
  }
  if (hasCondition(job, 'Complete') && hasCondition(job, 'Failed'))
    errors.push(invalidUnshown('status.conditions', 'cannot set Complete=True and Failed=true conditions'))
  const [now, then] = [job.status?.completionTime, previous.status?.completionTime]
  if (now !== undefined && then !== undefined && now !== then) errors.push(invalidValue('status.completionTime', now, 'field is immutable'))
  if (hasCondition(previous, 'SuccessCriteriaMet') && !hasCondition(job, 'SuccessCriteriaMet')) {
    errors.push(invalidUnshown('status.conditions', 'cannot disable the SuccessCriteriaMet=True condition'))
  }
  return errors
}

function statusText(job: Job): string {
  if (hasCondition(job, 'Complete')) return 'Complete'
  if (hasCondition(job, 'Failed')) return 'Failed'
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating'
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find((type) => hasCondition(job, type)) ?? 'Running'
}

function completions({ spec, status }: Job): string {
  const done = status?.succeeded ?? 0
  if (spec.completions !== undefined) return `${done}/${spec.completions}`
  return (spec.parallelism ?? 0) > 1 ? `${done}/1 of ${spec.parallelism}` : `${done}/1`
}

function duration({ status }: Job, nowMs: number): string {
  if (status?.startTime === undefined) return ''
  return humanDuration((status.completionTime === undefined ? nowMs : Date.parse(status.completionTime)) - Date.parse(status.startTime))
}

const warnings = templateWarnings<Job>(({ spec }) => spec.template, { namesPods: true })

/** Rules for jobs. */
export const jobStrategy: ResourceStrategy<Job> = {
  type: jobs,
  hasGeneration: true,
  defaults,
  // The labels of the pods are made when the defaults are filled in already.
  completeStored: completeLabels,
  prepareForCreate(job) {
    if (job.spec.manualSelector !== true) generateSelector(job)
    job.status = {}
    dropAlphaTemplateFields(job.spec.template)
  },
  validate,
  warningsOnCreate: warnings.onCreate,
  update: {
    prepare(job, previous) {
      keepStatus(job, previous)
      dropAlphaTemplateFields(job.spec.template, previous.spec.template)
    },
    // Upstream judges the object, and then the object as part of the change.
    validate: (job, previous) => [...validateSpec(job), ...validateJobSpecUpdate(job.spec, previous.spec, isTemplateMutable(previous))],
    warnings: warnings.onUpdate,
  },
  status: statusUpdate(validateStatus),
  selectableFields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
  columns: [
    nameColumn(),
    column('Status', statusText, { description: 'How far the job is' }),
    column('Completions', completions, { description: 'Pods that succeeded of those that must' }),
    column('Duration', (job, { nowMs }) => duration(job, nowMs), { description: 'How long the job ran' }),
    ageColumn(),
    ...workloadColumns<Job>(
      ({ spec }) => spec.template,
      ({ spec }) => formatLabelSelector(spec.selector),
    ),
  ],
}
