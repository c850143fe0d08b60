import { replicasets, type ReplicaSet } from '@k3s/api/types/apps/v1'
import { pods, replicationcontrollers, type Pod } from '@k3s/api/types/core/v1'
import { StatusError } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { makeReady, startWorld } from '../../test/harness.ts'
import { planReplicas, replicaStatus } from './plan.ts'
import { createReplicaSetController } from './replicaset-controller.ts'
import { createReplicationControllerController } from './replication-controller-controller.ts'

const nowMs = Date.parse('2026-01-01T01:00:00Z')
interface Traits {
  readonly node?: string
  readonly phase?: string
  readonly readySince?: string
  readonly cost?: string
  readonly restarts?: number
  readonly created?: string
}
const pod = (
  name: string,
  { node = 'n', phase = 'Running', readySince, cost, restarts = 0, created = '2026-01-01T00:00:00Z' }: Traits = {},
): Pod => ({
  metadata: {
    name,
    uid: name,
    creationTimestamp: created,
    ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
  },
  spec: { nodeName: node, containers: [] },
  status: {
    phase,
    conditions: readySince === undefined ? [] : [{ type: 'Ready', status: 'True', lastTransitionTime: readySince }],
    containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: restarts }],
  },
})
const ready = '2026-01-01T00:10:00Z'

describe('planReplicas()', () => {
  it.each([
    ['not scheduled', pod('x', { node: '' }), pod('y')],
    ['pending', pod('x', { phase: 'Pending' }), pod('y')],
    ['not ready', pod('x'), pod('y', { readySince: ready })],
    ['cheaper', pod('x', { readySince: ready, cost: '-5' }), pod('y', { readySince: ready })],
    ['ready for a shorter time', pod('x', { readySince: '2026-01-01T00:59:00Z' }), pod('y', { readySince: ready })],
    ['restarted more often', pod('x', { readySince: ready, restarts: 3 }), pod('y', { readySince: ready })],
    ['younger', pod('x', { created: '2026-01-01T00:55:00Z' }), pod('y')],
  ])('deletes first what is %s', (_, first, second) => {
    expect(planReplicas(1, [second, first], [], nowMs).remove).toEqual([first])
    expect(planReplicas(1, [first, second], [], nowMs).remove).toEqual([first])
  })

  it('takes from the node with the most pods of the same owner', () => {
    const active = [pod('a', { node: 'one', readySince: ready }), pod('b', { node: 'two', readySince: ready })]
    const related = [...active, pod('c', { node: 'two', readySince: ready })]
    expect(planReplicas(1, active, related, nowMs).remove.map(({ metadata }) => metadata.name)).toEqual(['b'])
  })

  it('creates what is missing, 500 at a time', () => {
    expect(planReplicas(3, [pod('a')], [], nowMs)).toEqual({ create: 2, remove: [] })
    expect(planReplicas(900, [], [], nowMs).create).toBe(500)
  })
})

describe('replicaStatus()', () => {
  it('counts a pod as available only after minReadySeconds', () => {
    const spec = { replicas: 2, minReadySeconds: 120, selector: [], template: {} }
    const active = [pod('a', { readySince: ready }), pod('b', { readySince: '2026-01-01T00:59:00Z' })]
    const status = replicaStatus({ spec, generation: 1, previous: undefined, active, terminating: [], failure: undefined, nowMs })
    expect(status).toEqual({
      replicas: 2,
      fullyLabeledReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 1,
      terminatingReplicas: 0,
      observedGeneration: 1,
    })
  })
})

const set = (replicas: number): ReplicaSet => ({
  metadata: { name: 'rs', namespace: 'default' },
  spec: { replicas, selector: { matchLabels: { app: 'a' } }, template: { metadata: { labels: { app: 'a' } }, spec: { containers: [] } } },
})

describe('replicaset controller', () => {
  it('makes exactly as many pods as asked for, however slow the cache is', async () => {
    await using world = await startWorld((context) => [createReplicaSetController(context)])
    await world.client.resource(replicasets).create(set(20))
    await world.eventually(() => world.server.peek(replicasets, 'default/rs')?.status?.replicas === 20)
    await world.quiet()
    expect(world.server.all(pods)).toHaveLength(20)
    await world.client.resource(replicasets).patch('rs', { spec: { replicas: 3 } }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => world.server.all(pods).length === 3)
    await world.quiet()
    expect(world.server.peek(replicasets, 'default/rs')?.status).toMatchObject({ replicas: 3, observedGeneration: 2 })
    expect(world.errors).toEqual([])
  })

  it('adopts pods that match and lets go of those that no longer do', async () => {
    await using world = await startWorld((context) => [createReplicaSetController(context)])
    world.server.put(pods, {
      metadata: { name: 'orphan', namespace: 'default', labels: { app: 'a' } },
      spec: { containers: [] },
      status: { phase: 'Running' },
    })
    await world.client.resource(replicasets).create(set(1))
    const adopted = await world.eventually(() => {
      const found = world.server.peek(pods, 'default/orphan')
      return found?.metadata.ownerReferences?.[0]?.name === 'rs' ? found : undefined
    })
    expect(world.server.all(pods)).toHaveLength(1)
    world.server.put(pods, { ...adopted, metadata: { ...adopted.metadata, labels: { app: 'b' } } })
    await world.eventually(() => world.server.peek(pods, 'default/orphan')?.metadata.ownerReferences?.length === 0)
    await world.eventually(() => world.server.all(pods).length === 2)
  })

  it('reports why it cannot create pods, tries few at a time, and recovers', async () => {
    let [isFull, attempts] = [true, 0]
    await using world = await startWorld((context) => [createReplicaSetController(context)], {
      onRequest: ({ method, path }) => {
        if (method !== 'POST' || !path.endsWith('/pods') || !isFull) return
        attempts++
        throw new StatusError('Forbidden', 'exceeded quota')
      },
    })
    await world.client.resource(replicasets).create(set(10))
    const failure = await world.eventually(() => world.server.peek(replicasets, 'default/rs')?.status?.conditions?.[0])
    expect(failure).toMatchObject({ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota' })
    expect(attempts).toBeLessThan(10)
    expect(world.events).toContainEqual({
      object: 'rs',
      type: 'Warning',
      reason: 'FailedCreate',
      message: 'Error creating: exceeded quota',
    })
    isFull = false
    await world.eventually(() => world.server.all(pods).length === 10)
    await world.eventually(() => world.server.peek(replicasets, 'default/rs')?.status?.conditions === undefined)
  })

  it('replaces pods that ended or are being deleted', async () => {
    await using world = await startWorld((context) => [createReplicaSetController(context)])
    await world.client.resource(replicasets).create(set(2))
    await world.eventually(() => world.server.all(pods).length === 2)
    makeReady(world.server)
    const [first, second] = world.server.all(pods)
    if (first !== undefined) world.server.put(pods, { ...first, status: { phase: 'Failed' } })
    await world.client.resource(pods).delete(second?.metadata.name ?? '', { namespace: 'default' })
    await world.eventually(() => world.server.all(pods).length === 4)
    await world.quiet()
    expect(world.server.peek(replicasets, 'default/rs')?.status).toMatchObject({ replicas: 2, terminatingReplicas: 1 })
  })
})

describe('replication controller', () => {
  it('works by the same rules with a plain selector', async () => {
    await using world = await startWorld((context) => [createReplicationControllerController(context)])
    const { template } = set(2).spec
    await world.client
      .resource(replicationcontrollers)
      .create({ metadata: { name: 'rc', namespace: 'default' }, spec: { replicas: 2, selector: { app: 'a' }, template } })
    await world.eventually(() => world.server.peek(replicationcontrollers, 'default/rc')?.status?.replicas === 2)
    expect(world.server.all(pods).map(({ metadata }) => metadata.ownerReferences?.[0]?.kind)).toEqual([
      'ReplicationController',
      'ReplicationController',
    ])
  })
})
