import type { KubernetesObject, ResourceType } from '@k3s/api'
import { customresourcedefinitions, type CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { resourcequotas } from '@k3s/api/types/core/v1'
import { rolebindings, roles } from '@k3s/api/types/rbac/v1'
import { createClient } from '@k3s/client'
import { openDatastore } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
import { widgets } from './custom-api.ts'
import { startBuiltIn } from './start-cluster.ts'
import type { TestServer } from './start-server.ts'

interface Widget extends KubernetesObject {
  spec: { size: number; color?: string }
}
const widgetType: ResourceType<Widget> = { group: 'example.com', version: 'v1', resource: 'widgets', kind: 'Widget', namespaced: true }
const widget = (name: string, namespace = 'default'): Widget => ({ metadata: { name, namespace }, spec: { size: 1 } })
const here = { namespace: 'default' }

async function define({ client }: TestServer, definition: object = widgets()): Promise<void> {
  const { metadata } = await client.resource(customresourcedefinitions).create(definition as CustomResourceDefinition) // written as JSON
  const isEstablished = async (): Promise<boolean> => {
    const { status } = await client.resource(customresourcedefinitions).get(metadata.name)
    return status?.conditions?.some(({ type, status: value }) => type === 'Established' && value === 'True') === true
  }
  await expect.poll(isEstablished, { timeout: 10_000 }).toBe(true)
}

describe('custom resources in a cluster', () => {
  it('are served at once by a server that starts on what another left', async () => {
    const datastore = await openDatastore('memory:')
    const first = await startBuiltIn({ datastore })
    await define(first)
    await first.client.resource(widgetType).create(widget('a'))
    await first.server.close()
    const again = await startBuiltIn({ datastore })
    expect(await again.client.resource(widgetType).get('a', here)).toMatchObject({ spec: { size: 1, color: 'red' } })
  })

  it('are served by all servers of a datastore', async () => {
    const datastore = await openDatastore('memory:')
    const [one, two] = [await startBuiltIn({ datastore }), await startBuiltIn({ datastore })]
    await define(one)
    const created = await one.client.resource(widgetType).create(widget('a'))
    await expect.poll(() => two.client.resource(widgetType).get('a', here).catch(String)).toEqual(created)
  })

  it('are made only in namespaces that are there', async () => {
    const server = await startBuiltIn()
    await define(server)
    await expect(server.client.resource(widgetType).create(widget('a', 'nowhere'))).rejects.toThrow('namespaces "nowhere" not found')
  })

  it('count in quotas', async () => {
    const server = await startBuiltIn()
    await define(server)
    const { client } = server
    const hard = { 'count/widgets.example.com': '1' }
    const quota = await client.resource(resourcequotas).create({ metadata: { name: 'q', ...here }, spec: { hard } })
    const used = { 'count/widgets.example.com': '0' }
    await client.resource(resourcequotas).update({ ...quota, status: { hard, used } }, { subresource: 'status' })
    await expect.poll(async () => (await client.resource(resourcequotas).get('q', here)).status?.used).toEqual(used)
    await client.resource(widgetType).create(widget('a'))
    await expect(client.resource(widgetType).create(widget('b'))).rejects.toThrow(
      'widgets.example.com "b" is forbidden: exceeded quota: q, requested: count/widgets.example.com=1, used: count/widgets.example.com=1, limited: count/widgets.example.com=1',
    )
  })

  it('are allowed by roles that name them', async () => {
    const started = await startBuiltIn()
    await define(started)
    const { client, server } = started
    await client.resource(widgetType).create(widget('a'))
    const bob = createClient(server.transport({ name: 'bob', groups: ['system:authenticated'] })).resource(widgetType)
    await expect(bob.get('a', here)).rejects.toThrow(
      'widgets.example.com "a" is forbidden: User "bob" cannot get resource "widgets" in API group "example.com" in the namespace "default"',
    )
    const rules = [{ apiGroups: ['example.com'], resources: ['widgets'], resourceNames: ['a'], verbs: ['get'] }]
    await client.resource(roles).create({ metadata: { name: 'r', ...here }, rules })
    await client.resource(rolebindings).create({
      metadata: { name: 'r', ...here },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
      subjects: [{ kind: 'User', name: 'bob', apiGroup: 'rbac.authorization.k8s.io' }],
    })
    await expect.poll(() => bob.get('a', here).catch(String)).toMatchObject({ metadata: { name: 'a' } })
    await expect(bob.get('b', here)).rejects.toThrow('is forbidden')
  })

  it('end their watches when they are no longer served', async () => {
    const started = await startBuiltIn()
    await define(started)
    const { client } = started
    await client.resource(widgetType).create(widget('a'))
    const types: string[] = []
    const watching = (async () => {
      for await (const { type } of client.resource(widgetType).watch(here)) types.push(type)
    })()
    await expect.poll(() => types).toEqual(['ADDED'])
    await client.resource(customresourcedefinitions).delete('widgets.example.com')
    await watching
    expect(types).toEqual(['ADDED', 'DELETED'])
    await expect(client.resource(widgetType).list(here)).rejects.toThrow('the server could not find the requested resource')
  })

  it('may have many definitions, made at once', async () => {
    const { client } = await startBuiltIn()
    const kinds = Array.from({ length: 60 }, (_, i) => ({ plural: `things${i}`, kind: `Thing${i}` }))
    const definitions = kinds.map((names) => ({ ...widgets({ spec: { names } }), metadata: { name: `${names.plural}.example.com` } }))
    await Promise.all(
      definitions.map((one) => client.resource(customresourcedefinitions).create(one as unknown as CustomResourceDefinition)),
    ) // written as JSON
    const last = { ...widgetType, resource: 'things59', kind: 'Thing59' }
    for (const type of [{ ...widgetType, resource: 'things0', kind: 'Thing0' }, last])
      await expect
        .poll(async () => (await client.resource(type).list(here).catch(String)) as unknown, { timeout: 20_000 })
        .toMatchObject({ items: [] })
  })
})
