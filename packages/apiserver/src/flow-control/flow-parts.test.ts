import type { PriorityLevelConfiguration } from '@k3s/api/types/flowcontrol/v1'
import { array, assert as check, integer, property, record, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allocateSeats } from './allocate-seats.ts'
import { mandatoryObjects, suggestedObjects } from './bootstrap-objects.ts'
import { estimateSeats } from './estimate-seats.ts'
import { planRevision } from './keep-flow-objects.ts'
import { byPrecedence, flowMatcher, type FlowRequest } from './match-flow.ts'
import { lendSeats, PriorityLevel } from './priority-level.ts'
import { RetryAfter } from './retry-after.ts'
import { SeatDemand } from './seat-demand.ts'
import { dealHand } from './shuffle-shard.ts'

describe('dealHand()', () => {
  it('deals different queues, the same to the same flow, and spreads flows', () => {
    check(
      property(string(), integer({ min: 1, max: 200 }), integer({ min: 1, max: 8 }), (flow, queues, wanted) => {
        const handSize = Math.min(queues, wanted)
        const hand = dealHand(flow, queues, handSize)
        expect(new Set(hand).size).toBe(handSize)
        expect(Math.min(...hand)).toBeGreaterThanOrEqual(0)
        expect(Math.max(...hand)).toBeLessThan(queues)
        expect(dealHand(flow, queues, handSize)).toEqual(hand)
      }),
    )
    const used = new Set(Array.from({ length: 200 }, (_, index) => dealHand(`user-${index}`, 64, 6)).flat())
    expect(used.size).toBe(64)
  })
})

describe('allocateSeats()', () => {
  const claim = record({ lower: integer({ min: 0, max: 50 }), extra: integer({ min: 0, max: 200 }), target: integer({ min: 0, max: 300 }) })

  it('gives everybody the same fraction within the bounds, and all there is', () => {
    check(
      property(array(claim, { minLength: 1, maxLength: 8 }), integer({ min: 0, max: 1000 }), (raw, total) => {
        const claims = raw.map(({ lower, extra, target }) => ({ lower, upper: lower + extra, target }))
        const { seats } = allocateSeats(total, claims)
        for (const [index, { lower, upper }] of claims.entries()) {
          expect(seats[index]).toBeGreaterThanOrEqual(lower)
          expect(seats[index]).toBeLessThanOrEqual(upper)
        }
        const sum = seats.reduce((left, right) => left + right, 0)
        const lowest = claims.reduce((left, { lower }) => left + lower, 0)
        const highest = claims.reduce((left, { upper }) => left + upper, 0)
        expect(sum).toBeCloseTo(Math.max(lowest, Math.min(highest, total)), 5)
      }),
    )
  })

  it('divides by demand', () => {
    const { seats, fairFraction } = allocateSeats(100, [
      { lower: 10, upper: 1000, target: 150 },
      { lower: 10, upper: 1000, target: 50 },
      { lower: 0, upper: 20, target: 200 },
    ])
    expect(seats.map(Math.round)).toEqual([60, 20, 20])
    expect(fairFraction).toBeCloseTo(0.4, 5)
  })
})

describe('lendSeats()', () => {
  const levelsOf = (total: number): PriorityLevel[] => {
    const objects = [...mandatoryObjects().levels, ...suggestedObjects().levels]
    return objects.map((object) => {
      const level = new PriorityLevel(object, 0)
      level.configure(object, total, 245)
      return level
    })
  }

  it('begins with what is configured', () => {
    const levels = levelsOf(600)
    expect(Object.fromEntries(levels.map(({ name, nominal, min, max }) => [name, [nominal, min, max]]))).toMatchObject({
      exempt: [0, 0, 600],
      'catch-all': [13, 13, 613],
      system: [74, 50, 674],
      'workload-low': [245, 24, 845],
      'global-default': [49, 24, 649],
    })
    expect(levels.find(({ name }) => name === 'global-default')?.maxSeats).toBe(8)
  })

  it('lends what is idle to a level that asks for more, and keeps what others are promised', () => {
    const levels = levelsOf(600)
    const busy = levels.find(({ name }) => name === 'global-default')
    busy?.queueSet.configure(49, busy.queuing)
    for (const level of levels) level.takeDemand(0)
    if (busy !== undefined) busy.smoothed = 5000
    lendSeats(levels)
    expect(busy?.current).toBeGreaterThan(250)
    for (const level of levels) expect(level.current).toBeGreaterThanOrEqual(level.min)
  })
})

describe('SeatDemand', () => {
  it('summarises over time and starts anew', () => {
    const demand = new SeatDemand(0)
    demand.set(10, 0)
    demand.set(0, 5)
    expect(demand.take(10)).toEqual({ highWatermark: 10, average: 5, deviation: 5 })
    expect(demand.take(20)).toEqual({ highWatermark: 0, average: 0, deviation: 0 })
  })
})

describe('RetryAfter', () => {
  it('sends clients away for longer while many come, and less when few do', () => {
    const retry = new RetryAfter()
    expect(retry.refuse(1000)).toBe(1)
    let longest = 1
    for (let now = 1000; now < 60_000; now += 10) longest = Math.max(longest, retry.refuse(now))
    expect(longest).toBe(32)
    let last = longest
    for (let now = 100_000; now < 3_000_000; now += 40_000) last = retry.refuse(now)
    expect(last).toBe(1)
  })
})

describe('flow schemas', () => {
  const schemas = [...mandatoryObjects().schemas, ...suggestedObjects().schemas].toSorted(byPrecedence)
  const flowOf = (request: Partial<FlowRequest>, name: string, groups: readonly string[] = ['system:authenticated']): string | undefined =>
    schemas.find((schema) =>
      flowMatcher(schema)(
        { isResource: true, verb: 'get', path: '', group: '', resource: 'pods', subresource: '', namespace: 'default', ...request },
        { name, groups },
      ),
    )?.metadata.name

  it.each([
    ['exempt', {}, 'admin', ['system:masters', 'system:authenticated']],
    ['probes', { isResource: false, path: '/readyz/ping' }, 'system:anonymous', ['system:unauthenticated']],
    ['global-default', { isResource: false, path: '/metrics' }, 'jane', ['system:authenticated']],
    ['system-node-high', { verb: 'patch', resource: 'nodes', subresource: 'status', namespace: '' }, 'system:node:a', ['system:nodes']],
    ['system-node-high', { verb: 'update', group: 'coordination.k8s.io', resource: 'leases' }, 'system:node:a', ['system:nodes']],
    ['system-nodes', {}, 'system:node:a', ['system:nodes']],
    ['system-leader-election', { verb: 'update', group: 'coordination.k8s.io', resource: 'leases' }, 'system:kube-scheduler', []],
    ['kube-scheduler', {}, 'system:kube-scheduler', []],
    ['kube-system-service-accounts', {}, 'system:serviceaccount:kube-system:job-controller', ['system:serviceaccounts']],
    ['service-accounts', {}, 'system:serviceaccount:kube-systems:x', ['system:serviceaccounts', 'system:authenticated']],
    ['global-default', {}, 'jane', ['system:authenticated']],
    [undefined, {}, 'nobody', []],
  ] as const)('%s takes its requests', (expected, request, name, groups) => {
    expect(flowOf(request, name, groups)).toBe(expected)
  })

  it('are told apart by cluster scope and namespaces', () => {
    const matches = flowMatcher({
      spec: {
        priorityLevelConfiguration: { name: 'x' },
        rules: [
          {
            subjects: [{ kind: 'User', user: { name: '*' } }],
            resourceRules: [{ verbs: ['list'], apiGroups: ['apps'], resources: ['*'], namespaces: ['a'] }],
            nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/logs/*', '/healthz'] }],
          },
        ],
      },
    })
    const ask = (request: Partial<FlowRequest>): boolean =>
      matches(
        { isResource: true, verb: 'list', path: '', group: 'apps', resource: 'deployments', subresource: '', namespace: 'a', ...request },
        { name: 'u', groups: [] },
      )
    expect(ask({})).toBe(true)
    expect(ask({ namespace: 'b' })).toBe(false)
    expect(ask({ namespace: '' })).toBe(false)
    expect(ask({ group: '' })).toBe(false)
    expect(ask({ isResource: false, verb: 'get', path: '/logs/x/y' })).toBe(true)
    expect(ask({ isResource: false, verb: 'get', path: '/healthz/etcd' })).toBe(true)
    expect(ask({ isResource: false, verb: 'get', path: '/healthzz' })).toBe(false)
  })

  it('have the names of upstream’s', () => {
    expect(schemas.map(({ metadata, spec }) => `${spec.matchingPrecedence} ${metadata.name}`)).toEqual([
      '1 exempt',
      '2 probes',
      '100 system-leader-election',
      '400 system-node-high',
      '500 system-nodes',
      '800 kube-controller-manager',
      '800 kube-scheduler',
      '900 kube-system-service-accounts',
      '9000 service-accounts',
      '9900 global-default',
      '10000 catch-all',
    ])
  })
})

describe('planRevision()', () => {
  const wanted = suggestedObjects().levels[0]
  if (wanted === undefined) throw new Error('there are suggested levels')
  const changed = (annotation: string | undefined, generation = 2): PriorityLevelConfiguration => ({
    ...wanted,
    metadata: {
      name: wanted.metadata.name,
      generation,
      annotations: annotation === undefined ? {} : { 'apf.kubernetes.io/autoupdate-spec': annotation },
    },
    spec: { ...wanted.spec, limited: { ...wanted.spec.limited, nominalConcurrencyShares: 7 } },
  })

  it('leaves an operator’s changes alone unless the object says otherwise or must be so', () => {
    expect(planRevision(changed('false'), wanted, false)).toBeUndefined()
    expect(planRevision(changed(undefined), wanted, false)).toEqual({ follows: false, spec: undefined })
    expect(planRevision(changed(undefined, 1), wanted, false)).toEqual({ follows: true, spec: wanted.spec })
    expect(planRevision(changed('true'), wanted, false)).toEqual({ follows: true, spec: wanted.spec })
    expect(planRevision(changed('false'), wanted, true)).toEqual({ follows: true, spec: wanted.spec })
    expect(planRevision(wanted, wanted, true)).toBeUndefined()
  })
})

describe('estimateSeats()', () => {
  const seats = (verb: string, query: string, load = { objects: 1000, watchers: 0 }, maxSeats = 20): number =>
    estimateSeats({ verb, resource: 'pods', subresource: '', name: '' }, new URLSearchParams(query), { load: () => load, maxSeats })

  it('counts what a list looks at and who hears of a write', () => {
    expect(seats('get', '')).toBe(1)
    expect(seats('list', '')).toBe(10)
    expect(seats('list', 'limit=250')).toBe(3)
    expect(seats('list', 'limit=250&labelSelector=a')).toBe(10)
    expect(seats('list', '', { objects: 100_000, watchers: 0 })).toBe(20)
    expect(seats('list', '', { objects: 100_000, watchers: 0 }, Infinity)).toBe(100)
    expect(seats('watch', 'resourceVersion=7')).toBe(1)
    expect(seats('watch', 'resourceVersion=7&sendInitialEvents=true')).toBe(10)
    expect(seats('watch', '')).toBe(10)
    expect(seats('create', '', { objects: 0, watchers: 9 })).toBe(1)
    expect(seats('create', '', { objects: 0, watchers: 31 })).toBe(4)
    expect(seats('update', '', { objects: 0, watchers: 900 })).toBe(10)
  })
})
