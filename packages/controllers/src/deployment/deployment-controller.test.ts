import { deployments, replicasets, type Deployment } from '@k3s/api/types/apps/v1'
import { pods } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { makeReady, startWorld } from '../../test/harness.ts'
import { createReplicaSetController } from '../replicaset/replicaset-controller.ts'
import { createDeploymentController } from './deployment-controller.ts'

const both = (context: Parameters<typeof createDeploymentController>[0]) => [
  createReplicaSetController(context),
  createDeploymentController(context),
]

const deployment = (replicas: number, image = 'a:1', spec: Partial<Deployment['spec']> = {}): Deployment => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas,
    progressDeadlineSeconds: 600,
    revisionHistoryLimit: 10,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image }] } },
    ...spec,
  },
})

describe('deployment controller with replicaset controller', () => {
  it('brings up the pods of a new Deployment and reports it complete', async () => {
    await using world = await startWorld(both)
    await world.client.resource(deployments).create(deployment(3))
    await world.eventually(() => world.server.all(pods).length === 3)
    makeReady(world.server)
    const done = await world.eventually(() => {
      const found = world.server.peek(deployments, 'default/web')
      return found?.status?.availableReplicas === 3 ? found : undefined
    })
    await world.quiet()
    const status = world.server.peek(deployments, 'default/web')?.status
    const set = world.server.all(replicasets)[0]
    expect(done.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('1')
    expect(status).toMatchObject({ replicas: 3, updatedReplicas: 3, readyReplicas: 3, unavailableReplicas: 0, observedGeneration: 1 })
    expect(status?.conditions?.map(({ type, status, reason, message }) => [type, status, reason, message])).toEqual([
      ['Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.'],
      ['Progressing', 'True', 'NewReplicaSetAvailable', `ReplicaSet "${set?.metadata.name}" has successfully progressed.`],
    ])
    expect(world.events).toContainEqual({
      object: 'web',
      type: 'Normal',
      reason: 'ScalingReplicaSet',
      message: `Scaled up replica set ${set?.metadata.name} from 0 to 3`,
    })
    expect(world.events.filter(({ reason }) => reason === 'SuccessfulCreate')).toHaveLength(3)
    expect(world.errors).toEqual([])
  })

  it('rolls to a new template without leaving fewer available or more pods than allowed, and back to a known revision', async () => {
    await using world = await startWorld(both)
    const resource = world.client.resource(deployments)
    await resource.create(deployment(4))
    const [sizes, serving]: [number[], number[]] = [[], []]
    const settle = async (image: string): Promise<void> => {
      await world.eventually(() => {
        const all = world.server.all(pods)
        const alive = all.filter((pod) => pod.metadata.deletionTimestamp === undefined)
        sizes.push(alive.length)
        serving.push(alive.filter((pod) => pod.status?.phase === 'Running').length)
        makeReady(world.server)
        const { status, metadata } = world.server.peek(deployments, 'default/web') ?? {}
        return (
          all.length === 4 &&
          all.every(({ spec }) => spec.containers[0]?.image === image) &&
          status?.observedGeneration === metadata?.generation &&
          status?.replicas === 4 &&
          status?.availableReplicas === 4 &&
          status?.updatedReplicas === 4
        )
      })
      await world.quiet()
    }
    const terminate = setInterval(() => {
      for (const { metadata } of world.server.all(pods))
        if (metadata.deletionTimestamp !== undefined) world.server.remove(pods, `default/${metadata.name}`)
    }, 2)
    try {
      await settle('a:1')
      serving.length = 0
      await resource.patch('web', { spec: deployment(4, 'a:2').spec }, { type: 'merge', namespace: 'default' })
      await settle('a:2')
      await resource.patch('web', { spec: deployment(4, 'a:1').spec }, { type: 'merge', namespace: 'default' })
      await settle('a:1')
    } finally {
      clearInterval(terminate)
    }
    expect(Math.max(...sizes)).toBe(5)
    expect(Math.min(...serving)).toBe(3)
    const sets = world.server.all(replicasets).map(({ metadata, spec }) => ({
      image: spec.template?.spec?.containers[0]?.image,
      replicas: spec.replicas,
      revision: metadata.annotations?.['deployment.kubernetes.io/revision'],
      history: metadata.annotations?.['deployment.kubernetes.io/revision-history'],
    }))
    expect(sets.toSorted((a, b) => Number(a.revision) - Number(b.revision))).toEqual([
      { image: 'a:2', replicas: 0, revision: '2', history: undefined },
      { image: 'a:1', replicas: 4, revision: '3', history: '1' },
    ])
    expect(world.server.peek(deployments, 'default/web')?.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('3')
  })

  it('starts no new pod of a Recreate Deployment before the last old one has ended', async () => {
    await using world = await startWorld(both)
    const resource = world.client.resource(deployments)
    const recreate = { strategy: { type: 'Recreate' } }
    await resource.create(deployment(2, 'a:1', recreate))
    await world.eventually(() => world.server.all(pods).length === 2)
    makeReady(world.server)
    await resource.patch('web', { spec: deployment(2, 'a:2', recreate).spec }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => world.server.all(pods).every(({ metadata }) => metadata.deletionTimestamp !== undefined))
    await world.quiet()
    expect(world.server.all(pods)).toHaveLength(2)
    for (const { metadata } of world.server.all(pods)) world.server.remove(pods, `default/${metadata.name}`)
    await world.eventually(() => world.server.all(pods).length === 2)
    expect(world.server.all(pods).map(({ spec }) => spec.containers[0]?.image)).toEqual(['a:2', 'a:2'])
  })

  it('scales both ReplicaSets of a paused rollout in proportion', async () => {
    await using world = await startWorld(both)
    const resource = world.client.resource(deployments)
    await resource.create(deployment(10, 'a:1', { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } }))
    await world.eventually(() => world.server.all(pods).length === 10)
    makeReady(world.server)
    await world.eventually(() => world.server.peek(deployments, 'default/web')?.status?.availableReplicas === 10)
    const change = deployment(10, 'broken:1', { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } })
    await resource.patch('web', { spec: change.spec }, { type: 'merge', namespace: 'default' })
    const sizes = (): readonly (number | undefined)[] =>
      world.server
        .all(replicasets)
        .toSorted(
          (a, b) =>
            Number(a.metadata.annotations?.['deployment.kubernetes.io/revision']) -
            Number(b.metadata.annotations?.['deployment.kubernetes.io/revision']),
        )
        .map(({ spec }) => spec.replicas)
    await world.eventually(() => {
      for (const { metadata } of world.server.all(pods))
        if (metadata.deletionTimestamp !== undefined) world.server.remove(pods, `default/${metadata.name}`)
      expect(sizes()).toEqual([8, 5])
      return true
    })
    await world.quiet()
    await resource.patch('web', { spec: { replicas: 30 } }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => {
      expect(sizes()).toEqual([20, 13])
      return true
    })
  })

  it('tells that a rollout makes no progress within its deadline', async () => {
    await using world = await startWorld(both)
    await world.client.resource(deployments).create(deployment(1, 'a:1', { progressDeadlineSeconds: 1 }))
    const late = await world.eventually(() =>
      world.server.peek(deployments, 'default/web')?.status?.conditions?.find(({ reason }) => reason === 'ProgressDeadlineExceeded'),
    )
    expect(late).toMatchObject({ type: 'Progressing', status: 'False' })
  })

  it('changes nothing while paused and resumes where it was', async () => {
    await using world = await startWorld(both)
    const resource = world.client.resource(deployments)
    await resource.create(deployment(1, 'a:1', { paused: true }))
    await world.eventually(() =>
      world.server.peek(deployments, 'default/web')?.status?.conditions?.some(({ reason }) => reason === 'DeploymentPaused'),
    )
    await world.quiet()
    expect(world.server.all(replicasets)).toEqual([])
    await resource.patch('web', { spec: { paused: null } }, { type: 'merge', namespace: 'default' })
    await world.eventually(() => world.server.all(replicasets).length === 1)
  })
})
