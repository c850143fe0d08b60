import { describe, expect, it, vi } from 'vitest'
import { countEntries, isMoreOften, isOfDeleted, isOursOnly } from './churn/klog.ts'
import { coursesOf, followMemory, toldMemory } from './churn/memory.ts'
import { makePlan } from './churn/plan.ts'
import type { Operation } from './churn/planning.ts'
import { hasFailed, reportOf, type Run } from './churn/report.ts'
import { runPlan } from './churn/run-plan.ts'
import type { Side } from './churn/side.ts'

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

  it('is the same without what is in an object that it shows', () => {
    const line = (name: string): string =>
      error(`err="cannot store &v1.DaemonSet{Name:\\"${name}\\", Spec:v1.Spec{}}: &Event{A:${name}} it is gone"`)
    expect(countEntries({ ours: [line('one')], original: [line('other')] }, 'klog')).toMatchObject([{ ours: 1, original: 1 }])
  })

  it('is the same whichever controller passes on what shared code states, but not about another resource', () => {
    const stale = (resource: string): string => `read version: 43883 is not as new as written version: 43885 for group resource ${resource}`
    const ours = [error(`"Unhandled Error" err="ns-1/ds-2 failed with : ${stale('pods')}" logger="UnhandledError"`)]
    const original = [
      error(`"Error syncing StatefulSet" err="${stale('pods')}" key="ns-1/sts-2"`),
      error(`err="sync: ${stale('jobs.batch')}"`),
    ]
    expect(countEntries({ ours, original }, 'klog').map((entry) => [entry.ours, entry.original])).toEqual([
      [1, 1],
      [0, 1],
    ])
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
    makePlan({ seed, seconds: 600, rate: 3 }).map(({ atMs, lanes, what }) => `${Math.round(atMs)} ${lanes.join(' ')} ${what}`)

  it('is the same for the same seed and another for another one', () => {
    expect(told(1)).toEqual(told(1))
    expect(told(1)).not.toEqual(told(2))
  })

  it('does all that is churned, at about the rate that is asked for', () => {
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
  })

  it('acts in a namespace only after it was made and before it is deleted, however late it is', async () => {
    const plan = makePlan({ seed: 1, seconds: 600, rate: 3 })
    const said = new Map<Operation, string>()
    for (const operation of plan) said.set(operation, (await requestsOf(operation)).join('\n'))
    for (const operation of plan)
      for (const [namespace] of said.get(operation)?.matchAll(/\bns-\d+/g) ?? []) expect(operation.lanes).toContain(namespace)
    expect([...said].filter(([{ what }, text]) => what === 'create custom object' && /ns-\d+/.test(text)).length).toBeGreaterThan(10)
    const namespaces = plan.filter(({ what }) => what === 'create Namespace').flatMap(({ lanes }) => lanes)
    for (const namespace of namespaces) {
      const whats = plan.filter(({ lanes }) => lanes.includes(namespace)).map(({ what }) => what)
      expect(whats[0]).toBe('create Namespace')
      const end = whats.indexOf('delete Namespace')
      if (end >= 0)
        expect(new Set(whats.slice(end + 1))).toEqual(new Set(whats.slice(end + 1).filter((what) => what === 'delete PersistentVolume')))
    }
  })

  /** Paths and arguments of what an operation would do. */
  async function requestsOf(operation: Operation): Promise<readonly string[]> {
    const requests: string[] = []
    const side = {
      async ask(_: string, path: string) {
        requests.push(path)
        return { metadata: { name: 'it', uid: 'one' }, items: [] }
      },
      until: async (_: string, probe: () => Promise<unknown>) => probe().catch(() => {}),
      async runKubectl(args: readonly string[]) {
        requests.push(args.join(' '))
        return ''
      },
    }
    await operation.run(side as unknown as Side) // operations do no more with it
    return requests
  }

  it('runs operations that share a lane one after another, and others meanwhile', async () => {
    const began: string[] = []
    const ends = new Map<string, () => void>()
    const operation = (what: string, ...lanes: readonly string[]): Operation => ({
      atMs: 0,
      lanes,
      what,
      run: () => {
        began.push(what)
        return new Promise((resolve) => ends.set(what, resolve))
      },
    })
    const plan = [operation('1', 'a'), operation('2', 'b'), operation('3', 'a', 'b'), operation('4', 'b'), operation('5', 'c')]
    const done = runPlan({} as Side, plan, new AbortController().signal) // these operations ask it nothing
    const begun = (...whats: readonly string[]): Promise<void> => vi.waitFor(() => expect(began.toSorted()).toEqual(whats))
    await begun('1', '2', '5')
    ends.get('1')?.()
    ends.get('5')?.()
    await new Promise(setImmediate)
    expect(began).not.toContain('3')
    ends.get('2')?.()
    await begun('1', '2', '3', '5')
    ends.get('3')?.()
    await begun('1', '2', '3', '4', '5')
    ends.get('4')?.()
    expect(await done).toEqual([])
  })
})

describe('memory', () => {
  it('is told by half of the time and in the end', async () => {
    const stop = new AbortController()
    let count = 0
    const samples = followMemory(async () => ({ 'api-server': ++count }), stop.signal)
    stop.abort()
    expect(await samples).toEqual([{ 'api-server': 1 }])
    expect(coursesOf([{ a: 5 }, { a: 3, b: 1 }, { a: 4 }, { a: 2, b: 7 }])).toEqual([
      { name: 'a', firstHalf: 5, secondHalf: 4, last: 2 },
      { name: 'b', firstHalf: 1, secondHalf: 7, last: 7 },
    ])
  })

  it('of our server is what it logged last', () => {
    const line = (megabytes: number): string => JSON.stringify({ message: 'Memory', heapUsed: megabytes * 2 ** 20, arrayBuffers: 2 ** 20 })
    expect(toldMemory('{"message":"other"}\n')).toEqual({})
    expect(toldMemory(`${line(1)}\n${line(3)}\n{"message":"other"}\n`)).toEqual({ 'api-server, heap': 3, 'api-server, array buffers': 1 })
  })
})

describe('a run', () => {
  const text = 'garbagecollector.go: "alone"'
  const component = 'kube-controller-manager'
  const operation = { atMs: 0, lanes: ['ns-1'], what: 'create Pod', run: async () => {} }
  const state = { counts: new Map([['ns-1 Pod Running', 1]]), unsettled: [] }
  const run = (what: Partial<Run>): Run => ({
    minutes: 1,
    seed: 1,
    plan: [operation],
    outcomes: { ours: [], original: [] },
    logs: [],
    recorded: new Set(),
    states: { ours: state, original: state },
    differences: [],
    processorSeconds: { ours: {}, original: {} },
    memory: { ours: [], original: [] },
    dead: { ours: [], original: [] },
    ...what,
  })
  const logged = (ours: number, original: number): Run['logs'] => [
    { component, entries: [{ severity: 'E', text, ours, original, example: 'E1124 alone' }] },
  ]

  it.each<readonly [string, Partial<Run>]>([
    ['logs an error with ours alone', { logs: logged(1, 0) }],
    ['logs an error far more often with ours', { logs: logged(40, 1) }],
    ['has an operation that ours alone refuses', { outcomes: { ours: ['Forbidden: no'], original: [] } }],
    ['ends in another state', { differences: ['ns-1 Pod Running: ours 1, original 2'] }],
    ['does not settle', { states: { ours: { ...state, unsettled: ['Namespace ns-1 is being deleted'] }, original: state } }],
    ['loses a process', { dead: { ours: ['kube-controller-manager'], original: [] } }],
  ])('fails when it %s', (_, what) => {
    expect(hasFailed(run(what))).toBe(true)
    expect(reportOf(run(what))).toContain('**failed**')
  })

  it.each<readonly [string, Partial<Run>]>([
    ['both sides log', { logs: logged(40, 20) }],
    ['the original alone logs', { logs: logged(0, 1) }],
    ['ours alone logs this time', { logs: logged(1, 0), recorded: new Set([`${component} ${text}`]) }],
    ['both sides refuse', { outcomes: { ours: ['Conflict: x'], original: ['Conflict: y'] } }],
  ])('passes with what %s', (_, what) => {
    expect(hasFailed(run(what))).toBe(false)
  })
})
