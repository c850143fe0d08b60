import { jobs, type Job } from '@k3s/api/types/batch/v1'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import type { FakeApiServer } from '@k3s/client/fake'
import { systemClock, type Clock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../test/harness.ts'
import { createJobController } from './job-controller.ts'

const job = (spec: Partial<Job['spec']> = {}): Job => ({
  metadata: { name: 'work', namespace: 'default' },
  spec: {
    parallelism: 1,
    completions: 1,
    backoffLimit: 6,
    completionMode: 'NonIndexed',
    selector: { matchLabels: { job: 'work' } },
    template: { metadata: { labels: { job: 'work' } }, spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'a' }] } },
    ...spec,
  },
})

/** A day ahead of any retry delay: pods that failed "now" may be replaced at once. */
const laterClock: Clock = { ...systemClock, now: () => Date.now() + 86_400_000 }

const start = (): Promise<World> => startWorld((context) => [createJobController({ ...context, clock: laterClock })])
const status = (server: FakeApiServer): Job['status'] => server.peek(jobs, 'default/work')?.status
const conditions = (server: FakeApiServer): readonly string[] =>
  (status(server)?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`)
const indexOf = (pod: Pod): string => pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index'] ?? ''

function end(server: FakeApiServer, pod: Pod, phase: 'Succeeded' | 'Failed', exitCode = phase === 'Failed' ? 1 : 0): void {
  const terminated = { exitCode, finishedAt: new Date().toISOString() }
  const container = { name: 'main', image: 'a', imageID: '', ready: false, restartCount: 0, state: { terminated } }
  server.put(pods, { ...pod, status: { phase, containerStatuses: [container] } })
}
const running = (server: FakeApiServer): readonly Pod[] =>
  server.all(pods).filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase === 'Pending')

describe('job controller', () => {
  it('counts each pod once, frees it of the finalizer and completes', async () => {
    await using world = await start()
    await world.client.resource(jobs).create(job({ parallelism: 2, completions: 3 }))
    await world.eventually(() => running(world.server).length === 2)
    expect(running(world.server)[0]?.metadata.finalizers).toEqual(['batch.kubernetes.io/job-tracking'])
    for (const pod of running(world.server)) end(world.server, pod, 'Succeeded')
    await world.eventually(() => status(world.server)?.succeeded === 2 && running(world.server).length === 1)
    for (const pod of running(world.server)) end(world.server, pod, 'Succeeded')
    await world.eventually(() => conditions(world.server).length === 2)
    await world.quiet()
    expect(conditions(world.server)).toEqual(['SuccessCriteriaMet=True CompletionsReached', 'Complete=True CompletionsReached'])
    expect(status(world.server)).toMatchObject({
      succeeded: 3,
      failed: 0,
      active: 0,
      ready: 0,
      terminating: 0,
      uncountedTerminatedPods: {},
    })
    expect(status(world.server)?.completionTime).toBeTruthy()
    expect(world.server.all(pods).every(({ metadata }) => metadata.finalizers?.length === 0)).toBe(true)
    expect(world.events.at(-1)).toMatchObject({ reason: 'Completed', message: 'Job completed' })
    expect(world.errors).toEqual([])
  })

  it('retries a failed pod up to the limit and then fails', async () => {
    await using world = await start()
    await world.client.resource(jobs).create(job({ backoffLimit: 1 }))
    for (const failures of [1, 2]) {
      const [pod] = await world.eventually(() => (running(world.server).length === 1 ? running(world.server) : undefined))
      if (pod !== undefined) end(world.server, pod, 'Failed')
      await world.eventually(() => status(world.server)?.failed === failures)
    }
    await world.eventually(() => conditions(world.server).length === 2)
    expect(conditions(world.server)).toEqual(['FailureTarget=True BackoffLimitExceeded', 'Failed=True BackoffLimitExceeded'])
    expect(world.events.at(-1)).toMatchObject({ type: 'Warning', reason: 'BackoffLimitExceeded' })
  })

  it('runs each index of an Indexed Job once', async () => {
    await using world = await start()
    await world.client.resource(jobs).create(job({ completionMode: 'Indexed', parallelism: 2, completions: 4 }))
    await world.eventually(() => {
      for (const pod of running(world.server)) end(world.server, pod, 'Succeeded')
      return conditions(world.server).includes('Complete=True CompletionsReached')
    })
    expect(world.server.all(pods).map(indexOf).toSorted()).toEqual(['0', '1', '2', '3'])
    expect(status(world.server)).toMatchObject({ succeeded: 4, completedIndexes: '0-3' })
    const [pod] = world.server.all(pods)
    expect(pod?.spec.hostname).toBe(`work-${pod === undefined ? '' : indexOf(pod)}`)
    expect(pod?.spec.containers[0]?.env?.[0]?.name).toBe('JOB_COMPLETION_INDEX')
  })

  it('gives each index its own limit of failures and carries their count on', async () => {
    await using world = await start()
    const limits = { backoffLimit: 2_147_483_647, backoffLimitPerIndex: 1 }
    await world.client.resource(jobs).create(job({ completionMode: 'Indexed', parallelism: 2, completions: 2, ...limits }))
    await world.eventually(() => {
      for (const pod of running(world.server)) end(world.server, pod, indexOf(pod) === '0' ? 'Failed' : 'Succeeded')
      return conditions(world.server).includes('Failed=True FailedIndexes')
    })
    expect(status(world.server)).toMatchObject({ failed: 2, succeeded: 1, completedIndexes: '1', failedIndexes: '0' })
    const counts = world.server
      .all(pods)
      .filter((pod) => indexOf(pod) === '0')
      .map(({ metadata }) => metadata.annotations?.['batch.kubernetes.io/job-index-failure-count'])
    expect(counts.toSorted()).toEqual(['0', '1'])
  })

  it('fails at once by a pod failure policy and ends the other pods', async () => {
    await using world = await start()
    const rule = { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } }
    await world.client.resource(jobs).create(job({ parallelism: 2, completions: 2, podFailurePolicy: { rules: [rule] } }))
    const [pod] = await world.eventually(() => (running(world.server).length === 2 ? running(world.server) : undefined))
    if (pod !== undefined) end(world.server, pod, 'Failed', 42)
    await world.eventually(() => conditions(world.server).includes('Failed=True PodFailurePolicy'))
    const message = status(world.server)?.conditions?.[0]?.message
    expect(message).toBe(`Container main for pod default/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 0`)
    expect(running(world.server)).toEqual([])
  })

  it('does not count failures that the policy ignores', async () => {
    await using world = await start()
    const rule = { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }
    await world.client.resource(jobs).create(job({ backoffLimit: 0, podFailurePolicy: { rules: [rule] } }))
    const [pod] = await world.eventually(() => (running(world.server).length === 1 ? running(world.server) : undefined))
    if (pod !== undefined)
      world.server.put(pods, { ...pod, status: { phase: 'Failed', conditions: [{ type: 'DisruptionTarget', status: 'True' }] } })
    const [replacement] = await world.eventually(() => (running(world.server).length === 1 ? running(world.server) : undefined))
    expect(replacement?.metadata.name).not.toBe(pod?.metadata.name)
    expect(status(world.server)).toMatchObject({ failed: 0 })
    expect(conditions(world.server)).toEqual([])
  })

  it('completes early by a success policy', async () => {
    await using world = await start()
    const successPolicy = { rules: [{ succeededIndexes: '1', succeededCount: 1 }] }
    await world.client.resource(jobs).create(job({ completionMode: 'Indexed', parallelism: 3, completions: 3, successPolicy }))
    await world.eventually(() => running(world.server).length === 3)
    const pod = running(world.server).find((one) => indexOf(one) === '1')
    if (pod !== undefined) end(world.server, pod, 'Succeeded')
    await world.eventually(() => conditions(world.server).includes('Complete=True SuccessPolicy'))
    expect(status(world.server)?.conditions?.[0]?.message).toBe('Matched rules at index 0')
    expect(status(world.server)).toMatchObject({ succeeded: 1, failed: 0 })
  })

  it('removes its pods while suspended and starts anew when resumed', async () => {
    await using world = await start()
    const resource = world.client.resource(jobs)
    await resource.create(job({ parallelism: 2, completions: 2 }))
    await world.eventually(() => running(world.server).length === 2)
    await resource.patch('work', { spec: { suspend: true } }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => conditions(world.server).includes('Suspended=True JobSuspended') && world.server.all(pods).length === 0)
    await world.quiet()
    expect(status(world.server)?.startTime).toBeUndefined()
    expect(status(world.server)).toMatchObject({ active: 0, failed: 0 })
    await resource.patch('work', { spec: { suspend: false } }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => conditions(world.server).includes('Suspended=False JobResumed') && running(world.server).length === 2)
    expect(status(world.server)?.startTime).toBeTruthy()
  })

  it('ends a Job that is active for too long', async () => {
    await using world = await startWorld((context) => [createJobController(context)])
    await world.client.resource(jobs).create(job({ activeDeadlineSeconds: 1 }))
    await world.eventually(() => conditions(world.server).includes('Failed=True DeadlineExceeded'))
    await world.eventually(() => world.server.all(pods).length === 0)
  })

  it('frees the pods of a Job that is gone', async () => {
    await using world = await start()
    await world.client.resource(jobs).create(job())
    const [pod] = await world.eventually(() => (running(world.server).length === 1 ? running(world.server) : undefined))
    world.server.remove(jobs, 'default/work')
    await world.eventually(() => world.server.peek(pods, `default/${pod?.metadata.name}`)?.metadata.finalizers?.length === 0)
  })

  it('adopts a matching pod and releases one whose labels changed', async () => {
    await using world = await start()
    await world.client.resource(jobs).create(job())
    const [pod] = await world.eventually(() => (running(world.server).length === 1 ? running(world.server) : undefined))
    if (pod === undefined) return
    world.server.put(pods, { ...pod, metadata: { ...pod.metadata, ownerReferences: [] } })
    await world.eventually(() => world.server.peek(pods, `default/${pod.metadata.name}`)?.metadata.ownerReferences?.length === 1)
    const owned = world.server.peek(pods, `default/${pod.metadata.name}`)
    if (owned !== undefined) world.server.put(pods, { ...owned, metadata: { ...owned.metadata, labels: {} } })
    await world.eventually(() => world.server.peek(pods, `default/${pod.metadata.name}`)?.metadata.ownerReferences?.length === 0)
    await world.eventually(() => running(world.server).length === 2)
  })
})
