import type { DaemonSet, Deployment, StatefulSet } from '@k3s/api/types/apps/v1'
import type { CronJob, Job } from '@k3s/api/types/batch/v1'
import { describe, expect, it } from 'vitest'
import { createProblems, defaulted, rowOf, updateProblems } from '../../../test/strategy-runs.ts'
import { cronJobStrategy } from '../cron-jobs/strategy.ts'
import { daemonSetStrategy } from '../daemon-sets/strategy.ts'
import { deploymentStrategy } from '../deployments/strategy.ts'
import { jobStrategy } from '../jobs/strategy.ts'
import { statefulSetStrategy } from '../stateful-sets/strategy.ts'

const metadata = { name: 'web', namespace: 'default', creationTimestamp: '2024-05-01T11:00:00Z' }
const labels = { app: 'web' }
const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'nginx:1' }] } }
const deploymentOf = (spec: Partial<Deployment['spec']> = {}): Deployment => ({
  metadata: { ...metadata },
  spec: { selector: { matchLabels: labels }, template: structuredClone(template), ...spec },
})

describe('deployments', () => {
  it('have upstream’s defaults', () => {
    expect(defaulted(deploymentStrategy, deploymentOf()).spec).toMatchObject({
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      template: { spec: { restartPolicy: 'Always', containers: [{ imagePullPolicy: 'IfNotPresent' }] } },
    })
  })

  it.each<[string, Partial<Deployment['spec']>, string[]]>([
    ['nothing', {}, []],
    [
      'a selector that does not match',
      { selector: { matchLabels: { app: 'other' } } },
      ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'],
    ],
    ['a selector of all', { selector: {} }, ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']],
    ['fewer than none', { replicas: -1 }, ['spec.replicas: Invalid value: -1: must be greater than or equal to 0']],
    [
      'no way to roll',
      { strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 0 } } },
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0'],
    ],
    [
      'pods that do not restart',
      { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
  ])('refuse %s', (_what, spec, expected) => {
    expect(createProblems(deploymentStrategy, deploymentOf(spec))).toEqual(expected)
  })

  it('keep their selector', () => {
    const problems = updateProblems(deploymentStrategy, deploymentOf(), ({ spec }) => {
      spec.selector = { matchLabels: { app: 'b' } }
      spec.template.metadata = { labels: { app: 'b' } }
    })
    expect(problems).toEqual(['spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable'])
  })

  it('show their state', () => {
    const deployment = {
      ...deploymentOf({ replicas: 3 }),
      status: { replicas: 3, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2 },
    }
    expect(rowOf(deploymentStrategy, deployment)).toEqual({
      Name: 'web',
      Ready: '2/3',
      'Up-to-date': 1,
      Available: 2,
      Age: '60m',
      Containers: 'main',
      Images: 'nginx:1',
      Selector: 'app=web',
    })
  })
})

describe('stateful sets', () => {
  const set = (): StatefulSet => ({
    metadata: { ...metadata },
    spec: {
      selector: { matchLabels: labels },
      template: structuredClone(template),
      serviceName: 'web',
      volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: {} }],
    },
  })

  it('have upstream’s defaults', () => {
    expect(defaulted(statefulSetStrategy, set()).spec).toMatchObject({
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      replicas: 1,
      revisionHistoryLimit: 10,
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    })
  })

  it('keep most of their spec', () => {
    const problems = updateProblems(statefulSetStrategy, set(), ({ spec }) => {
      spec.serviceName = 'other'
    })
    expect(problems[0]).toMatch(
      /^spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden/,
    )
  })
})

describe('daemon sets', () => {
  it('have upstream’s defaults', () => {
    const set: DaemonSet = { metadata: { ...metadata }, spec: { selector: { matchLabels: labels }, template: structuredClone(template) } }
    expect(defaulted(daemonSetStrategy, set).spec).toMatchObject({
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      revisionHistoryLimit: 10,
    })
  })
})

describe('jobs', () => {
  const job = (spec: Partial<Job['spec']> = {}): Job => ({
    metadata: { ...metadata, uid: 'u' },
    spec: { template: { spec: { ...structuredClone(template.spec), restartPolicy: 'Never' } }, ...spec },
  })

  it('have upstream’s defaults', () => {
    expect(defaulted(jobStrategy, job()).spec).toMatchObject({
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      podReplacementPolicy: 'TerminatingOrFailed',
    })
  })

  it('refuse pods that always restart', () => {
    const always = job({ template: { spec: { ...structuredClone(template.spec), restartPolicy: 'Always' } } })
    expect(createProblems(jobStrategy, always)).toContainEqual(
      expect.stringMatching(/^spec\.template\.spec\.restartPolicy: Required value: valid values: "OnFailure", "Never"/),
    )
  })

  it('show how far they are', () => {
    const done = { ...job({ completions: 3, parallelism: 1 }), status: { succeeded: 1, startTime: '2024-05-01T11:59:00Z' } }
    expect(rowOf(jobStrategy, done)).toMatchObject({ Name: 'web', Status: 'Running', Completions: '1/3', Duration: '60s', Age: '60m' })
  })
})

describe('cron jobs', () => {
  const cronJob = (schedule: string, spec: Partial<CronJob['spec']> = {}): CronJob => ({
    metadata: { ...metadata },
    spec: {
      schedule,
      jobTemplate: { spec: { template: { spec: { ...structuredClone(template.spec), restartPolicy: 'Never' } } } },
      ...spec,
    },
  })

  it('have upstream’s defaults', () => {
    expect(defaulted(cronJobStrategy, cronJob('@hourly')).spec).toMatchObject({
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    })
  })

  it.each([
    ['*/5 * * * *', 0],
    ['0 0 1-5/2 jan,feb MON', 0],
    ['@every 1h30m', 0],
    ['@weekly', 0],
    ['* * * *', 1],
    ['60 * * * *', 1],
    ['*/0 * * * *', 1],
    ['', 1],
  ])('read "%s" with %i problems', (schedule, count) => {
    expect(createProblems(cronJobStrategy, cronJob(schedule))).toHaveLength(count)
  })

  it('know time zones', () => {
    expect(createProblems(cronJobStrategy, cronJob('@daily', { timeZone: 'Europe/Berlin' }))).toEqual([])
    expect(createProblems(cronJobStrategy, cronJob('@daily', { timeZone: 'Nowhere/None' }))).toEqual([
      'spec.timeZone: Invalid value: "Nowhere/None": unknown time zone Nowhere/None',
    ])
  })
})
