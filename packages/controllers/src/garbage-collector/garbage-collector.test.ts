import type { KubernetesObject, ResourceType } from '@k3s/api'
import { deployments, replicasets } from '@k3s/api/types/apps/v1'
import { configmaps, pods } from '@k3s/api/types/core/v1'
import { clusterroles } from '@k3s/api/types/rbac/v1'
import { describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../test/harness.ts'
import type { Discovery } from '../kit/discovery.ts'
import { createGarbageCollector } from './garbage-collector.ts'

const widgets: ResourceType = { group: 'example.org', version: 'v1', resource: 'widgets', kind: 'Widget', namespaced: true }
const verbs = ['get', 'list', 'watch', 'delete', 'patch']
const discoveryOf = (...types: readonly ResourceType[]): Discovery => ({
  resources: types.map((type) => ({ ...type, verbs })),
  failures: [],
})
const builtIn = [deployments, replicasets, configmaps, pods, clusterroles]

const owner = (object: KubernetesObject, block = false) => ({
  apiVersion: object.apiVersion ?? '',
  kind: object.kind ?? '',
  name: object.metadata.name,
  uid: object.metadata.uid ?? '',
  ...(block ? { blockOwnerDeletion: true } : {}),
})
const start = (options: { readonly scene?: Parameters<typeof startWorld>[1] } = {}): Promise<World> =>
  startWorld((context) => [createGarbageCollector(context, { discover: async () => discoveryOf(...builtIn) })], options.scene)
const make = (world: World, name: string, ...owners: readonly ReturnType<typeof owner>[]): KubernetesObject =>
  world.server.put(configmaps, { metadata: { name, namespace: 'default', ownerReferences: [...owners] } })
const names = (world: World): readonly string[] =>
  world.server
    .all(configmaps)
    .map(({ metadata }) => metadata.name)
    .toSorted()

describe('garbage collector', () => {
  it('deletes what is owned, level by level, after a background deletion', async () => {
    await using world = await start()
    const root = make(world, 'root')
    const child = make(world, 'child', owner(root))
    make(world, 'grandchild', owner(child))
    make(world, 'other')
    await world.quiet()
    await world.client.resource(configmaps).delete('root', { namespace: 'default', propagationPolicy: 'Background' })
    await world.eventually(() => names(world).join() === 'other')
    expect(world.errors).toEqual([])
  })

  it('keeps what has another owner and removes only the reference that dangles', async () => {
    await using world = await start()
    const [first, second] = [make(world, 'first'), make(world, 'second')]
    make(world, 'child', owner(first), owner(second))
    await world.client.resource(configmaps).delete('first', { namespace: 'default' })
    await world.eventually(() => world.server.peek(configmaps, 'default/child')?.metadata.ownerReferences?.length === 1)
    expect(names(world)).toEqual(['child', 'second'])
  })

  it('deletes blocking dependents before the owner of a foreground deletion', async () => {
    await using world = await start()
    const root = make(world, 'root')
    make(world, 'child', owner(root, true))
    const held = world.server.put(configmaps, {
      metadata: { name: 'held', namespace: 'default', ownerReferences: [owner(root, true)], finalizers: ['example.org/hold'] },
    })
    await world.quiet()
    await world.client.resource(configmaps).delete('root', { namespace: 'default', propagationPolicy: 'Foreground' })
    await world.eventually(() => names(world).join() === 'held,root')
    await world.quiet()
    expect(names(world)).toEqual(['held', 'root'])
    await world.client
      .resource(configmaps)
      .patch(held.metadata.name, { metadata: { finalizers: null } }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => names(world).length === 0)
  })

  it('does not wait in a foreground deletion for dependents that do not block', async () => {
    await using world = await start()
    const root = make(world, 'root')
    world.server.put(configmaps, {
      metadata: { name: 'held', namespace: 'default', ownerReferences: [owner(root)], finalizers: ['example.org/hold'] },
    })
    await world.quiet()
    await world.client.resource(configmaps).delete('root', { namespace: 'default', propagationPolicy: 'Foreground' })
    await world.eventually(() => names(world).join() === 'held')
  })

  it('frees dependents of their owner in an orphaning deletion', async () => {
    await using world = await start()
    const root = make(world, 'root')
    make(world, 'child', owner(root))
    await world.quiet()
    await world.client.resource(configmaps).delete('root', { namespace: 'default', propagationPolicy: 'Orphan' })
    await world.eventually(() => names(world).join() === 'child')
    expect(world.server.peek(configmaps, 'default/child')?.metadata.ownerReferences).toEqual([])
  })

  it('is not caught by a circle of owners', async () => {
    await using world = await start()
    const [a, b, c] = [make(world, 'a'), make(world, 'b'), make(world, 'c')]
    make(world, 'a', owner(c, true))
    make(world, 'b', owner(a, true))
    make(world, 'c', owner(b, true))
    await world.quiet()
    await world.client.resource(configmaps).delete('a', { namespace: 'default', propagationPolicy: 'Foreground' })
    await world.eventually(() => names(world).length === 0)
  })

  it('deletes an object whose owner was never there, once that was verified', async () => {
    await using world = await start()
    const root = make(world, 'root')
    make(world, 'child', { ...owner(root), uid: 'gone' })
    await world.eventually(() => names(world).join() === 'root')
  })

  it('finds dangling owners of before it started', async () => {
    await using world = await start({
      scene: {
        scene: (server) =>
          void server.put(configmaps, {
            metadata: {
              name: 'child',
              namespace: 'default',
              ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' }],
            },
          }),
      },
    })
    await world.eventually(() => names(world).length === 0)
  })

  it('follows an owner of the whole cluster, and never deletes for an owner of another namespace kind', async () => {
    await using world = await start()
    const role = world.server.put(clusterroles, { metadata: { name: 'role' } })
    make(world, 'child', owner(role))
    const map = make(world, 'map')
    world.server.put(clusterroles, { metadata: { name: 'strange', ownerReferences: [{ ...owner(map), uid: 'gone' }] } })
    await world.quiet()
    await world.client.resource(clusterroles).delete('role')
    await world.eventually(() => names(world).join() === 'map')
    expect(world.server.all(clusterroles).map(({ metadata }) => metadata.name)).toEqual(['strange'])
  })

  it('keeps what an unserved kind owns, and collects it by the rules once the kind is served', async () => {
    let isServed = false
    const discover = async (): Promise<Discovery> => discoveryOf(...builtIn, ...(isServed ? [widgets] : []))
    await using world = await startWorld((context) => [createGarbageCollector(context, { discover, rediscoverMs: 20 })])
    const widget = world.server.put(widgets, { metadata: { name: 'w', namespace: 'default' } })
    make(world, 'child', owner(widget))
    await world.quiet()
    expect(names(world)).toEqual(['child'])
    isServed = true
    await world.client.resource(widgets).delete('w', { namespace: 'default' })
    make(world, 'new', owner(world.server.put(widgets, { metadata: { name: 'v', namespace: 'default' } })))
    await world.client.resource(widgets).delete('v', { namespace: 'default' })
    await world.eventually(() => !names(world).includes('new'))
  })

  it('starts when discovery answers at last', async () => {
    let failures = 2
    const discover = async (): Promise<Discovery> => {
      if (failures-- > 0) throw new Error('not yet')
      return discoveryOf(...builtIn)
    }
    await using world = await startWorld((context) => [createGarbageCollector(context, { discover })])
    make(world, 'child', { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' })
    await world.eventually(() => names(world).length === 0)
    expect(world.errors).toHaveLength(2)
  })
})
