import type { Pod, TopologySpreadConstraint } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPod, testPodInfo } from '../../test/cluster.ts'
import { Trial } from '../filters.ts'
import { isRejection, type FilterCheck } from '../framework.ts'
import { podInfoOf } from '../pod-info.ts'
import { podTopologySpread } from './pod-topology-spread.ts'

const zone = 'topology.kubernetes.io/zone'
const nodes = [testNode('a1', { [zone]: 'a' }), testNode('a2', { [zone]: 'a' }), testNode('b1', { [zone]: 'b' }), testNode('none')]
const hard = (rest: Partial<TopologySpreadConstraint> = {}): TopologySpreadConstraint => ({
  maxSkew: 1,
  topologyKey: zone,
  whenUnsatisfiable: 'DoNotSchedule',
  labelSelector: { matchLabels: { app: 'x' } },
  ...rest,
})
const on = (nodeName: string, count: number, labels: Record<string, string> = { app: 'x' }): Pod[] =>
  Array.from({ length: count }, () => testPod({ nodeName }, { labels }))

function fitting(constraints: TopologySpreadConstraint[], existing: readonly Pod[], spec: Partial<Pod['spec']> = {}): string {
  const cluster = testCluster(nodes, existing)
  const pod = testPodInfo({ topologySpreadConstraints: constraints, ...spec }, { labels: { app: 'x', version: '2' } })
  const check = podTopologySpread.prepareFilter?.(pod, cluster)
  if (check === undefined || isRejection(check)) return 'skips'
  return cluster.nodes
    .filter((node) => check.check(node) === undefined)
    .map(({ name }) => name)
    .toSorted()
    .join(' ')
}

describe('podTopologySpread', () => {
  it.each<[string, TopologySpreadConstraint[], Pod[], string]>([
    ['nothing there', [hard()], [], 'a1 a2 b1'],
    ['one more in a zone', [hard()], on('a1', 1), 'b1'],
    ['equal zones', [hard()], [...on('a1', 1), ...on('b1', 1)], 'a1 a2 b1'],
    ['a larger skew allowed', [hard({ maxSkew: 2 })], on('a1', 1), 'a1 a2 b1'],
    ['pods that do not count', [hard()], on('a1', 3, { app: 'y' }), 'a1 a2 b1'],
    ['fewer domains than wanted', [hard({ minDomains: 3 })], [...on('a1', 1), ...on('b1', 1)], ''],
    ['zones and nodes', [hard(), hard({ topologyKey: 'kubernetes.io/hostname' })], [...on('a1', 1), ...on('b1', 1)], 'a2'],
    ['the same version only', [hard({ matchLabelKeys: ['version'] })], on('a1', 2), 'a1 a2 b1'],
    ['a soft constraint', [hard({ whenUnsatisfiable: 'ScheduleAnyway' })], on('a1', 5), 'skips'],
  ])('filters with %s', (_case, constraints, existing, expected) => {
    expect(fitting(constraints, existing)).toBe(expected)
  })

  it('leaves nodes out of the count that the pod may not be on, unless told to ignore that', () => {
    const spec = { nodeSelector: { [zone]: 'a' } }
    expect(fitting([hard()], on('a1', 3), spec)).toBe('a1 a2 b1')
    expect(fitting([hard({ nodeAffinityPolicy: 'Ignore' })], on('a1', 3), spec)).toBe('b1')
  })

  it('names what is missing', () => {
    const cluster = testCluster(nodes, on('a1', 1))
    const check = podTopologySpread.prepareFilter?.(
      testPodInfo({ topologySpreadConstraints: [hard()] }, { labels: { app: 'x' } }),
      cluster,
    ) as FilterCheck
    expect(check.check(cluster.node('a1')!)).toMatchObject({
      reasons: ["node(s) didn't match pod topology spread constraints"],
      isResolvable: true,
    })
    expect(check.check(cluster.node('none')!)).toMatchObject({
      reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
      isResolvable: false,
    })
  })

  it('sees a pod go in a trial', () => {
    const existing = testPod({ nodeName: 'a1' }, { labels: { app: 'x' } })
    const cluster = testCluster(nodes, [existing])
    const pod = testPodInfo({ topologySpreadConstraints: [hard()] }, { labels: { app: 'x' } })
    const trial = new Trial(cluster.node('a1')!, [podTopologySpread.prepareFilter?.(pod, cluster) as FilterCheck])
    expect(trial.check()).toBeDefined()
    trial.remove(podInfoOf(existing))
    expect(trial.check()).toBeUndefined()
  })

  const scores = (pod: Parameters<typeof testPodInfo>, existing: readonly Pod[], objects: Parameters<typeof testCluster>[2] = {}) => {
    const cluster = testCluster(nodes, existing, objects)
    const scorer = podTopologySpread.prepareScore?.(testPodInfo(...pod), cluster.nodes, cluster)
    if (scorer === undefined) return undefined
    const values = cluster.nodes.map((node) => scorer.score(node))
    scorer.normalize?.(values, cluster.nodes)
    return Object.fromEntries(cluster.nodes.map(({ name }, index) => [name, values[index]]))
  }

  it('prefers zones with fewer pods for soft constraints', () => {
    const soft = [hard({ whenUnsatisfiable: 'ScheduleAnyway' })]
    expect(scores([{ topologySpreadConstraints: soft }, { labels: { app: 'x' } }], [...on('a1', 3), ...on('b1', 1)])).toEqual({
      a1: 25,
      a2: 25,
      b1: 100,
      none: 0,
    })
  })

  it('spreads the pods of one ReplicaSet by default', () => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true }
    const replicasets = [{ metadata: { name: 'rs', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'x' } } } }]
    const found = scores([{}, { labels: { app: 'x' }, ownerReferences: [owner] }], on('a1', 4), { replicasets })
    expect(found?.['b1']).toBeGreaterThan(found?.['a2'] ?? NaN)
    expect(found?.['a2']).toBeGreaterThan(found?.['a1'] ?? NaN)
  })

  it('does not care for pods without constraints that belong to nothing', () => {
    expect(scores([{}, { labels: { app: 'x' } }], on('a1', 4))).toBeUndefined()
  })
})
