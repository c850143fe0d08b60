import { cronjobs, jobs, type CronJob, type CronJobStatus, type Job } from '@k3s/api/types/batch/v1'
import type { ObjectReference } from '@k3s/api/types/core/v1'
import { apiVersionOf } from '@k3s/api'
import { isFinished } from '../job/verdict.ts'
import { byCreation, controllerReference } from '../kit/owners.ts'
import { formatTime, parseTime } from '../kit/time.ts'
import type { Schedule } from './schedule.ts'

export interface CronInput {
  readonly cronJob: CronJob
  /** Jobs that the CronJob controls. */
  readonly children: readonly Job[]
  /** Undefined when the schedule or time zone cannot be read: then nothing is started. */
  readonly schedule: Schedule | undefined
  readonly nowMs: number
}

export interface CronEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface CronPlan {
  /** Finished Jobs beyond the history limits. */
  readonly forget: readonly Job[]
  /** Running Jobs to be replaced by the new one. */
  readonly replace: readonly Job[]
  readonly create: Job | undefined
  /** Without the Job to be created. */
  readonly status: CronJobStatus
  readonly events: readonly CronEvent[]
  /** When the schedule is next due, in milliseconds from now. */
  readonly againMs: number | undefined
}

/** A reference to a Job as `status.active` holds it. */
export function jobReference(job: Job): ObjectReference {
  const { name, namespace, uid, resourceVersion } = job.metadata
  return { apiVersion: apiVersionOf(jobs), kind: jobs.kind, name, namespace, uid, resourceVersion }
}

/** Decides what is due. */
export function planCronJob({ cronJob, children, schedule, nowMs }: CronInput): CronPlan {
  const events: CronEvent[] = []
  const status = statusOf(cronJob, children, events)
  const idle: CronPlan = { forget: beyondHistory(cronJob, children), replace: [], create: undefined, status, events, againMs: undefined }
  const { suspend = false, startingDeadlineSeconds, concurrencyPolicy = 'Allow' } = cronJob.spec
  if (cronJob.metadata.deletionTimestamp !== undefined || suspend || schedule === undefined) return idle
  const upcoming = schedule.next(nowMs)
  // A tenth of a second late, so that clocks which differ a little do not wake it early.
  const waiting = { ...idle, againMs: upcoming === undefined ? undefined : upcoming - nowMs + 100 }
  const since = Math.max(
    parseTime(cronJob.metadata.creationTimestamp) ?? 0,
    parseTime(status.lastScheduleTime) ?? 0,
    startingDeadlineSeconds === undefined ? 0 : nowMs - startingDeadlineSeconds * 1000,
  )
  const due = schedule.last(since, nowMs)
  if (due === undefined) return waiting
  if (due.missed > 100) {
    const message = 'too many missed start times: 101. Set or decrease .spec.startingDeadlineSeconds or check clock skew'
    events.push({ type: 'Warning', reason: 'TooManyMissedTimes', message })
  }
  const name = `${cronJob.metadata.name}-${Math.floor(due.atMs / 60_000)}`
  if (children.some(({ metadata }) => metadata.name === name))
    return { ...waiting, status: { ...status, lastScheduleTime: formatTime(due.atMs) } }
  const running = children.filter((job) => !isFinished(job) && job.metadata.deletionTimestamp === undefined)
  if (concurrencyPolicy === 'Forbid' && (status.active ?? []).length > 0) {
    const message = 'Not starting job because prior execution is running and concurrency policy is Forbid'
    events.push({ type: 'Normal', reason: 'JobAlreadyActive', message })
    return waiting
  }
  return {
    ...waiting,
    replace: concurrencyPolicy === 'Replace' ? running : [],
    create: jobAt(cronJob, name, due.atMs),
    status: { ...status, lastScheduleTime: formatTime(due.atMs) },
  }
}

function statusOf(cronJob: CronJob, children: readonly Job[], events: CronEvent[]): CronJobStatus {
  const before = cronJob.status?.active ?? []
  const byUid = new Map(children.map((job) => [job.metadata.uid, job]))
  let lastSuccess = cronJob.status?.lastSuccessfulTime
  for (const job of children) {
    const ended = job.status?.conditions?.find(({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True')
    if (ended?.type === 'Complete' && job.status?.completionTime !== undefined && job.status.completionTime > (lastSuccess ?? ''))
      lastSuccess = job.status.completionTime
    const wasActive = before.some(({ uid }) => uid === job.metadata.uid)
    if (ended !== undefined && wasActive)
      events.push({
        type: 'Normal',
        reason: 'SawCompletedJob',
        message: `Saw completed job: ${job.metadata.name}, condition: ${ended.type}`,
      })
  }
  for (const { uid, name } of before)
    if (!byUid.has(uid)) events.push({ type: 'Normal', reason: 'MissingJob', message: `Active job went missing: ${name}` })
  const known = before.filter(({ uid }) => {
    const job = byUid.get(uid)
    return job !== undefined && !isFinished(job)
  })
  // Started, but the status was not written before we stopped.
  const added = children.filter((job) => !isFinished(job) && !before.some(({ uid }) => uid === job.metadata.uid)).map(jobReference)
  const active = [...known, ...added]
  return {
    ...cronJob.status,
    active: active.length === 0 ? undefined : active,
    ...(lastSuccess === undefined ? {} : { lastSuccessfulTime: lastSuccess }),
  }
}

function beyondHistory({ spec }: CronJob, children: readonly Job[]): readonly Job[] {
  const ended = (type: string): readonly Job[] =>
    children
      .filter(({ status }) => status?.conditions?.some((condition) => condition.type === type && condition.status === 'True'))
      .toSorted((a, b) => (parseTime(a.status?.startTime) ?? 0) - (parseTime(b.status?.startTime) ?? 0) || byCreation(a, b))
  const oldest = (list: readonly Job[], limit: number): readonly Job[] => list.slice(0, Math.max(0, list.length - limit))
  return [...oldest(ended('Complete'), spec.successfulJobsHistoryLimit ?? 3), ...oldest(ended('Failed'), spec.failedJobsHistoryLimit ?? 1)]
}

function jobAt(cronJob: CronJob, name: string, atMs: number): Job {
  const { metadata, spec } = cronJob.spec.jobTemplate
  return {
    metadata: {
      name,
      namespace: cronJob.metadata.namespace,
      labels: { ...metadata?.labels },
      annotations: { ...metadata?.annotations, 'batch.kubernetes.io/cronjob-scheduled-timestamp': formatTime(atMs) },
      ownerReferences: [controllerReference(cronJob, cronjobs)],
    },
    spec: structuredClone(spec ?? { template: {} }),
  }
}
