import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPod, testPodInfo } from '../../test/cluster.ts'
import { balancedAllocationScore, insufficientResources, leastAllocatedScore, nodeResourcesFit } from './node-resources.ts'

const requests = (requests: Record<string, string>) => ({ containers: [{ name: 'c', resources: { requests } }] })
const node = (allocatable: Record<string, string>) => testNode('n', {}, { status: { allocatable } })

/** The node with pods that take `used` on it. */
function nodeWith(allocatable: Record<string, string>, ...used: Record<string, string>[]) {
  const cluster = testCluster(
    [node(allocatable)],
    used.map((amounts) => testPod({ ...requests(amounts), nodeName: 'n' })),
  )
  return cluster.node('n')!
}

describe('insufficientResources()', () => {
  const full = { cpu: '2', memory: '2Gi', 'ephemeral-storage': '10Gi', 'example.com/gpu': '1', pods: '2' }
  it.each<[string, Record<string, string>, Record<string, string>[], string[]]>([
    ['all that is free', { cpu: '1', memory: '1Gi' }, [{ cpu: '1', memory: '1Gi' }], []],
    ['a millicore more', { cpu: '1001m' }, [{ cpu: '1' }], ['Insufficient cpu']],
    ['several', { cpu: '2', memory: '2Gi' }, [{ cpu: '1', memory: '1Gi' }], ['Insufficient cpu', 'Insufficient memory']],
    ['storage', { 'ephemeral-storage': '11Gi' }, [], ['Insufficient ephemeral-storage']],
    ['an extended resource', { 'example.com/gpu': '1' }, [{ 'example.com/gpu': '1' }], ['Insufficient example.com/gpu']],
    ['one that the node lacks', { 'example.com/other': '1' }, [], ['Insufficient example.com/other']],
    ['none of one that it lacks', { 'example.com/other': '0' }, [], []],
    ['one pod too many', {}, [{}, {}], ['Too many pods']],
  ])('for %s', (_case, wanted, used, expected) => {
    expect(insufficientResources(testPodInfo(requests(wanted)), nodeWith(full, ...used)).map(({ reason }) => reason)).toEqual(expected)
  })

  it('knows that preemption cannot help where the whole node is too small', () => {
    const [missing] = insufficientResources(testPodInfo(requests({ cpu: '3' })), nodeWith(full))
    expect(missing?.isResolvable).toBe(false)
  })
})

describe('scores', () => {
  const even = { cpu: '4', memory: '4Gi', pods: '10' }
  it.each([
    [{ cpu: '1', memory: '1Gi' }, [], 75],
    [{ cpu: '1', memory: '1Gi' }, [{ cpu: '1', memory: '1Gi' }], 50],
    [{ cpu: '4', memory: '4Gi' }, [], 0],
  ])('leastAllocatedScore() of %j beside %j is %d', (wanted, used, expected) => {
    expect(leastAllocatedScore(testPodInfo(requests(wanted)), nodeWith(even, ...used))).toBe(expected)
  })

  it.each<[Record<string, string>, Record<string, string>[], number]>([
    [{ cpu: '1', memory: '1Gi' }, [], 75],
    [{ cpu: '4', memory: '0' }, [], 50],
    [{ cpu: '0', memory: '4Gi' }, [{ cpu: '4', memory: '0' }], 100],
  ])('balancedAllocationScore() of %j beside %j is %d', (wanted, used, expected) => {
    expect(balancedAllocationScore(testPodInfo(requests(wanted)), nodeWith(even, ...used))).toBe(expected)
  })
})

describe('nodeResourcesFit.isWorthRetrying()', () => {
  it.each<[string, Parameters<NonNullable<typeof nodeResourcesFit.isWorthRetrying>>[1], boolean]>([
    ['a pod that is gone', { kind: 'podDeleted', pod: testPodInfo() }, true],
    ['a node large enough', { kind: 'nodeChanged', node: node({ cpu: '2', pods: '1' }) }, true],
    ['a node too small', { kind: 'nodeChanged', node: node({ cpu: '500m', pods: '1' }) }, false],
    ['a pod that came', { kind: 'podChanged', pod: testPodInfo() }, false],
    ['a pod that shrank', { kind: 'podChanged', pod: testPodInfo(), previous: testPodInfo(requests({ cpu: '1' })) }, true],
  ])('after %s', (_case, event, expected) => {
    expect(nodeResourcesFit.isWorthRetrying?.(testPodInfo(requests({ cpu: '1' })), event)).toBe(expected)
  })
})
