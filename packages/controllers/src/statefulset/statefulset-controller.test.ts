import { statefulsets, type StatefulSet } from '@k3s/api/types/apps/v1'
import { persistentvolumeclaims, pods } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { makeReady, startWorld, type World } from '../../test/harness.ts'
import { createStatefulSetController } from './statefulset-controller.ts'

const set = (replicas: number, image = 'a:1', spec: Partial<StatefulSet['spec']> = {}): StatefulSet => ({
  metadata: { name: 'db', namespace: 'default' },
  spec: {
    replicas,
    serviceName: 'db',
    podManagementPolicy: 'OrderedReady',
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
    selector: { matchLabels: { app: 'db' } },
    template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'c', image }] } },
    ...spec,
  },
})
const start = (): Promise<World> => startWorld((context) => [createStatefulSetController(context)])
const state = (world: World): string =>
  world.server
    .all(pods)
    .map(
      ({ metadata, spec, status }) =>
        `${metadata.name}=${spec.containers[0]?.image}${status?.phase === 'Running' ? '' : '?'}${metadata.deletionTimestamp === undefined ? '' : '-'}`,
    )
    .toSorted()
    .join(' ')
const terminate = (world: World): void => {
  for (const { metadata } of world.server.all(pods))
    if (metadata.deletionTimestamp !== undefined) world.server.remove(pods, `default/${metadata.name}`)
}
const grow = async (world: World, ...states: readonly string[]): Promise<void> => {
  for (const expected of states) {
    await world.eventually(() => (expect(state(world)).toBe(expected), true))
    await world.quiet()
    expect(state(world)).toBe(expected)
    terminate(world)
    makeReady(world.server)
  }
}
const change = (world: World, to: StatefulSet): Promise<unknown> =>
  world.client.resource(statefulsets).patch('db', { spec: to.spec }, { type: 'merge', namespace: 'default' })

describe('statefulset controller', () => {
  it('starts pods one after another, each with its name, host name and claim', async () => {
    await using world = await start()
    const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }]
    await world.client.resource(statefulsets).create(set(2, 'a:1', { volumeClaimTemplates }))
    await grow(world, 'db-0=a:1?', 'db-0=a:1 db-1=a:1?', 'db-0=a:1 db-1=a:1')
    const pod = world.server.peek(pods, 'default/db-1')
    expect(pod?.spec).toMatchObject({
      hostname: 'db-1',
      subdomain: 'db',
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } }],
    })
    expect(pod?.metadata.labels).toMatchObject({ 'statefulset.kubernetes.io/pod-name': 'db-1', 'apps.kubernetes.io/pod-index': '1' })
    expect(world.server.all(persistentvolumeclaims).map(({ metadata }) => metadata.name)).toEqual(['data-db-0', 'data-db-1'])
    await world.eventually(() => world.server.peek(statefulsets, 'default/db')?.status?.readyReplicas === 2)
    expect(world.server.peek(statefulsets, 'default/db')?.status).toMatchObject({
      replicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      currentReplicas: 2,
      updatedReplicas: 2,
    })
    expect(world.events.map(({ message }) => message)).toContain('create Pod db-0 in StatefulSet db successful')
  })

  it('removes the highest ordinal first when it shrinks, and keeps the claims', async () => {
    await using world = await start()
    const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: {} }]
    await world.client.resource(statefulsets).create(set(3, 'a:1', { volumeClaimTemplates, podManagementPolicy: 'Parallel' }))
    await grow(world, 'db-0=a:1? db-1=a:1? db-2=a:1?')
    await change(world, set(3, 'a:1', { podManagementPolicy: 'OrderedReady' }))
    await change(world, set(1, 'a:1', { podManagementPolicy: 'OrderedReady' }))
    await grow(world, 'db-0=a:1 db-1=a:1 db-2=a:1-', 'db-0=a:1 db-1=a:1-', 'db-0=a:1')
    expect(world.server.all(persistentvolumeclaims)).toHaveLength(3)
  })

  it('rolls out from the highest ordinal down to the partition', async () => {
    await using world = await start()
    await world.client.resource(statefulsets).create(set(3, 'a:1', { podManagementPolicy: 'Parallel' }))
    await grow(world, 'db-0=a:1? db-1=a:1? db-2=a:1?', 'db-0=a:1 db-1=a:1 db-2=a:1')
    const partitioned = { podManagementPolicy: 'Parallel', updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } } }
    await change(world, set(3, 'a:2', partitioned))
    await grow(
      world,
      'db-0=a:1 db-1=a:1 db-2=a:1-',
      'db-0=a:1 db-1=a:1 db-2=a:2?',
      'db-0=a:1 db-1=a:1- db-2=a:2',
      'db-0=a:1 db-1=a:2? db-2=a:2',
    )
    await grow(world, 'db-0=a:1 db-1=a:2 db-2=a:2')
    const status = world.server.peek(statefulsets, 'default/db')?.status
    expect(status).toMatchObject({ currentReplicas: 1, updatedReplicas: 2 })
    expect(status?.currentRevision).not.toBe(status?.updateRevision)
    await world.client.resource(pods).delete('db-0', { namespace: 'default', gracePeriodSeconds: 0 })
    await grow(world, 'db-0=a:1? db-1=a:2 db-2=a:2')
    await change(world, set(3, 'a:2', { podManagementPolicy: 'Parallel' }))
    await grow(world, 'db-0=a:1- db-1=a:2 db-2=a:2', 'db-0=a:2? db-1=a:2 db-2=a:2', 'db-0=a:2 db-1=a:2 db-2=a:2')
    await world.eventually(() => {
      const done = world.server.peek(statefulsets, 'default/db')?.status
      return done?.currentRevision === done?.updateRevision
    })
  })

  it('makes a failed pod anew under its name', async () => {
    await using world = await start()
    await world.client.resource(statefulsets).create(set(1))
    await grow(world, 'db-0=a:1?')
    const failed = world.server.peek(pods, 'default/db-0')
    if (failed !== undefined) world.server.put(pods, { ...failed, status: { phase: 'Failed' } })
    await world.eventually(() => world.server.peek(pods, 'default/db-0')?.metadata.uid !== failed?.metadata.uid)
  })

  it('lets claims go with the set when it is asked to', async () => {
    await using world = await start()
    const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: {} }]
    const persistentVolumeClaimRetentionPolicy = { whenDeleted: 'Delete', whenScaled: 'Retain' }
    await world.client.resource(statefulsets).create(set(1, 'a:1', { volumeClaimTemplates, persistentVolumeClaimRetentionPolicy }))
    await world.eventually(() => world.server.all(persistentvolumeclaims)[0]?.metadata.ownerReferences?.[0]?.kind === 'StatefulSet')
    await change(
      world,
      set(1, 'a:1', { volumeClaimTemplates, persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' } }),
    )
    await world.eventually(() => world.server.all(persistentvolumeclaims)[0]?.metadata.ownerReferences?.length === 0)
  })
})
