import type { NodeSelectorTerm } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPodInfo } from '../../test/cluster.ts'
import { isRejection } from '../framework.ts'
import { nodeAffinity } from './node-affinity.ts'

const cluster = testCluster([testNode('a', { zone: '1', size: '3' }), testNode('b', { zone: '2', size: '10' }), testNode('c')])
const required = (...nodeSelectorTerms: NodeSelectorTerm[]) => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
})
const expression = (key: string, operator: string, ...values: string[]): NodeSelectorTerm => ({
  matchExpressions: [{ key, operator, values }],
})
const named = (...values: string[]): NodeSelectorTerm => ({ matchFields: [{ key: 'metadata.name', operator: 'In', values }] })

describe('nodeAffinity', () => {
  it.each<[string, Parameters<typeof testPodInfo>[0], string]>([
    ['a selector', { nodeSelector: { zone: '1' } }, 'a'],
    ['a selector that nothing meets', { nodeSelector: { zone: '9' } }, ''],
    ['In', required(expression('zone', 'In', '1', '2')), 'a b'],
    ['NotIn', required(expression('zone', 'NotIn', '1')), 'b c'],
    ['Exists', required(expression('zone', 'Exists')), 'a b'],
    ['DoesNotExist', required(expression('zone', 'DoesNotExist')), 'c'],
    ['Gt, by number', required(expression('size', 'Gt', '5')), 'b'],
    ['Lt', required(expression('size', 'Lt', '5')), 'a'],
    ['one of two terms', required(expression('zone', 'In', '1'), expression('zone', 'DoesNotExist')), 'a c'],
    ['an empty term', required({}), ''],
    ['a name', required(named('b')), 'b'],
    ['a name and a label', required({ ...named('b'), ...expression('zone', 'In', '1') }), ''],
    ['selector and affinity together', { nodeSelector: { zone: '1' }, ...required(expression('size', 'Gt', '5')) }, ''],
  ])('allows by %s', (_case, spec, expected) => {
    const check = nodeAffinity.prepareFilter?.(testPodInfo(spec), cluster)
    const allowed = cluster.nodes.filter((node) => check !== undefined && !isRejection(check) && check.check(node) === undefined)
    expect(allowed.map(({ name }) => name).join(' ')).toBe(expected)
  })

  it('knows which nodes alone can match, so that others need not be looked at', () => {
    const namesOf = (...terms: NodeSelectorTerm[]) => {
      const check = nodeAffinity.prepareFilter?.(testPodInfo(required(...terms)), cluster)
      return check !== undefined && !isRejection(check) ? check.nodeNames : check
    }
    expect(namesOf(named('a'), named('b'))).toEqual(new Set(['a', 'b']))
    expect(namesOf(named('a'), expression('zone', 'Exists'))).toBeUndefined()
    const both = { matchFields: [...(named('a').matchFields ?? []), ...(named('b').matchFields ?? [])] }
    expect(namesOf(both)).toMatchObject({ reasons: ['pod affinity terms conflict'], isResolvable: false })
  })

  it('scores by the weights of the preferences that a node meets', () => {
    const preferred = [
      { weight: 10, preference: expression('zone', 'Exists') },
      { weight: 30, preference: expression('size', 'Gt', '5') },
    ]
    const pod = testPodInfo({ affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } } })
    const scorer = nodeAffinity.prepareScore?.(pod, cluster.nodes, cluster)
    const scores = cluster.nodes.map((node) => scorer?.score(node) ?? NaN)
    expect(scores).toEqual([10, 40, 0])
    scorer?.normalize?.(scores, cluster.nodes)
    expect(scores).toEqual([25, 100, 0])
  })
})
