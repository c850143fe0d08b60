import type { CronJob, Job } from '@k3s/api/types/batch/v1'
import { describe, expect, it } from 'vitest'
import { planCronJob } from './plan.ts'
import { parseSchedule } from './schedule.ts'

const at = (text: string): number => Date.parse(`2026-01-01T${text}Z`)
const cronJob = (spec: Partial<CronJob['spec']> = {}, status: CronJob['status'] = {}): CronJob => ({
  metadata: { name: 'c', namespace: 'default', uid: 'c1', creationTimestamp: '2026-01-01T00:00:30Z' },
  spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: {} } }, ...spec },
  status,
})
const job = (name: string, condition?: string, startTime?: string): Job => ({
  metadata: { name, namespace: 'default', uid: name },
  spec: { template: {} },
  status: { startTime, ...(condition === undefined ? {} : { conditions: [{ type: condition, status: 'True' }] }) },
})
const plan = (cron: CronJob, nowMs: number, children: readonly Job[] = []) =>
  planCronJob({ cronJob: cron, children, schedule: parseSchedule(cron.spec.schedule, cron.spec.timeZone), nowMs })

describe('planCronJob()', () => {
  it('waits until the schedule is due', () => {
    const { create, againMs } = plan(cronJob(), at('00:03:00'))
    expect(create).toBeUndefined()
    expect(againMs).toBe(120_100)
  })

  it('starts the last of the times it missed, under a name of that time', () => {
    const { create, status } = plan(cronJob(), at('00:17:00'))
    expect(create?.metadata.name).toBe(`c-${at('00:15:00') / 60_000}`)
    expect(create?.metadata.annotations).toEqual({ 'batch.kubernetes.io/cronjob-scheduled-timestamp': '2026-01-01T00:15:00Z' })
    expect(status.lastScheduleTime).toBe('2026-01-01T00:15:00Z')
  })

  it('does not start one time twice', () => {
    expect(plan(cronJob({}, { lastScheduleTime: '2026-01-01T00:15:00Z' }), at('00:17:00')).create).toBeUndefined()
    expect(plan(cronJob(), at('00:17:00'), [job(`c-${at('00:15:00') / 60_000}`)]).create).toBeUndefined()
  })

  it('does not start what is later than the deadline', () => {
    expect(plan(cronJob({ startingDeadlineSeconds: 60 }), at('00:17:00')).create).toBeUndefined()
    expect(plan(cronJob({ startingDeadlineSeconds: 180 }), at('00:17:00')).create).toBeDefined()
  })

  it.each([
    ['Allow', true, 0],
    ['Forbid', false, 0],
    ['Replace', true, 1],
  ])('with %s and a Job that runs', (concurrencyPolicy, starts, replaced) => {
    const result = plan(cronJob({ concurrencyPolicy }), at('00:06:00'), [job('running')])
    expect(result.create !== undefined).toBe(starts)
    expect(result.replace).toHaveLength(replaced)
    expect(result.status.active?.map(({ name }) => name)).toEqual(['running'])
  })

  it('starts nothing while suspended', () => {
    expect(plan(cronJob({ suspend: true }), at('00:06:00')).create).toBeUndefined()
  })

  it('keeps a history of three successes and one failure', () => {
    const children = [
      ...['1', '2', '3', '4', '5'].map((n) => job(`s${n}`, 'Complete', `2026-01-01T00:0${n}:00Z`)),
      ...['1', '2'].map((n) => job(`f${n}`, 'Failed', `2026-01-01T00:0${n}:00Z`)),
    ]
    expect(plan(cronJob(), at('00:03:00'), children).forget.map(({ metadata }) => metadata.name)).toEqual(['s1', 's2', 'f1'])
  })

  it('drops finished Jobs from those that are active, and says so', () => {
    const active = [
      { name: 'done', uid: 'done' },
      { name: 'gone', uid: 'gone' },
    ]
    const { status, events } = plan(cronJob({}, { active }), at('00:03:00'), [job('done', 'Complete')])
    expect(status.active).toBeUndefined()
    expect(events.map(({ reason }) => reason)).toEqual(['SawCompletedJob', 'MissingJob'])
  })
})

describe('parseSchedule()', () => {
  it.each([
    ['*/5 * * * *', undefined, '00:05:00'],
    ['@hourly', undefined, '01:00:00'],
    ['@every 90s', undefined, '00:02:30'],
    ['0 2 * * *', 'Europe/Berlin', '01:00:00'],
  ])('%s in %s', (text, timeZone, expected) => {
    expect(parseSchedule(text, timeZone).next(at('00:01:00'))).toBe(at(expected))
  })

  it('finds the last time of a long silence without walking through all', () => {
    expect(parseSchedule('* * * * *', undefined).last(at('00:00:00') - 30 * 86_400_000, at('00:10:30'))).toEqual({
      atMs: at('00:10:00'),
      missed: 101,
    })
  })

  it.each(['* * * *', '* * * * * *', 'nonsense'])('refuses %j', (text) => {
    expect(() => parseSchedule(text, undefined)).toThrow(/CronPattern|unexpected|invalid/i)
  })
})
