import type { Deployment } from '@k3s/api/types/apps/v1'
import { deployments } from '@k3s/api/types/apps/v1'
import { configmaps, pods, type ConfigMap, type Pod } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { createClient } from '../create-client.ts'
import { FakeApiServer } from './fake-api-server.ts'

const configMap = (name: string, extra: Partial<ConfigMap> = {}): ConfigMap => ({ metadata: { name, namespace: 'default' }, ...extra })
const pod = (name: string, spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'a' }], ...spec },
})

function start(options?: ConstructorParameters<typeof FakeApiServer>[0]) {
  const server = new FakeApiServer(options)
  const client = createClient(server)
  return { server, client, maps: client.resource(configmaps), pods: client.resource(pods) }
}

describe('FakeApiServer', () => {
  it('create() gives identity and a resourceVersion, and refuses a second of the name', async () => {
    const { maps } = start()
    const made = await maps.create(configMap('a'))
    expect(made).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a', namespace: 'default', generation: 1 } })
    expect(made.metadata.uid).toBeTruthy()
    expect(Object.isFrozen(made.metadata)).toBe(true)
    await expect(maps.create(configMap('a'))).rejects.toMatchObject({ reason: 'AlreadyExists', message: 'configmaps "a" already exists' })
  })

  it('create() makes a name of generateName', async () => {
    const { maps } = start()
    const made = await maps.create({ metadata: { name: '', generateName: 'a-', namespace: 'default' } })
    expect(made.metadata.name).toMatch(/^a-.{5}$/)
  })

  it('update() refuses an old resourceVersion and leaves the version alone when nothing changed', async () => {
    const { maps } = start()
    const first = await maps.create(configMap('a', { data: { x: '1' } }))
    const second = await maps.update({ ...first, data: { x: '2' } })
    expect(second.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion)
    await expect(maps.update({ ...first, data: { x: '3' } })).rejects.toMatchObject({ reason: 'Conflict', code: 409 })
    expect((await maps.update(second)).metadata.resourceVersion).toBe(second.metadata.resourceVersion)
  })

  it('writes status and spec apart from each other, and counts generations of the spec only', async () => {
    const { client } = start()
    const resource = client.resource(deployments)
    const spec: Deployment['spec'] = {
      replicas: 1,
      selector: {},
      template: { metadata: {}, spec: { containers: [] } },
    }
    const made = await resource.create({ metadata: { name: 'a', namespace: 'default' }, spec, status: { replicas: 5 } })
    expect(made.status).toBeUndefined()
    const withStatus = await resource.update(
      { ...made, spec: { ...spec, replicas: 9 }, status: { replicas: 2 } },
      { subresource: 'status' },
    )
    expect(withStatus).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 2 }, metadata: { generation: 1 } })
    const scaled = await resource.update({ ...withStatus, spec: { ...spec, replicas: 3 }, status: { replicas: 7 } })
    expect(scaled).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 2 }, metadata: { generation: 2 } })
  })

  it('keeps an object with finalizers until the last is gone', async () => {
    const { maps, server } = start()
    await maps.create({ metadata: { name: 'a', namespace: 'default', finalizers: ['x/y'] } })
    const marked = (await maps.delete('a', { namespace: 'default' })) as ConfigMap
    expect(marked.metadata.deletionTimestamp).toBeTruthy()
    await maps.patch('a', { metadata: { finalizers: null } }, { type: 'merge', namespace: 'default' })
    expect(server.all(configmaps)).toEqual([])
  })

  it('deletes a bound pod with grace first, then for good', async () => {
    const { pods } = start()
    await pods.create(pod('a', { nodeName: 'n' }))
    await pods.delete('a', { namespace: 'default', gracePeriodSeconds: 5 })
    expect((await pods.get('a', { namespace: 'default' })).metadata.deletionGracePeriodSeconds).toBe(5)
    await pods.delete('a', { namespace: 'default', gracePeriodSeconds: 0 })
    await expect(pods.get('a', { namespace: 'default' })).rejects.toMatchObject({ reason: 'NotFound' })
  })

  it('refuses a deletion whose precondition fails', async () => {
    const { maps } = start()
    await maps.create(configMap('a'))
    await expect(maps.delete('a', { namespace: 'default', preconditions: { uid: 'other' } })).rejects.toMatchObject({ reason: 'Conflict' })
  })

  it('binds a pod once', async () => {
    const { pods } = start()
    await pods.create(pod('a'))
    const binding = (node: string) => ({ metadata: { name: 'a', namespace: 'default' }, target: { kind: 'Node', name: node } })
    await pods.createSubresource('a', 'binding', binding('n1'), { namespace: 'default' })
    const bound = await pods.get('a', { namespace: 'default' })
    expect(bound.spec.nodeName).toBe('n1')
    expect(bound.status?.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }])
    await expect(pods.createSubresource('a', 'binding', binding('n2'), { namespace: 'default' })).rejects.toMatchObject({
      reason: 'Conflict',
    })
  })

  it('merges conditions by type in a strategic patch and replaces them in a merge patch', async () => {
    const { pods, server } = start()
    server.put(pods.type, { ...pod('a'), status: { conditions: [{ type: 'Ready', status: 'False' }] } })
    const patch = { status: { conditions: [{ type: 'Other', status: 'True' }] } }
    const options = { namespace: 'default', subresource: 'status' }
    expect((await pods.patch('a', patch, { type: 'strategic', ...options })).status?.conditions).toHaveLength(2)
    expect((await pods.patch('a', patch, { type: 'merge', ...options })).status?.conditions).toHaveLength(1)
  })

  it('applies the operations of a JSON patch, or none when a test fails', async () => {
    const { maps } = start()
    await maps.create(configMap('a', { data: { 'x/y': '1' } }))
    const options = { type: 'json', namespace: 'default' } as const
    const patched = await maps.patch(
      'a',
      [
        { op: 'test', path: '/data/x~1y', value: '1' },
        { op: 'add', path: '/data/z', value: '2' },
      ],
      options,
    )
    expect(patched.data).toEqual({ 'x/y': '1', z: '2' })
    await expect(maps.patch('a', [{ op: 'test', path: '/data/z', value: '9' }], options)).rejects.toMatchObject({ reason: 'Invalid' })
  })

  it.each([
    ['a=1', ['x']],
    ['a!=1', ['y', 'z']],
    ['a', ['x', 'y']],
    ['!a', ['z']],
    ['a in (1, 2),b', ['y']],
    ['a notin (2)', ['x', 'z']],
  ])('lists what the label selector %j selects', async (labelSelector, names) => {
    const { maps, server } = start()
    server.put(configmaps, { metadata: { name: 'x', namespace: 'default', labels: { a: '1' } } })
    server.put(configmaps, { metadata: { name: 'y', namespace: 'default', labels: { a: '2', b: '' } } })
    server.put(configmaps, { metadata: { name: 'z', namespace: 'default' } })
    expect((await maps.list({ labelSelector })).items.map(({ metadata }) => metadata.name)).toEqual(names)
  })

  it('tells a watcher with a field selector that an object entered and left', async () => {
    const { pods, server } = start()
    const seen: string[] = []
    const abort = new AbortController()
    const watching = (async () => {
      for await (const { type, object } of pods.watch({ fieldSelector: 'spec.nodeName=n', signal: abort.signal })) {
        seen.push(`${type} ${object.metadata.name}`)
        if (type === 'DELETED') abort.abort()
      }
    })()
    await new Promise((resolve) => setImmediate(resolve))
    server.put(pods.type, pod('a'))
    server.put(pods.type, pod('a', { nodeName: 'n' }))
    server.put(pods.type, pod('a', { nodeName: 'other' }))
    await watching
    expect(seen).toEqual(['ADDED a', 'DELETED a'])
  })
})
