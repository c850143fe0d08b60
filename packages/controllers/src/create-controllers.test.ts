import { notFound } from '@k3s/api'
import { deployments } from '@k3s/api/types/apps/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import { configmaps, events, namespaces, nodes, pods, serviceaccounts, services } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { runAll } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../test/harness.ts'
import { createControllers } from './create-controllers.ts'
import type { Discovery } from './kit/discovery.ts'

const verbs = ['list', 'watch', 'delete']
const discover = async (): Promise<Discovery> => ({
  resources: [configmaps, pods, deployments].map((type) => ({ ...type, verbs })),
  failures: [],
})
const common = { namespace: { discover }, garbageCollector: { discover }, disruption: { discover }, resourceQuota: { discover } }

describe('createControllers()', () => {
  it('runs all controllers side by side on one set of informers, each as its own user', async () => {
    const users = new Set<string>()
    await using world = await startWorld((context) => [
      createControllers({
        ...context,
        clientFor: (name) => (users.add(name), context.client),
        options: {
          ...common,
          rootCa: 'PEM',
          signToken: async () => 'token',
          nodeIpam: { clusterCidrs: ['10.42.0.0/16'] },
          cloudNode: true,
        },
      }),
    ])
    world.server.put(namespaces, { metadata: { name: 'default' }, spec: {}, status: { phase: 'Active' } })
    world.server.put(nodes, { metadata: { name: 'n' }, spec: {}, status: { conditions: [{ type: 'Ready', status: 'True' }] } })
    const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [] } }
    await world.client
      .resource(deployments)
      .create({ metadata: { name: 'd', namespace: 'default' }, spec: { replicas: 2, selector: { matchLabels: { app: 'a' } }, template } })
    await world.client
      .resource(services)
      .create({ metadata: { name: 's', namespace: 'default' }, spec: { selector: { app: 'a' }, ports: [{ port: 80 }] } })
    await world.eventually(() => world.server.all(pods).length === 2)
    await world.eventually(() => world.server.all(endpointslices).length === 1)
    await world.eventually(() => world.server.peek(serviceaccounts, 'default/default'))
    await world.eventually(() => world.server.peek(configmaps, 'default/kube-root-ca.crt'))
    await world.eventually(
      () => world.server.peek(nodes, 'n')?.spec.providerID === 'k3s://n' && world.server.peek(nodes, 'n')?.spec.podCIDR === '10.42.0.0/24',
    )
    await world.quiet()
    expect(world.errors).toEqual([])
    expect(users).toContain('deployment-controller')
    expect(users.size).toBeGreaterThan(15)
  })

  it('comes to rest: without changes it makes no requests', async () => {
    await using world = await startWorld((context) => [createControllers({ ...context, options: { ...common, rootCa: 'PEM' } })])
    world.server.put(namespaces, { metadata: { name: 'default' }, spec: {}, status: { phase: 'Active' } })
    await world.eventually(() => world.server.peek(configmaps, 'default/kube-root-ca.crt'))
    await world.quiet()
    expect(world.errors).toEqual([])
  })

  it('writes Events with each controller as their source when no recorder is given', async () => {
    const server = new FakeApiServer()
    const client = createClient(server)
    const informers = createInformerFactory(client)
    const service = createControllers({ client, informers, options: common })
    const abort = new AbortController()
    const ready = Promise.withResolvers<void>()
    const running = runAll([informers, service], abort.signal, ready.resolve)
    await Promise.race([ready.promise, running])
    const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [] } }
    await client
      .resource(deployments)
      .create({ metadata: { name: 'd', namespace: 'default' }, spec: { replicas: 1, selector: { matchLabels: { app: 'a' } }, template } })
    await expect
      .poll(
        () =>
          server
            .all(events)
            .map(({ reason, source }) => `${source?.component} ${reason}`)
            .toSorted(),
        { timeout: 10_000 },
      )
      .toEqual(['deployment-controller ScalingReplicaSet', 'replicaset-controller SuccessfulCreate'])
    abort.abort()
    await running
  })

  it('leaves out what is disabled', async () => {
    await using world = await startWorld((context) => [
      createControllers({ ...context, options: { ...common, disabled: ['serviceaccount-controller'] } }),
    ])
    world.server.put(namespaces, { metadata: { name: 'default' }, spec: {}, status: { phase: 'Active' } })
    await world.quiet()
    expect(world.server.all(serviceaccounts)).toEqual([])
  })

  it('lets the others work when one resource is not served, and says who waits', async () => {
    await using world = await startWorld(
      (context) => [createControllers({ ...context, options: { ...common, rootCa: 'PEM', readyTimeoutMs: 50 } })],
      {
        onRequest: ({ path }) => {
          if (path.endsWith('/resourcequotas')) throw notFound({ resource: 'resourcequotas' }, '')
        },
      },
    )
    world.server.put(namespaces, { metadata: { name: 'default' }, spec: {}, status: { phase: 'Active' } })
    await world.eventually(() => world.server.peek(configmaps, 'default/kube-root-ca.crt'))
    expect(world.errors).toContainEqual({ controllers: ['resourcequota'] })
  })
})
