import { describe, expect, it } from 'vitest'
import { countEntries, isMoreOften, isOfDeleted, isOursOnly } from './churn/klog.ts'
import { makePlan } from './churn/plan.ts'
import { hasFailed, reportOf, type Run } from './churn/report.ts'

const error = (message: string): string => `E1124 00:12:13.123456    4711 garbagecollector.go:360] ${message}`

describe('what is logged', () => {
  it('is the same whatever its names, times, addresses and numbers are', () => {
    const [count, ...more] = countEntries(
      {
        ours: [
          error('"Unhandled" err="cannot sync ns-3/dep-17-6b8f7c9d4-x2x9k: dial tcp 127.0.0.1:1234->127.0.0.1:99 after 1.5s, rv 1234"'),
        ],
        original: [
          error('"Unhandled" err="cannot sync ns-4/app-2: dial tcp 127.0.0.1:1->127.0.0.1:2 after 12ms, rv 98"'),
          'I1124 00:12:13.1 1 a.go:1] fine',
        ],
      },
      'klog',
    )
    expect(more).toEqual([])
    expect(count).toMatchObject({ severity: 'E', ours: 1, original: 1 })
  })

  it('is an error of ours alone when the other side never says it, and told of when ours says it far more often', () => {
    const often = Array.from({ length: 31 }, () => error('"often"'))
    const entries = countEntries({ ours: [error('"alone"'), ...often], original: [...often.slice(0, 10), error('"theirs"')] }, 'klog')
    expect(entries.filter(isOursOnly).map(({ text }) => text)).toEqual(['garbagecollector.go: "alone"'])
    expect(entries.filter(isMoreOften).map(({ text }) => text)).toEqual(['garbagecollector.go: "often"'])
  })

  it("is nobody's error when it is true of a thing that was just deleted", () => {
    const deletions = new Map([['hpa-3', new Date(2026, 10, 24, 0, 12, 10).getTime()]])
    const line = (name: string, time: string): string => error(`err="hpas \\"${name}\\" not found"`).replace('00:12:13', time)
    expect(isOfDeleted(line('hpa-3', '00:12:13'), deletions)).toBe(true)
    expect(isOfDeleted(line('hpa-3-5c6d', '00:12:10'), deletions)).toBe(true)
    for (const [name, time] of [
      ['hpa-3', '00:12:08'],
      ['hpa-3', '00:12:21'],
      ['hpa-31', '00:12:13'],
      ['hpa-4', '00:12:13'],
    ] as const)
      expect(isOfDeleted(line(name, time), deletions)).toBe(false)
    expect(isOfDeleted(error('"hpa-3" is invalid'), deletions)).toBe(false)
    expect(isOfDeleted(error('sync ns-7/hpa-9: hpas "hpa-9" not found'), new Map([['ns-7', deletions.get('hpa-3') ?? 0]]))).toBe(true)
    const sides = { ours: [line('hpa-3', '00:12:13'), line('hpa-4', '00:12:13')], original: [] }
    expect(countEntries(sides, 'klog', { ours: deletions, original: new Map() })).toMatchObject([{ ours: 1, original: 0 }])
  })

  it('is an error for kubectl in whatever form it complains, but for warnings; and a panic for everybody', () => {
    const lines = ['error: timed out waiting', 'Warning: v1 Endpoints is deprecated', 'E1124 00:12:13.1 1 memcache.go:265] "no"']
    expect(countEntries({ ours: lines, original: [] }, 'plain').map(({ severity }) => severity)).toEqual(['E', 'E', 'W'])
    expect(countEntries({ ours: ['panic: nil', 'goroutine 1 [running]:'], original: [] }, 'klog')).toHaveLength(1)
  })
})

describe('the plan', () => {
  const told = (seed: number): readonly string[] =>
    makePlan({ seed, seconds: 600, rate: 3 }).map(({ atMs, lane, what }) => `${Math.round(atMs)} ${lane} ${what}`)

  it('is the same for the same seed and another for another one', () => {
    expect(told(1)).toEqual(told(1))
    expect(told(1)).not.toEqual(told(2))
  })

  it('does all that is churned, at about the rate that is asked for, and does nothing in a namespace that is about to die', () => {
    const plan = makePlan({ seed: 1, seconds: 600, rate: 3 })
    const kinds = new Set(plan.map(({ what }) => what))
    for (const kind of [
      'Deployment',
      'StatefulSet',
      'DaemonSet',
      'Job',
      'CronJob',
      'Service',
      'HorizontalPodAutoscaler',
      'PodDisruptionBudget',
    ])
      expect([...kinds]).toEqual(expect.arrayContaining([`create ${kind}`, `delete ${kind}`]))
    expect([...kinds]).toEqual(
      expect.arrayContaining([
        'delete Namespace',
        'create custom object',
        'delete CustomResourceDefinition',
        'create token',
        'delete owner',
        'evict Pod',
        'kubectl apply',
      ]),
    )
    expect(plan.length).toBeGreaterThan(1800)
    expect(plan.length).toBeLessThan(1800 * 1.3)
    for (const { lane, atMs } of plan.filter(({ what }) => what === 'delete Namespace'))
      expect(plan.filter((other) => other.lane === lane && other.atMs > atMs)).toEqual([])
  })
})

describe('a run', () => {
  const text = 'garbagecollector.go: "alone"'
  const component = 'kube-controller-manager'
  const operation = { atMs: 0, lane: 'ns-1', what: 'create Pod', run: async () => {} }
  const state = { counts: new Map([['ns-1 Pod Running', 1]]), unsettled: [] }
  const run = (what: Partial<Run>): Run => ({
    minutes: 1,
    plan: [operation],
    outcomes: { ours: [], original: [] },
    logs: [],
    recorded: new Set(),
    states: { ours: state, original: state },
    differences: [],
    processorSeconds: { ours: {}, original: {} },
    dead: { ours: [], original: [] },
    ...what,
  })
  const logged = (ours: number, original: number): Run['logs'] => [
    { component, entries: [{ severity: 'E', text, ours, original, example: 'E1124 alone' }] },
  ]

  it.each<readonly [string, Partial<Run>]>([
    ['logs an error with ours alone', { logs: logged(1, 0) }],
    ['has an operation that ours alone refuses', { outcomes: { ours: ['Forbidden: no'], original: [] } }],
    ['ends in another state', { differences: ['ns-1 Pod Running: ours 1, original 2'] }],
    ['does not settle', { states: { ours: { ...state, unsettled: ['Namespace ns-1 is being deleted'] }, original: state } }],
    ['loses a process', { dead: { ours: ['kube-controller-manager'], original: [] } }],
  ])('fails when it %s', (_, what) => {
    expect(hasFailed(run(what))).toBe(true)
    expect(reportOf(run(what))).toContain('**failed**')
  })

  it.each<readonly [string, Partial<Run>]>([
    ['both sides log', { logs: logged(40, 1) }],
    ['the original alone logs', { logs: logged(0, 1) }],
    ['ours alone logs this time', { logs: logged(1, 0), recorded: new Set([`${component} ${text}`]) }],
    ['both sides refuse', { outcomes: { ours: ['Conflict: x'], original: ['Conflict: y'] } }],
  ])('passes with what %s', (_, what) => {
    expect(hasFailed(run(what))).toBe(false)
  })
})
