import type { ResourceType } from '@k3s/api'
import { configmaps, namespaces, pods } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../test/harness.ts'
import { createNamespaceController } from './namespace-controller.ts'

const verbs = ['list', 'delete', 'deletecollection']
const start = (types: readonly ResourceType[] = [configmaps, pods]): Promise<World> =>
  startWorld((context) => [
    createNamespaceController(context, {
      recheckMs: 5,
      discover: async () => ({ resources: types.map((type) => ({ ...type, verbs })), failures: [] }),
    }),
  ])
/** A hold of the test's own keeps the namespace, so that what the controller did of it can be seen. */
const doomed = (world: World): unknown =>
  world.server.put(namespaces, {
    metadata: { name: 'a', deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['example.org/hold'] },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  })
const finalizers = (world: World): readonly string[] | undefined => world.server.peek(namespaces, 'a')?.spec.finalizers

describe('namespace controller', () => {
  it('empties a namespace, reports that all went well and finalizes it', async () => {
    await using world = await start()
    for (const name of ['x', 'y']) world.server.put(configmaps, { metadata: { name, namespace: 'a' } })
    world.server.put(configmaps, { metadata: { name: 'z', namespace: 'b' } })
    doomed(world)
    await world.eventually(() => finalizers(world)?.length === 0)
    expect(world.server.all(configmaps).map(({ metadata }) => metadata.name)).toEqual(['z'])
    const { status } = world.server.peek(namespaces, 'a') ?? {}
    expect(status?.phase).toBe('Terminating')
    expect(status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'NamespaceDeletionDiscoveryFailure=False',
      'NamespaceDeletionGroupVersionParsingFailure=False',
      'NamespaceDeletionContentFailure=False',
      'NamespaceContentRemaining=False',
      'NamespaceFinalizersRemaining=False',
    ])
  })

  it('leaves everything else alone while a pod is left, and says what holds it', async () => {
    await using world = await start()
    world.server.put(configmaps, { metadata: { name: 'x', namespace: 'a' } })
    world.server.put(pods, { metadata: { name: 'p', namespace: 'a', finalizers: ['example.org/f'] }, spec: { containers: [] } })
    doomed(world)
    const remaining = await world.eventually(() =>
      world.server.peek(namespaces, 'a')?.status?.conditions?.find(({ reason }) => reason === 'SomeFinalizersRemain'),
    )
    expect(remaining.message).toBe('Some content in the namespace has finalizers remaining: example.org/f in 1 resource instances')
    expect(world.server.all(configmaps)).toHaveLength(1)
    expect(finalizers(world)).toEqual(['kubernetes'])
    world.server.remove(pods, 'a/p')
    await world.eventually(() => finalizers(world)?.length === 0)
    expect(world.server.all(configmaps)).toHaveLength(0)
  })

  it('does not finalize while part of the resources cannot be discovered', async () => {
    let failures = [{ groupVersion: 'example.org/v1', error: new Error('no answer') }]
    await using world = await startWorld((context) => [
      createNamespaceController(context, { recheckMs: 5, discover: async () => ({ resources: [], failures }) }),
    ])
    doomed(world)
    await world.eventually(() => world.server.peek(namespaces, 'a')?.status?.conditions?.some(({ reason }) => reason === 'DiscoveryFailed'))
    expect(finalizers(world)).toEqual(['kubernetes'])
    failures = []
    await world.eventually(() => finalizers(world)?.length === 0)
  })
})
