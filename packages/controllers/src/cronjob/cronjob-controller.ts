import { hasReason, objectKey } from '@k3s/api'
import { cronjobs, jobs, type CronJob, type Job } from '@k3s/api/types/batch/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { ownerKeyOf } from '../kit/owned-pods.ts'
import { byController, controllerIndex, isControlledBy } from '../kit/owners.ts'
import { isNamespaceTerminating, messageOf } from '../kit/pod-control.ts'
import { jobReference, planCronJob } from './plan.ts'
import { parseSchedule, type Schedule } from './schedule.ts'

/** Starts Jobs when CronJobs are due, and cleans up after them. */
export function createCronJobController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'cronjob-controller')
  const cronInformer = informers.informer(cronjobs)
  const jobInformer = informers.informer(jobs)
  jobInformer.addIndex(controllerIndex, byController)

  const scheduleOf = (cronJob: CronJob): Schedule | undefined => {
    const { schedule, timeZone } = cronJob.spec
    try {
      return parseSchedule(schedule, timeZone)
    } catch (error) {
      recorder.event(cronJob, 'Warning', 'UnparseableSchedule', `unparseable schedule: "${schedule}" : ${messageOf(error)}`)
      return undefined
    }
  }

  const remove = async (cronJob: CronJob, job: Job, signal: AbortSignal): Promise<void> => {
    const { name, namespace, uid } = job.metadata
    try {
      await client.resource(jobs).delete(name, { namespace, propagationPolicy: 'Background', preconditions: { uid }, signal })
      recorder.event(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${name}`)
    } catch (error) {
      if (hasReason(error, 'NotFound', 'Conflict')) return
      recorder.event(cronJob, 'Warning', 'FailedDelete', `Deleted job: ${messageOf(error)}`)
      throw error
    }
  }

  /** The Job of this time; `undefined` when the namespace is going away. */
  const start = async (cronJob: CronJob, job: Job, signal: AbortSignal): Promise<Job | undefined> => {
    try {
      const created = await client.resource(jobs).create(job, { signal })
      recorder.event(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${created.metadata.name}`)
      return created
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined
      if (hasReason(error, 'AlreadyExists')) {
        // Ours, when it was started but is not in the cache yet.
        const existing = await client.resource(jobs).get(job.metadata.name, { namespace: job.metadata.namespace, signal })
        if (isControlledBy(existing, cronJob)) return existing
      }
      recorder.event(cronJob, 'Warning', 'FailedCreate', `Error creating job: ${messageOf(error)}`)
      throw error
    }
  }

  return controllerService({
    name: 'cronjob',
    context,
    recorder,
    informers: [cronInformer, jobInformer],
    watch: (queue) => [
      enqueueOn(cronInformer, queue, (cronJob) => [objectKey(cronJob)]),
      enqueueOn(jobInformer, queue, (job) => {
        const key = ownerKeyOf(cronInformer, cronjobs, job)
        return key === undefined ? [] : [key]
      }),
    ],
    async reconcile(key, signal, queue) {
      const cronJob = cronInformer.lister.get(key)
      if (cronJob === undefined) return
      const children = jobInformer.lister.byIndex(controllerIndex, cronJob.metadata.uid ?? '')
      const plan = planCronJob({ cronJob, children, schedule: scheduleOf(cronJob), nowMs: clock.now() })
      if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs)
      for (const { type, reason, message } of plan.events) recorder.event(cronJob, type, reason, message)
      for (const job of [...plan.forget, ...plan.replace]) await remove(cronJob, job, signal)
      const created = plan.create === undefined ? undefined : await start(cronJob, plan.create, signal)
      const replaced = new Set(plan.replace.map(({ metadata }) => metadata.uid))
      const active = [
        ...(plan.status.active ?? []).filter(({ uid }) => !replaced.has(uid) && uid !== created?.metadata.uid),
        ...(created === undefined ? [] : [jobReference(created)]),
      ]
      const status = { ...plan.status, active: active.length === 0 ? undefined : active }
      if (!isSemanticallyEqual(cronJob.status, status))
        await client.resource(cronjobs).update({ ...cronJob, status }, { subresource: 'status', signal })
    },
  })
}
