import { cronjobs, jobs } from '@k3s/api/types/batch/v1'
import { systemClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { createCronJobController } from './cronjob-controller.ts'

describe('cronjob controller', () => {
  it('starts a Job when it is due, keeps track of it, and starts no second one', async () => {
    // Two minutes after the CronJob was made, without waiting for them.
    const clock = { ...systemClock, now: () => Date.now() + 120_000 }
    await using world = await startWorld((context) => [createCronJobController({ ...context, clock })])
    const jobTemplate = { metadata: { labels: { x: 'y' } }, spec: { template: { spec: { containers: [] } } } }
    await world.client
      .resource(cronjobs)
      .create({ metadata: { name: 'c', namespace: 'default' }, spec: { schedule: '* * * * *', jobTemplate } })
    const job = await world.eventually(() => world.server.all(jobs)[0])
    expect(job.metadata).toMatchObject({ labels: { x: 'y' }, ownerReferences: [{ kind: 'CronJob', name: 'c', controller: true }] })
    const status = () => world.server.peek(cronjobs, 'default/c')?.status
    await world.eventually(() => status()?.active?.[0]?.name === job.metadata.name)
    await world.quiet()
    expect(world.server.all(jobs)).toHaveLength(1)
    expect(world.events).toContainEqual({
      object: 'c',
      type: 'Normal',
      reason: 'SuccessfulCreate',
      message: `Created job ${job.metadata.name}`,
    })
    const completionTime = '2026-01-01T00:00:00Z'
    world.server.put(jobs, { ...job, status: { completionTime, conditions: [{ type: 'Complete', status: 'True' }] } })
    await world.eventually(() => status()?.active === undefined && status()?.lastSuccessfulTime === completionTime)
    expect(world.errors).toEqual([])
  })

  it('says that it cannot read a schedule', async () => {
    await using world = await startWorld((context) => [createCronJobController(context)])
    await world.client
      .resource(cronjobs)
      .create({ metadata: { name: 'c', namespace: 'default' }, spec: { schedule: 'x', jobTemplate: {} } })
    await world.eventually(() => world.events.some(({ reason }) => reason === 'UnparseableSchedule'))
    expect(world.server.all(jobs)).toEqual([])
  })
})
