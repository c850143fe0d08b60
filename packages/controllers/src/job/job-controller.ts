import { matchesSelector, objectKey, selectorOf, splitKey } from '@k3s/api'
import { jobs, type Job, type JobCondition, type JobStatus } from '@k3s/api/types/batch/v1'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import type { Workqueue } from '@k3s/client'
import type { Service } from '@k3s/lifecycle'
import { claim } from '../kit/claim.ts'
import { findCondition } from '../kit/conditions.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { Expectations } from '../kit/expectations.ts'
import { removeFinalizer } from '../kit/finalizers.ts'
import { ownerKeyOf, watchOwnedPods } from '../kit/owned-pods.ts'
import { byController, controllerIndex, controllerOf, orphanKey } from '../kit/owners.ts'
import { isNamespaceTerminating, PodControl } from '../kit/pod-control.ts'
import { isPodReady } from '../kit/pods.ts'
import { slowStart } from '../kit/slow-start.ts'
import { formatTime } from '../kit/time.ts'
import { noFailures, type FailureStreak } from './backoff.ts'
import { jobPod } from './job-pod.ts'
import { planJob, type JobPlan } from './plan.ts'
import { isSuspended, isTracked, trackingFinalizer, uidOf } from './pod-facts.ts'
import { countReleased, finishedStatus, trackPods } from './track.ts'
import { isFinished, jobCondition, type Verdict } from './verdict.ts'

/** Keys of the queue that name a pod whose Job is gone. */
const orphanPrefix = '!'

/** Runs Jobs to completion: creates and counts their pods, retries, and reports why they ended. */
export function createJobController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'job-controller')
  const control = new PodControl(client, recorder)
  const jobInformer = informers.informer(jobs)
  const podInformer = informers.informer(pods)
  podInformer.addIndex(controllerIndex, byController)
  const expectations = new Expectations(clock)
  const streaks = new Map<string, FailureStreak>()
  /** Uids of pods whose finalizer was removed, until the cache shows it. */
  const released = new Set<string>()

  const forget = (key: string): void => {
    expectations.forget(key)
    streaks.delete(key)
  }

  const release = async (pod: Pod, signal: AbortSignal): Promise<void> => {
    released.add(uidOf(pod))
    try {
      await removeFinalizer(client, pods, pod, trackingFinalizer, signal)
    } catch (error) {
      released.delete(uidOf(pod))
      throw error
    }
  }

  /** What was done of a plan; `error` is the first failure. */
  interface Outcome {
    readonly active: number
    readonly gone: readonly Pod[]
    readonly error: unknown
  }

  const act = async (key: string, job: Job, plan: JobPlan, signal: AbortSignal): Promise<Outcome> => {
    if (plan.create.length > 0) {
      expectations.expectCreations(key, plan.create.length)
      let made = 0
      const result = await slowStart(plan.create.length, async (i) => {
        const order = plan.create[i]
        if (order === undefined) return
        if ((await control.create(jobPod(job, order), job, signal)) === undefined) expectations.creationObserved(key)
        else made++
      })
      for (let i = result.succeeded; i < plan.create.length; i++) expectations.creationObserved(key)
      return { active: plan.active.length + made, gone: [], error: result.error }
    }
    const going = [...plan.remove, ...plan.discard]
    if (going.length === 0) return { active: plan.active.length, gone: [], error: undefined }
    // An ending Job may still wait for creations to show: those must not be forgotten, and deleting twice does no harm.
    if (plan.discard.length > 0) expectations.expectDeletions(key, plan.discard.map(uidOf))
    const results = await Promise.allSettled(
      going.map(async (pod) => {
        try {
          if (plan.discard.includes(pod)) await release(pod, signal)
          if (!(await control.delete(pod, job, signal))) expectations.deletionObserved(key, uidOf(pod))
        } catch (error) {
          expectations.deletionObserved(key, uidOf(pod))
          throw error
        }
      }),
    )
    const gone = going.filter((_, i) => results[i]?.status === 'fulfilled')
    return { active: plan.active.length - gone.length, gone, error: results.find((result) => result.status === 'rejected')?.reason }
  }

  const writeStatus = async (job: Job, status: JobStatus, signal: AbortSignal): Promise<Job> => {
    if (isSemanticallyEqual(job.status, status)) return job
    return client.resource(jobs).update({ ...job, status }, { subresource: 'status', signal })
  }

  const tellEnd = (job: Job, verdict: Verdict): void => {
    if (verdict.type === 'FailureTarget') return recorder.event(job, 'Warning', verdict.reason, verdict.message)
    if (job.spec.completions !== undefined && (job.status?.succeeded ?? 0) > job.spec.completions)
      recorder.event(job, 'Warning', 'TooManySucceededPods', 'Too many succeeded pods running after completion count reached')
    recorder.event(job, 'Normal', 'Completed', 'Job completed')
  }

  const suspension = (job: Job, nowMs: number): Pick<JobStatus, 'conditions' | 'startTime'> => {
    const { conditions = [], startTime } = job.status ?? {}
    const before = findCondition(conditions, 'Suspended')
    const replace = (condition: JobCondition): JobCondition[] => [...conditions.filter(({ type }) => type !== 'Suspended'), condition]
    if (isSuspended(job)) {
      if (before?.status === 'True') return { conditions, startTime }
      recorder.event(job, 'Normal', 'Suspended', 'Job suspended')
      return { conditions: replace(jobCondition('Suspended', 'True', 'JobSuspended', 'Job suspended', nowMs)), startTime: undefined }
    }
    if (before === undefined || before.status === 'False') return { conditions, startTime }
    recorder.event(job, 'Normal', 'Resumed', 'Job resumed')
    // The deadline counts from here.
    const resumed = jobCondition('Suspended', 'False', 'JobResumed', 'Job resumed', nowMs)
    return { conditions: replace(resumed), startTime: formatTime(nowMs) }
  }

  const sync = async (key: string, cached: Job, signal: AbortSignal, queue: Workqueue): Promise<void> => {
    const isCurrent = expectations.isFulfilled(key)
    const nowMs = clock.now()
    const { uid = '', namespace = '' } = cached.metadata
    const selector = selectorOf(cached.spec.selector)
    if (selector === undefined || selector.length === 0) return
    const candidates = [
      ...podInformer.lister.byIndex(controllerIndex, uid),
      ...podInformer.lister.byIndex(controllerIndex, orphanKey(namespace)),
    ]
    const claimOptions = { client, owner: cached, ownerType: jobs, type: pods, selector, finalizer: trackingFinalizer, signal }
    const owned = await claim(claimOptions, candidates)
    const started = isSuspended(cached) ? cached.status?.startTime : (cached.status?.startTime ?? formatTime(nowMs))
    const job: Job = { ...cached, status: { ...cached.status, startTime: started } }
    const plan = planJob({ job, pods: owned, released, isCurrent, streak: streaks.get(key) ?? noFailures, nowMs })
    const outcome = await act(key, job, plan, signal)
    signal.throwIfAborted()
    const isManaged = plan.verdict === undefined && isCurrent && job.metadata.deletionTimestamp === undefined
    const wanted = job.spec.completions ?? 1
    const isComplete =
      plan.verdict === undefined && plan.succeeded >= wanted && outcome.active === 0 && (plan.succeeded > 0 || wanted === 0)
    const verdict: Verdict | undefined = isComplete
      ? { type: 'SuccessCriteriaMet', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
      : outcome.active === 0 && isCurrent && outcome.error === undefined
        ? plan.verdict
        : undefined
    const status: JobStatus = {
      ...job.status,
      ...(isManaged && !isComplete ? suspension(job, nowMs) : {}),
      active: outcome.active,
      ready: plan.active.filter((pod) => isPodReady(pod) && !outcome.gone.includes(pod)).length,
      terminating: plan.terminating.length + outcome.gone.length,
    }
    const tracking = trackPods({ job: { ...job, status }, pods: owned, released, plan, verdict, nowMs })
    // Written before any pod loses its finalizer: should we stop in between, the pods named in it are still counted.
    let written = await writeStatus(cached, tracking.status, signal)
    streaks.set(key, plan.streak)
    const stillTracked = new Set(tracking.tracked)
    const results = await Promise.allSettled(
      tracking.release.map(async (pod) => {
        await release(pod, signal)
        stillTracked.delete(uidOf(pod))
      }),
    )
    const counted = countReleased(written.status ?? {}, stillTracked)
    const failure = results.find((result) => result.status === 'rejected')
    const ended = verdict === undefined || failure !== undefined || tracking.isPartial ? undefined : finishedStatus(counted, verdict, nowMs)
    written = await writeStatus(written, ended ?? counted, signal)
    if (ended !== undefined && verdict !== undefined) tellEnd(written, verdict)
    if (failure !== undefined) throw failure.reason
    if (outcome.error !== undefined && !isNamespaceTerminating(outcome.error)) throw outcome.error
    if (tracking.isPartial) queue.add(key)
    if (plan.againMs !== undefined && ended === undefined) queue.addAfter(key, Math.max(0, plan.againMs))
  }

  /** Pods of a Job that is gone or has ended are counted by nobody: nothing must hold them. */
  const releaseOrphan = async (key: string, signal: AbortSignal): Promise<void> => {
    const pod = podInformer.lister.get(key)
    const owner = pod === undefined ? undefined : controllerOf(pod)
    if (pod === undefined || !isTracked(pod) || owner?.kind !== 'Job') return
    const { namespace } = splitKey(key)
    const job = jobInformer.lister.get(`${namespace}/${owner.name}`)
    if (job?.metadata.uid === owner.uid && !isFinished(job)) return
    if (job === undefined) {
      // The cache may not know a new Job yet.
      const live = await client.resource(jobs).list({ namespace, fieldSelector: `metadata.name=${owner.name}`, signal })
      if (live.items.some(({ metadata }) => metadata.uid === owner.uid)) return
    }
    await release(pod, signal)
  }

  return controllerService({
    name: 'job',
    context,
    recorder,
    informers: [jobInformer, podInformer],
    watch: (queue) => {
      const offerOrphan = (pod: Pod): void => {
        if (!isTracked(pod) || controllerOf(pod)?.kind !== 'Job') return
        const key = ownerKeyOf(jobInformer, jobs, pod)
        const job = key === undefined ? undefined : jobInformer.lister.get(key)
        if (job === undefined || isFinished(job)) queue.add(`${orphanPrefix}${objectKey(pod)}`)
      }
      return [
        enqueueOn(jobInformer, queue, (job) => [objectKey(job)]),
        jobInformer.addHandler({
          update(_, job) {
            if (isFinished(job)) for (const pod of podInformer.lister.byIndex(controllerIndex, job.metadata.uid ?? '')) offerOrphan(pod)
          },
          delete(job) {
            forget(objectKey(job))
            for (const pod of podInformer.lister.byIndex(controllerIndex, job.metadata.uid ?? '')) offerOrphan(pod)
          },
        }),
        podInformer.addHandler({
          add: offerOrphan,
          update(_, pod) {
            if (!isTracked(pod)) released.delete(uidOf(pod))
            offerOrphan(pod)
          },
          delete: (pod) => void released.delete(uidOf(pod)),
        }),
        watchOwnedPods({
          owners: jobInformer,
          ownerType: jobs,
          podInformer,
          queue,
          expectations,
          adopters: (pod) =>
            jobInformer.lister
              .inNamespace(pod.metadata.namespace ?? '')
              .filter(({ spec }) => spec.selector !== undefined && matchesSelector(selectorOf(spec.selector) ?? [], pod.metadata.labels))
              .map(objectKey),
        }),
      ]
    },
    async reconcile(key, signal, queue) {
      if (key.startsWith(orphanPrefix)) return releaseOrphan(key.slice(orphanPrefix.length), signal)
      const job = jobInformer.lister.get(key)
      if (job === undefined || isFinished(job)) return forget(key)
      const { managedBy = 'kubernetes.io/job-controller' } = job.spec
      if (managedBy === 'kubernetes.io/job-controller') await sync(key, job, signal, queue)
    },
  })
}
