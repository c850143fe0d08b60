import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type CronJob, cronjobs } from '@k3s/api/types/batch/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { defaultJobSpec } from '../jobs/strategy.ts'
import { validateJobTemplate } from '../jobs/validation.ts'
import { age, ageColumn, column, nameColumn, workloadColumns } from '../shared/columns.ts'
import { nonNegative } from '../../validation/fields.ts'
import { formatLabelSelector } from '../shared/label-selector.ts'
import { isNew, keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { scheduleProblem } from './schedule.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

/** The controller adds eleven characters to make a job's name. */
const maxNameLength = 52

function defaults({ spec }: CronJob): void {
  spec.concurrencyPolicy ||= 'Allow'
  spec.suspend ??= false
  spec.successfulJobsHistoryLimit ??= 3
  spec.failedJobsHistoryLimit ??= 1
  spec.jobTemplate.metadata ??= {}
  defaultJobSpec(spec.jobTemplate.spec ?? (spec.jobTemplate.spec = { template: {} }))
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    // A RangeError is how Intl says that it knows no such zone.
    return false
  }
}

function validateTimeZone(zone: string | undefined): FieldError[] {
  const field = 'spec.timeZone'
  if (zone === undefined) return []
  if (zone === '') return [invalidValue(field, zone, 'timeZone must be nil or non-empty string')]
  if (zone.toLowerCase() === 'local') {
    return [invalidValue(field, zone, 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones')]
  }
  return isTimeZone(zone) ? [] : [invalidValue(field, zone, `unknown time zone ${zone}`)]
}

function validate(job: CronJob): FieldError[] {
  const { spec, metadata } = job
  const errors: FieldError[] = []
  if (!spec.schedule) errors.push(required('spec.schedule'))
  else {
    const problem = scheduleProblem(spec.schedule)
    if (problem !== undefined) errors.push(invalidValue('spec.schedule', spec.schedule, problem))
    if (isNew(job) && spec.schedule.includes('TZ')) {
      errors.push(invalidValue('spec.schedule', spec.schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'))
    }
  }
  append(errors, nonNegative('spec.startingDeadlineSeconds', spec.startingDeadlineSeconds), validateTimeZone(spec.timeZone))
  const policies = ['Allow', 'Forbid', 'Replace']
  if (!policies.includes(spec.concurrencyPolicy ?? ''))
    errors.push(notSupported('spec.concurrencyPolicy', spec.concurrencyPolicy ?? '', policies))
  errors.push(
    ...validateJobTemplate(spec.jobTemplate.spec ?? { template: {} }, 'spec.jobTemplate'),
    ...nonNegative('spec.successfulJobsHistoryLimit', spec.successfulJobsHistoryLimit),
    ...nonNegative('spec.failedJobsHistoryLimit', spec.failedJobsHistoryLimit),
  )
  if (isNew(job) && metadata.name.length > maxNameLength)
    errors.push(invalidValue('metadata.name', metadata.name, `must be no more than ${maxNameLength} characters`))
  return errors
}

const warnings = templateWarnings<CronJob>(({ spec }) => spec.jobTemplate.spec?.template, {
  field: 'spec.jobTemplate.spec.template',
  namesPods: true,
})

/** Rules for cron jobs. */
export const cronJobStrategy: ResourceStrategy<CronJob> = {
  type: cronjobs,
  hasGeneration: true,
  defaults,
  prepareForCreate(job) {
    job.status = {}
    dropAlphaTemplateFields(job.spec.jobTemplate?.spec?.template)
  },
  validate,
  warningsOnCreate: warnings.onCreate,
  update: {
    prepare(job, previous) {
      keepStatus(job, previous)
      dropAlphaTemplateFields(job.spec.jobTemplate.spec?.template, previous.spec.jobTemplate.spec?.template)
    },
    warnings: warnings.onUpdate,
  },
  status: statusUpdate(),
  columns: [
    nameColumn(),
    column('Schedule', ({ spec }) => spec.schedule, { description: 'When jobs are made' }),
    column('Timezone', ({ spec }) => spec.timeZone ?? '<none>', { description: 'Time zone of the schedule' }),
    column('Suspend', ({ spec }) => (spec.suspend === undefined ? '<unset>' : spec.suspend ? 'True' : 'False'), { type: 'boolean' }),
    column('Active', ({ status }) => status?.active?.length ?? 0, { type: 'integer', description: 'Jobs that run' }),
    column('Last Schedule', ({ status }, { nowMs }) =>
      status?.lastScheduleTime === undefined ? '<none>' : age(status.lastScheduleTime, nowMs),
    ),
    ageColumn(),
    ...workloadColumns<CronJob>(
      ({ spec }) => spec.jobTemplate.spec?.template,
      ({ spec }) => formatLabelSelector(spec.jobTemplate.spec?.selector),
    ),
  ],
}
