import { nodes, pods, type Node, type Pod } from '@k3s/api/types/core/v1'
import { leases } from '@k3s/api/types/coordination/v1'
import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { createCloudNodeController } from '../cloud-node/cloud-node-controller.ts'
import { createNodeIpamController } from '../node-ipam/node-ipam-controller.ts'
import { createPodGcController } from '../pod-gc/pod-gc-controller.ts'
import { evictionTime } from '../taint-eviction/plan.ts'
import { createTaintEvictionController } from '../taint-eviction/taint-eviction-controller.ts'
import { createNodeLifecycleController } from './node-lifecycle-controller.ts'
import { evictionPeriodMs, nodeTaints } from './plan.ts'

const node = (name: string, ready: string, extra: Partial<Node['spec']> = {}): Node => ({
  metadata: { name },
  spec: extra,
  status: {
    conditions: [{ type: 'Ready', status: ready, lastHeartbeatTime: '2026-01-01T00:00:00Z', lastTransitionTime: '2026-01-01T00:00:00Z' }],
  },
})
const pod = (name: string, spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: { containers: [], nodeName: 'a', terminationGracePeriodSeconds: 0, ...spec },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
})

describe('node lifecycle', () => {
  it('marks a silent node unknown, taints it and its pods not ready; a renewed lease keeps it', async () => {
    const clock = new FakeClock(Date.parse('2026-01-01T00:00:00Z'))
    await using world = await startWorld((context) => [createNodeLifecycleController({ ...context, clock })], {
      scene: (server) => {
        server.put(nodes, node('a', 'True'))
        server.put(nodes, node('b', 'True'))
        server.put(pods, pod('p'))
      },
    })
    for (let i = 0; i < 14; i++) {
      world.server.put(leases, { metadata: { name: 'b', namespace: 'kube-node-lease' }, spec: { renewTime: String(i) } })
      await world.quiet()
      await clock.advance(5000)
    }
    await world.eventually(() => world.server.peek(nodes, 'a')?.spec.taints?.length === 2)
    const conditions = world.server.peek(nodes, 'a')?.status?.conditions
    expect(conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Ready=Unknown',
      'MemoryPressure=Unknown',
      'DiskPressure=Unknown',
      'PIDPressure=Unknown',
    ])
    expect(conditions?.[0]).toMatchObject({ reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' })
    expect(world.server.peek(nodes, 'a')?.spec.taints?.map(({ key, effect }) => `${key}:${effect}`)).toEqual([
      'node.kubernetes.io/unreachable:NoSchedule',
      'node.kubernetes.io/unreachable:NoExecute',
    ])
    await world.eventually(() => world.server.peek(pods, 'default/p')?.status?.conditions?.[0]?.status === 'False')
    expect(world.server.peek(nodes, 'b')?.spec.taints).toBeUndefined()
    world.server.put(nodes, node('a', 'True', { taints: world.server.peek(nodes, 'a')?.spec.taints }))
    await world.eventually(() => world.server.peek(nodes, 'a')?.spec.taints?.length === 0)
  })

  it.each([
    ['ready', node('a', 'True'), true, undefined],
    ['not ready', node('a', 'False'), true, ['not-ready:NoSchedule', 'not-ready:NoExecute']],
    ['not ready, others evict first', node('a', 'False'), false, ['not-ready:NoSchedule']],
    ['cordoned', node('a', 'True', { unschedulable: true }), true, ['unschedulable:NoSchedule']],
    ['uncordoned', node('a', 'True', { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] }), true, []],
    [
      'from not ready to unreachable',
      node('a', 'Unknown', { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }] }),
      false,
      ['unreachable:NoSchedule', 'unreachable:NoExecute'],
    ],
    ['with a taint of others', node('a', 'True', { taints: [{ key: 'x', effect: 'NoExecute' }] }), true, undefined],
  ])('nodeTaints() of a node that is %s', (_, one, mayEvict, expected) => {
    expect(nodeTaints(one, mayEvict, 0)?.map(({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`)).toEqual(expected)
  })

  it('evicts nobody when all nodes are gone, and slowly otherwise', () => {
    expect(evictionPeriodMs([node('a', 'Unknown'), node('b', 'Unknown')], '/')).toBeUndefined()
    expect(evictionPeriodMs([node('a', 'Unknown'), node('b', 'True')], '/')).toBe(10_000)
  })
})

describe('taint eviction', () => {
  const taint = { key: 'k', value: 'v', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:10Z' }
  const from = Date.parse('2026-01-01T00:00:10Z')
  it.each([
    ['without toleration', [], 0],
    ['with a toleration for ever', [{ key: 'k', operator: 'Exists' }], undefined],
    ['with a toleration for a while', [{ key: 'k', operator: 'Equal', value: 'v', tolerationSeconds: 5 }], from + 5000],
    [
      'with two, of which the shorter counts',
      [
        { key: 'k', operator: 'Exists', tolerationSeconds: 9 },
        { operator: 'Exists', tolerationSeconds: 3 },
      ],
      from + 3000,
    ],
    ['with a toleration of something else', [{ key: 'other', operator: 'Exists' }], 0],
  ])('evictionTime() of a pod %s', (_, tolerations, expected) => {
    expect(evictionTime(pod('p', { tolerations }), [taint], () => 0)).toBe(expected)
  })

  it('deletes pods when their toleration ends and calls it off when the taint goes', async () => {
    await using world = await startWorld((context) => [createTaintEvictionController(context)])
    world.server.put(nodes, node('a', 'True', { taints: [{ key: 'k', effect: 'NoExecute' }] }))
    world.server.put(pods, pod('now'))
    world.server.put(pods, pod('soon', { tolerations: [{ key: 'k', operator: 'Exists', tolerationSeconds: 1 }] }))
    world.server.put(pods, pod('later', { tolerations: [{ key: 'k', operator: 'Exists', tolerationSeconds: 3600 }] }))
    await world.eventually(() => world.server.peek(pods, 'default/now') === undefined)
    expect(world.server.all(pods)).toHaveLength(2)
    await world.eventually(() => world.server.peek(pods, 'default/soon') === undefined)
    world.server.put(nodes, node('a', 'True'))
    await world.eventually(() => world.events.some(({ message }) => message === 'Cancelling deletion of Pod default/later'))
    expect(world.server.peek(pods, 'default/later')).toBeDefined()
  })
})

describe('pod garbage collection', () => {
  it('removes pods of nodes that are gone, ended ones beyond the threshold, and those that never started', async () => {
    const options = { periodMs: 5, quarantineMs: 20, terminatedPodThreshold: 1 }
    await using world = await startWorld((context) => [createPodGcController(context, options)])
    world.server.put(nodes, node('a', 'True'))
    world.server.put(pods, pod('good'))
    world.server.put(pods, { ...pod('lost', { nodeName: 'gone' }), metadata: { name: 'lost', namespace: 'default' } })
    for (const [name, second] of [
      ['old', 1],
      ['new', 2],
    ] as const)
      world.server.put(pods, {
        ...pod(name),
        metadata: { name, namespace: 'default', creationTimestamp: `2026-01-01T00:00:0${second}Z` },
        status: { phase: 'Succeeded' },
      })
    world.server.put(pods, {
      ...pod('unbound', { nodeName: '' }),
      metadata: { name: 'unbound', namespace: 'default', deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 30 },
    })
    await world.eventually(
      () =>
        world.server
          .all(pods)
          .map(({ metadata }) => metadata.name)
          .toSorted()
          .join() === 'good,new',
    )
  })
})

describe('node set-up', () => {
  it('gives each node a range of its own, beside those that have one', async () => {
    await using world = await startWorld((context) => [createNodeIpamController(context, { clusterCidrs: ['10.42.0.0/16'] })])
    world.server.put(nodes, node('old', 'True', { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24'] }))
    for (const name of ['a', 'b', 'c']) world.server.put(nodes, node(name, 'True'))
    await world.eventually(() => world.server.all(nodes).every(({ spec }) => spec.podCIDR !== undefined))
    expect(
      world.server
        .all(nodes)
        .map(({ spec }) => spec.podCIDRs?.[0])
        .toSorted(),
    ).toEqual(['10.42.0.0/24', '10.42.1.0/24', '10.42.2.0/24', '10.42.3.0/24'])
  })

  it('tells that no range is left', async () => {
    await using world = await startWorld((context) => [createNodeIpamController(context, { clusterCidrs: ['10.42.0.0/24'] })])
    world.server.put(nodes, node('a', 'True'))
    await world.eventually(() => world.server.peek(nodes, 'a')?.spec.podCIDR)
    world.server.put(nodes, node('b', 'True'))
    await world.eventually(() => world.events.some(({ object, reason }) => object === 'b' && reason === 'CIDRNotAvailable'))
  })

  it('initializes a node as K3s does', async () => {
    await using world = await startWorld((context) => [createCloudNodeController(context)])
    world.server.put(nodes, {
      metadata: { name: 'a', annotations: { 'k3s.io/internal-ip': '192.168.0.2,fd00::2', 'k3s.io/hostname': 'a.lan' } },
      spec: {
        taints: [
          { key: 'node.cloudprovider.kubernetes.io/uninitialized', value: 'true', effect: 'NoSchedule' },
          { key: 'x', effect: 'NoSchedule' },
        ],
      },
    })
    const done = await world.eventually(() => {
      const found = world.server.peek(nodes, 'a')
      return found?.spec.providerID === undefined ? undefined : found
    })
    expect(done.spec).toEqual({ providerID: 'k3s://a', taints: [{ key: 'x', effect: 'NoSchedule' }] })
    expect(done.metadata.labels).toEqual({ 'node.kubernetes.io/instance-type': 'k3s' })
    expect(done.status?.addresses).toEqual([
      { type: 'InternalIP', address: '192.168.0.2' },
      { type: 'InternalIP', address: 'fd00::2' },
      { type: 'Hostname', address: 'a.lan' },
    ])
  })
})
