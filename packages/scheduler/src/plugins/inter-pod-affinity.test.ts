import type { Affinity, Pod, PodAffinityTerm } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPod, testPodInfo } from '../../test/cluster.ts'
import { Trial } from '../filters.ts'
import { isRejection, type FilterCheck } from '../framework.ts'
import { podInfoOf } from '../pod-info.ts'
import { interPodAffinity } from './inter-pod-affinity.ts'

const nodes = [testNode('a1', { zone: 'a' }), testNode('a2', { zone: 'a' }), testNode('b1', { zone: 'b' }), testNode('none')]
const near = (app: string, rest: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
  topologyKey: 'zone',
  labelSelector: { matchLabels: { app } },
  ...rest,
})
const affinity = (...terms: PodAffinityTerm[]): Affinity => ({ podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } })
const antiAffinity = (...terms: PodAffinityTerm[]): Affinity => ({
  podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms },
})
const on = (nodeName: string, app: string, own: Affinity = {}, namespace = 'default'): Pod =>
  testPod({ nodeName, affinity: own }, { labels: { app }, namespace })

function prepare(own: Affinity, existing: readonly Pod[], labels: Record<string, string> = { app: 'self' }) {
  const namespaces = [
    { metadata: { name: 'default', labels: { team: 'x' } }, spec: {} },
    { metadata: { name: 'other', labels: { team: 'y' } }, spec: {} },
  ]
  const cluster = testCluster(nodes, existing, { namespaces })
  const pod = testPodInfo({ affinity: own }, { labels })
  return { cluster, pod, check: interPodAffinity.prepareFilter?.(pod, cluster) }
}

describe('interPodAffinity', () => {
  it.each<[string, Affinity, Pod[], string]>([
    ['affinity to a pod in a zone', affinity(near('db')), [on('a1', 'db')], 'a1 a2'],
    ['affinity to nothing that is there', affinity(near('db')), [on('a1', 'web')], ''],
    ['affinity to itself, as the first', affinity(near('self')), [], 'a1 a2 b1'],
    ['affinity to itself, when one is there', affinity(near('self')), [on('b1', 'self')], 'b1'],
    ['two affinities that one pod must meet', affinity(near('db'), near('web')), [on('a1', 'db'), on('a2', 'web')], ''],
    ['anti-affinity', antiAffinity(near('db')), [on('a1', 'db')], 'b1 none'],
    ['anti-affinity of a pod that runs', {}, [on('a1', 'db', antiAffinity(near('self')))], 'b1 none'],
    ['anti-affinity that does not mean us', {}, [on('a1', 'db', antiAffinity(near('web')))], 'skips'],
    ['a pod of another namespace', affinity(near('db')), [on('a1', 'db', {}, 'other')], ''],
    ['a namespace that is named', affinity(near('db', { namespaces: ['other'] })), [on('a1', 'db', {}, 'other')], 'a1 a2'],
    [
      'a namespace that is selected',
      affinity(near('db', { namespaceSelector: { matchLabels: { team: 'y' } } })),
      [on('a1', 'db', {}, 'other'), on('b1', 'db')],
      'a1 a2',
    ],
    ['all namespaces', antiAffinity(near('db', { namespaceSelector: {} })), [on('a1', 'db', {}, 'other')], 'b1 none'],
    ['a pod on a node without the label', affinity(near('db')), [on('none', 'db')], ''],
  ])('filters by %s', (_case, own, existing, expected) => {
    const { cluster, check } = prepare(own, existing)
    const fits = (check: FilterCheck) => cluster.nodes.filter((node) => check.check(node) === undefined).map(({ name }) => name)
    expect(check === undefined || isRejection(check) ? 'skips' : fits(check).toSorted().join(' ')).toBe(expected)
  })

  it('names the rule that was broken', () => {
    const reason = (own: Affinity, existing: readonly Pod[]) => {
      const { cluster, check } = prepare(own, existing)
      return check === undefined || isRejection(check) ? undefined : check.check(cluster.node('a1')!)?.reasons
    }
    expect(reason(affinity(near('db')), [])).toEqual(["node(s) didn't match pod affinity rules"])
    expect(reason(antiAffinity(near('db')), [on('a1', 'db')])).toEqual(["node(s) didn't match pod anti-affinity rules"])
    expect(reason({}, [on('a1', 'db', antiAffinity(near('self')))])).toEqual(["node(s) didn't satisfy existing pods anti-affinity rules"])
  })

  it('sees pods go and come in a trial, and forgets the trial', () => {
    const enemy = on('a1', 'db')
    const { cluster, check } = prepare(antiAffinity(near('db')), [enemy])
    const node = cluster.node('a1')!
    const trial = new Trial(node, [check as FilterCheck])
    trial.remove(podInfoOf(enemy))
    expect(trial.check()).toBeUndefined()
    trial.add(podInfoOf(enemy))
    expect(trial.check()).toBeDefined()
    trial.remove(podInfoOf(enemy))
    expect((check as FilterCheck).check(node)).toBeDefined()
  })

  it('scores preferences of the pod and of those that run', () => {
    const preferred = (weight: number, podAffinityTerm: PodAffinityTerm) => [{ weight, podAffinityTerm }]
    const own: Affinity = {
      podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred(10, near('db')) },
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred(5, near('noisy')) },
    }
    const fan: Affinity = { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred(20, near('self')) } }
    const { cluster, pod } = prepare(own, [on('a1', 'db'), on('b1', 'noisy'), on('b1', 'fan', fan)])
    const scorer = interPodAffinity.prepareScore?.(pod, cluster.nodes, cluster)
    const sorted = cluster.nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const scores = sorted.map((node) => scorer?.score(node) ?? NaN)
    expect(scores).toEqual([10, 10, 15, 0])
    scorer?.normalize?.(scores, sorted)
    expect(scores).toEqual([66, 66, 100, 0])
  })
})
