import type { Taint, Toleration } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPodInfo } from '../../test/cluster.ts'
import { isRejection, type Plugin } from '../framework.ts'
import { nodeName, nodeUnschedulable, taintToleration, tolerates } from './node-plugins.ts'

type Spec = Parameters<typeof testPodInfo>[0]

/** What the plugin says of the pod on the only node. */
function verdict(plugin: Plugin, spec: Spec, node = testNode('n')): string {
  const cluster = testCluster([node])
  const check = plugin.prepareFilter?.(testPodInfo(spec), cluster)
  if (check === undefined) return 'skips'
  const rejection = isRejection(check) ? check : check.check(cluster.node('n') as never)
  return rejection === undefined ? 'fits' : rejection.reasons.join()
}

const taint: Taint = { key: 'k', value: 'v', effect: 'NoSchedule' }

describe('tolerates()', () => {
  it.each<[Toleration, boolean]>([
    [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }, true],
    [{ key: 'k', value: 'v' }, true],
    [{ key: 'k', operator: 'Exists' }, true],
    [{ operator: 'Exists' }, true],
    [{ key: 'k', value: 'other' }, false],
    [{ key: 'k', operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: 'other', operator: 'Exists' }, false],
    [{ key: 'k', operator: 'Gt', value: '0' }, false],
  ])('%j covers the taint: %s', (toleration, expected) => {
    expect(tolerates(toleration, taint)).toBe(expected)
  })
})

describe('taintToleration', () => {
  const tainted = (...taints: Taint[]) => testNode('n', {}, { spec: { taints } })

  it.each<[string, Taint[], Toleration[], string]>([
    ['no taints', [], [], 'fits'],
    ['a taint', [taint], [], 'node(s) had untolerated taint(s)'],
    ['a tolerated taint', [taint], [{ operator: 'Exists' }], 'fits'],
    ['a preference', [{ ...taint, effect: 'PreferNoSchedule' }], [], 'fits'],
    ['NoExecute', [{ ...taint, effect: 'NoExecute' }], [], 'node(s) had untolerated taint(s)'],
  ])('with %s', (_case, taints, tolerations, expected) => {
    expect(verdict(taintToleration, { tolerations }, tainted(...taints))).toBe(expected)
  })

  it('prefers nodes with fewer PreferNoSchedule taints', () => {
    const soft = (key: string): Taint => ({ key, effect: 'PreferNoSchedule' })
    const cluster = testCluster([
      testNode('none'),
      testNode('one', {}, { spec: { taints: [soft('a')] } }),
      testNode('two', {}, { spec: { taints: [soft('a'), soft('b')] } }),
    ])
    const scorer = taintToleration.prepareScore?.(testPodInfo(), cluster.nodes, cluster)
    const scores = cluster.nodes.map((node) => scorer?.score(node) ?? NaN)
    scorer?.normalize?.(scores, cluster.nodes)
    expect(scores).toEqual([100, 50, 0])
  })

  it('retries when a node comes whose taints are tolerated', () => {
    expect(taintToleration.isWorthRetrying?.(testPodInfo(), { kind: 'nodeChanged', node: tainted(taint) })).toBe(false)
    expect(taintToleration.isWorthRetrying?.(testPodInfo(), { kind: 'nodeChanged', node: tainted() })).toBe(true)
  })
})

describe('nodeUnschedulable', () => {
  const cordoned = testNode('n', {}, { spec: { unschedulable: true } })
  it.each<[string, Spec, typeof cordoned, string]>([
    ['an open node', {}, testNode('n'), 'fits'],
    ['a cordoned node', {}, cordoned, 'node(s) were unschedulable'],
    ['a pod that tolerates it', { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] }, cordoned, 'skips'],
  ])('with %s', (_case, spec, node, expected) => {
    expect(verdict(nodeUnschedulable, spec, node)).toBe(expected)
  })
})

describe('nodeName', () => {
  it.each<[Spec, string]>([
    [{}, 'skips'],
    [{ nodeName: 'n' }, 'fits'],
    [{ nodeName: 'other' }, "node(s) didn't match the requested node name"],
  ])('of %j', (spec, expected) => {
    expect(verdict(nodeName, spec)).toBe(expected)
  })
})
