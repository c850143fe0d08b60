import { controllerrevisions, daemonsets, type DaemonSet } from '@k3s/api/types/apps/v1'
import { nodes, pods, type Node, type Pod, type Taint } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { makeReady, startWorld, type World } from '../../test/harness.ts'
import { targetNodeOf } from './daemon-pod.ts'
import { createDaemonSetController } from './daemonset-controller.ts'

const node = (name: string, labels: Record<string, string> = {}, taints: Taint[] = []): Node => ({
  metadata: { name, labels },
  spec: { taints },
})
const set = (image = 'a:1', spec: Partial<DaemonSet['spec']> = {}): DaemonSet => ({
  metadata: { name: 'agent', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'agent' } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
    template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c', image }] } },
    ...spec,
  },
})
const start = (...names: readonly string[]): Promise<World> =>
  startWorld((context) => [createDaemonSetController(context)], {
    scene: (server) => names.forEach((name) => server.put(nodes, node(name))),
  })
const targets = (world: World): readonly string[] => world.server.all(pods).map(targetNodeOf).toSorted()
const images = (world: World): readonly (string | undefined)[] => world.server.all(pods).map(({ spec }) => spec.containers[0]?.image)
const bind = (world: World): void => {
  for (const pod of world.server.all(pods))
    if (pod.spec.nodeName === undefined) world.server.put(pods, { ...pod, spec: { ...pod.spec, nodeName: targetNodeOf(pod) } })
}
const terminate = (world: World): void => {
  for (const { metadata } of world.server.all(pods))
    if (metadata.deletionTimestamp !== undefined) world.server.remove(pods, `default/${metadata.name}`)
}

describe('daemonset controller', () => {
  it('runs one pod on each node that fits, and follows nodes that come, change and go', async () => {
    await using world = await start('a', 'b')
    const nodeSelector = { role: 'edge' }
    await world.client
      .resource(daemonsets)
      .create(set('a:1', { template: { ...set().spec.template, spec: { nodeSelector, containers: [] } } }))
    await world.quiet()
    expect(targets(world)).toEqual([])
    world.server.put(nodes, node('a', nodeSelector))
    world.server.put(nodes, node('c', nodeSelector))
    await world.eventually(() => targets(world).join() === 'a,c')
    world.server.put(nodes, node('a'))
    await world.eventually(() => targets(world).join() === 'c')
  })

  it('tolerates troubles of its node, but not taints of others', async () => {
    await using world = await start()
    world.server.put(nodes, node('a', {}, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }]))
    world.server.put(nodes, node('b', {}, [{ key: 'dedicated', value: 'x', effect: 'NoSchedule' }]))
    await world.client.resource(daemonsets).create(set())
    await world.eventually(() => targets(world).join() === 'a')
    await world.quiet()
    expect(targets(world)).toEqual(['a'])
  })

  it('reports its status and records its template', async () => {
    await using world = await start('a', 'b')
    await world.client.resource(daemonsets).create(set())
    await world.eventually(() => targets(world).length === 2)
    bind(world)
    makeReady(world.server)
    const status = await world.eventually(() => {
      const found = world.server.peek(daemonsets, 'default/agent')?.status
      return found?.numberAvailable === 2 ? found : undefined
    })
    expect(status).toMatchObject({
      observedGeneration: 1,
      desiredNumberScheduled: 2,
      currentNumberScheduled: 2,
      numberMisscheduled: 0,
      numberReady: 2,
      updatedNumberScheduled: 2,
      numberUnavailable: 0,
    })
    const [revision] = world.server.all(controllerrevisions)
    expect(revision?.revision).toBe(1)
    expect(revision?.data).toEqual({ spec: { template: { ...set().spec.template, $patch: 'replace' } } })
    expect(world.server.all(pods)[0]?.metadata.labels?.['controller-revision-hash']).toBe(
      revision?.metadata.labels?.['controller-revision-hash'],
    )
  })

  it('replaces pods one node after another, and counts revisions on when it goes back', async () => {
    await using world = await start('a', 'b', 'c')
    const resource = world.client.resource(daemonsets)
    await resource.create(set('a:1'))
    const serving = (): number =>
      world.server.all(pods).filter(({ status, metadata }) => status?.phase === 'Running' && metadata.deletionTimestamp === undefined)
        .length
    const seen: number[] = []
    const settle = async (image: string): Promise<void> => {
      await world.eventually(() => {
        seen.push(serving())
        terminate(world)
        bind(world)
        makeReady(world.server)
        return images(world).length === 3 && images(world).every((one) => one === image)
      })
      await world.quiet()
    }
    await settle('a:1')
    seen.length = 0
    await resource.patch('agent', { spec: set('a:2').spec }, { type: 'merge', namespace: 'default' })
    await settle('a:2')
    await resource.patch('agent', { spec: set('a:1').spec }, { type: 'merge', namespace: 'default' })
    await settle('a:1')
    expect(Math.min(...seen)).toBe(2)
    expect(
      world.server
        .all(controllerrevisions)
        .map(({ revision }) => revision)
        .toSorted((a, b) => a - b),
    ).toEqual([2, 3])
  })

  it('starts the new pod before it stops the old one when it may surge', async () => {
    await using world = await start('a')
    const resource = world.client.resource(daemonsets)
    const surging = { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }
    await resource.create(set('a:1', surging))
    await world.eventually(() => images(world).length === 1)
    bind(world)
    makeReady(world.server)
    await resource.patch('agent', { spec: set('a:2', surging).spec }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => images(world).toSorted().join() === 'a:1,a:2')
    await world.quiet()
    expect(world.server.all(pods).every(({ metadata }) => metadata.deletionTimestamp === undefined)).toBe(true)
    bind(world)
    makeReady(world.server)
    await world.eventually(() =>
      world.server.all(pods).some((pod: Pod) => pod.metadata.deletionTimestamp !== undefined && pod.spec.containers[0]?.image === 'a:1'),
    )
  })

  it('replaces a pod that failed', async () => {
    await using world = await start('a')
    await world.client.resource(daemonsets).create(set())
    const failed = await world.eventually(() => world.server.all(pods)[0])
    world.server.put(pods, { ...failed, status: { phase: 'Failed' } })
    await world.eventually(() => world.server.all(pods).length === 1 && world.server.all(pods)[0]?.metadata.uid !== failed.metadata.uid)
    expect(world.events.map(({ reason }) => reason)).toContain('FailedDaemonPod')
  })
})
