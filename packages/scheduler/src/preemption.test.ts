import type { Pod } from '@k3s/api/types/core/v1'
import type { PodDisruptionBudget } from '@k3s/api/types/policy/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPod, testPodInfo } from '../test/cluster.ts'
import { defaultPlugins } from './default-plugins.ts'
import { findNode, type NotFound } from './find-node.ts'
import { Nominations } from './nominations.ts'
import { podInfoOf } from './pod-info.ts'
import { pickVictims, planPreemption, splitByBudget } from './preemption.ts'

const nowMs = Date.parse('2026-01-01T12:00:00Z')
const running = (name: string, nodeName: string, cpu: string, priority: number, rest: Partial<Pod> = {}): Pod => ({
  ...testPod(
    { nodeName, priority, containers: [{ name: 'c', resources: { requests: { cpu } } }] },
    { name, uid: name, labels: { app: name }, ...rest.metadata },
  ),
  ...(rest.status === undefined ? {} : { status: rest.status }),
})
const wanting = (cpu: string, priority: number, spec: Partial<Pod['spec']> = {}) =>
  testPodInfo({ priority, containers: [{ name: 'c', resources: { requests: { cpu } } }], ...spec })

function plan(
  pod: ReturnType<typeof wanting>,
  existing: readonly Pod[],
  budgets: readonly PodDisruptionBudget[] = [],
  nominations = new Nominations(),
) {
  const nodes = [...new Set(existing.map(({ spec }) => spec.nodeName ?? ''))].map((name) => testNode(name))
  const cluster = testCluster(nodes, existing, { poddisruptionbudgets: budgets })
  const found = findNode(pod, cluster, {
    plugins: defaultPlugins,
    nominations,
    percentageOfNodesToScore: 0,
    startIndex: 0,
    random: () => 0,
  })
  expect(found.node).toBeUndefined()
  const preemption = planPreemption(pod, cluster, found as NotFound, { nominations, random: () => 0, nowMs })
  const { victims } = preemption
  return victims === undefined ? preemption.message : `${victims.node.name}: ${victims.pods.map(({ pod }) => pod.metadata.name).join(' ')}`
}

const budget = (app: string, disruptionsAllowed: number): PodDisruptionBudget => ({
  metadata: { name: app, namespace: 'default' },
  spec: { selector: { matchLabels: { app } } },
  status: { disruptionsAllowed },
})

describe('planPreemption()', () => {
  it.each<[string, string, Pod[], string]>([
    ['takes no more than it needs', '1', [running('a', 'n', '2', 1), running('b', 'n', '2', 1)], 'n: b'],
    ['takes the least important', '2', [running('a', 'n', '2', 5), running('b', 'n', '2', 1)], 'n: b'],
    ['takes several', '4', [running('a', 'n', '2', 5), running('b', 'n', '2', 1)], 'n: a b'],
    ['prefers the node whose victims have lower priority', '3', [running('a', 'n', '3', 5), running('b', 'm', '3', 1)], 'm: b'],
    ['prefers fewer victims', '3', [running('a', 'n', '2', 1), running('b', 'n', '2', 1), running('c', 'm', '4', 1)], 'm: c'],
    [
      'leaves pods of its own priority',
      '3',
      [running('a', 'n', '3', 10)],
      '0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    ],
    [
      'says when that is not enough',
      '3',
      [running('a', 'n', '2', 10), running('b', 'n', '1', 1)],
      '0/1 nodes are available: 1 Insufficient cpu.',
    ],
    [
      'does not try where the node is too small',
      '5',
      [running('a', 'n', '4', 1)],
      '0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
    ],
  ])('%s', (_case, cpu, existing, expected) => {
    expect(plan(wanting(cpu, 10), existing)).toBe(expected)
  })

  it('prefers victims that started later', () => {
    const started = (startTime: string) => ({ status: { startTime } })
    const old = running('old', 'n', '2', 1, started('2026-01-01T01:00:00Z'))
    const young = running('young', 'n', '2', 1, started('2026-01-01T11:00:00Z'))
    expect(plan(wanting('2', 10), [young, old])).toBe('n: young')
  })

  it('breaks a disruption budget only when nothing else helps', () => {
    const existing = [running('a', 'n', '4', 1), running('b', 'm', '4', 5)]
    expect(plan(wanting('4', 10), existing, [budget('a', 0)])).toBe('m: b')
    expect(plan(wanting('4', 10), existing, [budget('a', 0), budget('b', 0)])).toBe('n: a')
    expect(plan(wanting('4', 10), existing, [budget('a', 1)])).toBe('n: a')
  })

  it('does nothing for a pod that must not preempt', () => {
    expect(plan(wanting('4', 10, { preemptionPolicy: 'Never' }), [running('a', 'n', '4', 1)])).toBe(
      'not eligible due to preemptionPolicy=Never.',
    )
  })

  it('waits while the victims of an earlier preemption end', () => {
    const status = { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] }
    const metadata = { name: 'a', uid: 'a', deletionTimestamp: '2026-01-01T12:00:10Z' }
    const pod = wanting('4', 10)
    const nominations = new Nominations()
    nominations.set(pod, 'n')
    const existing = [running('a', 'n', '4', 1, { metadata, status }), running('b', 'm', '4', 1)]
    expect(plan(pod, existing, [], nominations)).toBe('not eligible due to a terminating pod on the nominated node.')
  })
})

describe('splitByBudget()', () => {
  it.each<[string, PodDisruptionBudget, string[]]>([
    ['allows none', budget('a', 0), ['1', '2']],
    ['allows one', budget('a', 1), ['2']],
    ['is about others', budget('b', 0), []],
    ['is of another namespace', { ...budget('a', 0), metadata: { name: 'a', namespace: 'other' } }, []],
    ['selects everything by selecting nothing', { ...budget('a', 0), spec: { selector: {} } }, []],
    ['counts a disruption already', { ...budget('a', 0), status: { disruptionsAllowed: 0, disruptedPods: { 1: '' } } }, ['2']],
  ])('when the budget %s', (_case, pdb, expected) => {
    const pods = ['1', '2'].map((name) => podInfoOf(testPod({}, { name, labels: { app: 'a' } })))
    expect(splitByBudget(pods, [pdb]).violating.map(({ pod }) => pod.metadata.name)).toEqual(expected)
  })
})

it('pickVictims() takes the first of equals', () => {
  const cluster = testCluster([testNode('a'), testNode('b')])
  const pods = [testPodInfo({ priority: -5 })]
  const candidates = cluster.nodes.map((node) => ({ node, pods, violations: 0 }))
  expect(pickVictims(candidates, nowMs)?.node.name).toBe('a')
  expect(pickVictims([], nowMs)).toBeUndefined()
})
