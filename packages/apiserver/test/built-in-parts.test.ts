import { createClient } from '@k3s/client'
import { configmaps, namespaces, pods, services } from '@k3s/api/types/core/v1'
import { clusterroles, rolebindings, roles } from '@k3s/api/types/rbac/v1'
import { describe, expect, it } from 'vitest'
import { startBuiltIn } from './start-cluster.ts'
import type { TestServer } from './start-server.ts'

const startCluster = (): Promise<TestServer> => startBuiltIn({ advertised: { address: '192.0.2.1', port: 6443, serviceIp: '10.43.0.1' } })

describe('builtInParts()', () => {
  it('brings the bootstrap roles', async () => {
    const { client } = await startCluster()
    const names = (await client.resource(clusterroles).list()).items.map(({ metadata }) => metadata.name)
    expect(names).toEqual(expect.arrayContaining(['cluster-admin', 'admin', 'edit', 'view', 'system:node', 'system:kube-scheduler']))
  })

  it('lets users do what a binding allows, from its answer on', async () => {
    const { client, server } = await startCluster()
    const jane = createClient(server.transport({ name: 'jane', groups: ['system:authenticated'] }))
    const list = (): Promise<unknown> => jane.resource(configmaps).list({ namespace: 'default' })
    await expect(list()).rejects.toMatchObject({
      code: 403,
      message: 'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default"',
    })
    const metadata = { name: 'reader', namespace: 'default' }
    await client.resource(roles).create({ metadata, rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }] })
    await client.resource(rolebindings).create({
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jane' }],
    })
    await expect(list()).resolves.toMatchObject({ items: [] })
    await expect(jane.resource(configmaps).list()).rejects.toMatchObject({ code: 403 })
  })

  it('admits nothing into a namespace that is missing or going, and keeps the system’s', async () => {
    const { client } = await startCluster()
    await expect(client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'none' } })).rejects.toMatchObject({
      code: 404,
      message: 'namespaces "none" not found',
    })
    await client.resource(namespaces).create({ metadata: { name: 'going' }, spec: {} })
    await client.resource(namespaces).delete('going')
    await expect(client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'going' } })).rejects.toMatchObject({
      code: 403,
      details: { causes: [{ reason: 'NamespaceTerminating' }] },
    })
    await expect(client.resource(namespaces).delete('default')).rejects.toMatchObject({ code: 403 })
  })

  it('gives services addresses of their own, and back to others when they go', async () => {
    const { client } = await startCluster()
    const service = (name: string) => ({ metadata: { name, namespace: 'default' }, spec: { type: 'NodePort', ports: [{ port: 80 }] } })
    const [one, two] = await Promise.all(['one', 'two'].map((name) => client.resource(services).create(service(name))))
    expect(one?.spec.clusterIP).toMatch(/^10\.43\./)
    expect(two?.spec.clusterIP).not.toBe(one?.spec.clusterIP)
    const taken = { ...service('three'), spec: { ...service('three').spec, clusterIP: one?.spec.clusterIP } }
    await expect(client.resource(services).create(taken)).rejects.toMatchObject({ code: 422 })
    await client.resource(services).delete('one', { namespace: 'default' })
    await expect
      .poll(() =>
        client
          .resource(services)
          .create(taken)
          .then(
            () => true,
            () => false,
          ),
      )
      .toBe(true)
  })

  it('deletes pods without a node at once and others gracefully', async () => {
    const { client, datastore } = await startCluster()
    await client.transport.request({
      method: 'POST',
      path: '/api/v1/namespaces/default/serviceaccounts',
      body: { metadata: { name: 'default' } },
    })
    const pod = (name: string, nodeName?: string) => ({
      metadata: { name, namespace: 'default' },
      spec: { containers: [{ name: 'c', image: 'i' }], ...(nodeName === undefined ? {} : { nodeName }) },
    })
    await client.resource(pods).create(pod('waiting'))
    await client.resource(pods).create(pod('running', 'node-1'))
    await client.resource(pods).delete('waiting', { namespace: 'default' })
    expect((await datastore.get(Buffer.from('/registry/pods/default/waiting'))).item).toBeUndefined()
    const deleting = await client.resource(pods).delete('running', { namespace: 'default' })
    expect(deleting).toMatchObject({ metadata: { deletionGracePeriodSeconds: 30, generation: 2 } })
    const shorter = await client.resource(pods).delete('running', { namespace: 'default', gracePeriodSeconds: 5 })
    expect(shorter).toMatchObject({ metadata: { deletionGracePeriodSeconds: 5 } })
    await client.resource(pods).delete('running', { namespace: 'default', gracePeriodSeconds: 0 })
    expect((await datastore.get(Buffer.from('/registry/pods/default/running'))).item).toBeUndefined()
  })
})
