import type { Node } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPodInfo } from '../test/cluster.ts'
import { defaultPlugins } from './default-plugins.ts'
import { findNode, nodesToFind, scoreNodes } from './find-node.ts'
import type { Plugin } from './framework.ts'
import { Nominations } from './nominations.ts'

const options = { plugins: defaultPlugins, nominations: new Nominations(), percentageOfNodesToScore: 0, startIndex: 0, random: () => 0.99 }
const many = (count: number): Node[] => Array.from({ length: count }, (_, index) => testNode(`n${index}`))

describe('nodesToFind()', () => {
  it.each([
    [10, 0, 10],
    [99, 30, 99],
    [100, 0, 100],
    [1000, 0, 420],
    [5000, 0, 500],
    [10_000, 0, 500],
    [1000, 50, 500],
    [1000, 5, 100],
  ])('of %d at %d %% is %d', (nodes, percentage, expected) => {
    expect(nodesToFind(nodes, percentage)).toBe(expected)
  })
})

describe('findNode()', () => {
  it('looks at part of a large cluster, from another node on each time', () => {
    const cluster = testCluster(many(1000))
    const seen = new Set<string>()
    const spy: Plugin = {
      name: 'spy',
      prepareFilter: () => ({
        check: ({ name }) => {
          seen.add(name)
          return undefined
        },
      }),
    }
    let startIndex = 0
    for (let cycle = 0; cycle < 3; cycle++) {
      const found = findNode(testPodInfo(), cluster, { ...options, plugins: [spy], startIndex })
      expect(found.checkedNodes).toBe(420)
      startIndex = (startIndex + found.checkedNodes) % 1000
    }
    expect(seen.size).toBe(1000)
  })

  it('tells why nodes that were not looked at are not meant', () => {
    const cluster = testCluster(many(3))
    const term = { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } } }
    const containers = [{ name: 'c', resources: { requests: { cpu: '100' } } }]
    const found = findNode(testPodInfo({ affinity, containers }), cluster, options)
    expect(found).toMatchObject({ node: undefined, checkedNodes: 1, unseenReason: "node(s) didn't satisfy plugin(s) [NodeAffinity]" })
  })

  it('takes the nominated node while the pod fits there', () => {
    const cluster = testCluster(many(5))
    const pod = testPodInfo()
    const nominations = new Nominations()
    nominations.set(pod, 'n3')
    expect(findNode(pod, cluster, { ...options, nominations }).node?.name).toBe('n3')
  })

  it('counts pods of at least its priority for which room is made as if they were there', () => {
    const cluster = testCluster([testNode('n')])
    const wanting = (priority: number) => testPodInfo({ priority, containers: [{ name: 'c', resources: { requests: { cpu: '3' } } }] })
    const nominations = new Nominations()
    nominations.set(wanting(10), 'n')
    expect(findNode(wanting(5), cluster, { ...options, nominations }).node).toBeUndefined()
    expect(findNode(wanting(20), cluster, { ...options, nominations }).node?.name).toBe('n')
  })

  it('chooses among equally good nodes by chance', () => {
    const cluster = testCluster(many(4))
    const values = [0.1, 0.9, 0.1]
    const chosen = findNode(testPodInfo(), cluster, { ...options, random: () => values.shift() ?? 0.99 }).node?.name
    expect(chosen).toBe('n3')
  })
})

it('scoreNodes() adds what each plugin gives by its weight', () => {
  const cluster = testCluster(many(2))
  const constant = (weight: number, scores: Record<string, number>): Plugin => ({
    name: 'p',
    weight,
    prepareScore: () => ({ score: ({ name }) => scores[name] ?? 0 }),
  })
  const plugins = [constant(2, { n0: 10, n1: 1 }), constant(3, { n0: 1, n1: 5 })]
  expect(scoreNodes(testPodInfo(), cluster.nodes, cluster, plugins)).toEqual([23, 17])
})
