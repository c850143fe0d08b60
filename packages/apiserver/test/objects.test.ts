import { hasReason, type StatusError } from '@k3s/api'
import { configmaps, namespaces, pods, type ConfigMap, type Pod } from '@k3s/api/types/core/v1'
import { deployments, type Deployment } from '@k3s/api/types/apps/v1'
import { jobs, type Job } from '@k3s/api/types/batch/v1'
import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { startServer } from './start-server.ts'

const configMap = (name: string, data: Record<string, string> = { a: '1' }): ConfigMap => ({
  metadata: { name, namespace: 'default' },
  data,
})
const inDefault = { namespace: 'default' }
const failure = (promise: Promise<unknown>): Promise<StatusError> =>
  promise.then(
    () => Promise.reject(new Error('It did not fail')),
    (error: StatusError) => error,
  )
const pod = (name: string): Pod => ({ metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }] } })
const deployment = (name: string): Deployment => ({
  metadata: { name, namespace: 'default' },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  },
})

describe('create', () => {
  it('sets what the server owns and gives the datastore revision as resourceVersion', async () => {
    const { client, datastore } = await startServer()
    const created = await client.resource(configmaps).create(configMap('a'))
    expect(created.metadata).toMatchObject({ name: 'a', namespace: 'default', uid: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(created.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const { item } = await datastore.get(Buffer.from('/registry/configmaps/default/a'))
    expect(created.metadata.resourceVersion).toBe(String(item?.modRevision))
    expect(await client.resource(configmaps).get('a', inDefault)).toEqual(created)
  })

  it('stores canonical JSON under the key that Kubernetes uses', async () => {
    const { client, datastore } = await startServer()
    await client.resource(configmaps).create(configMap('a'))
    const { item } = await datastore.get(Buffer.from('/registry/configmaps/default/a'))
    const text = Buffer.from(item?.value ?? []).toString()
    expect(text.startsWith('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"')).toBe(true)
    expect(JSON.parse(text).metadata.resourceVersion).toBeUndefined()
  })

  it('answers AlreadyExists for a name that is taken', async () => {
    const { client } = await startServer()
    await client.resource(configmaps).create(configMap('a'))
    const error = await failure(client.resource(configmaps).create(configMap('a')))
    expect(error.message).toBe('configmaps "a" already exists')
    expect(error.code).toBe(409)
  })

  it('generates another name when the first one is taken', async () => {
    const values = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.99]
    const { client } = await startServer({ random: () => values.shift() ?? 0.5 })
    const generated = (): ConfigMap => ({ metadata: { name: '', generateName: 'x-', namespace: 'default' } })
    expect((await client.resource(configmaps).create(generated())).metadata.name).toBe('x-bbbbb')
    expect((await client.resource(configmaps).create(generated())).metadata.name).not.toBe('x-bbbbb')
  })

  it('refuses a body with a resourceVersion, a bad name and unknown label values', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const versioned = configMap('a')
    versioned.metadata.resourceVersion = '1'
    expect(await failure(maps.create(versioned))).toMatchObject({
      code: 500,
      message: 'resourceVersion should not be set on objects to be created',
    })
    expect((await failure(maps.create(configMap('A_b')))).message).toMatch(
      /^ConfigMap "A_b" is invalid: metadata\.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain/,
    )
    const labelled = configMap('b')
    labelled.metadata.labels = { 'a b': '-' }
    expect((await failure(maps.create(labelled))).details?.causes?.map(({ field }) => field)).toEqual([
      'metadata.labels',
      'metadata.labels',
    ])
  })

  it('writes nothing on a dry run', async () => {
    const { client, datastore } = await startServer()
    const before = await datastore.currentRevision()
    const answered = await client.resource(configmaps).create(configMap('a'), { dryRun: true })
    expect(answered.metadata.uid).toBeDefined()
    expect(await datastore.currentRevision()).toBe(before)
  })

  it('records the fields of its manager', async () => {
    const { client } = await startServer()
    const created = await client.resource(configmaps).create(configMap('a'), { fieldManager: 'me' })
    expect(created.metadata.managedFields).toMatchObject([
      { manager: 'me', operation: 'Update', apiVersion: 'v1', fieldsV1: { 'f:data': { 'f:a': {} } } },
    ])
  })

  it('hands out deeply frozen objects and leaves the argument alone', async () => {
    const { client } = await startServer()
    const given = configMap('a')
    const created = await client.resource(configmaps).create(given)
    expect(Object.isFrozen(created.data)).toBe(true)
    expect(given).toEqual(configMap('a'))
  })
})

describe('update', () => {
  it('refuses an old resourceVersion and takes an update without one', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const first = await maps.create(configMap('a'))
    const second = await maps.update({ ...first, data: { a: '2' } })
    expect(Number(second.metadata.resourceVersion)).toBeGreaterThan(Number(first.metadata.resourceVersion))
    const error = await failure(maps.update({ ...first, data: { a: '3' } }))
    expect(error.message).toBe(
      'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
    )
    expect(hasReason(error, 'Conflict')).toBe(true)
    expect((await maps.update({ ...first, metadata: { ...first.metadata, resourceVersion: undefined }, data: { a: '4' } })).data).toEqual({
      a: '4',
    })
  })

  it('writes nothing when nothing changes', async () => {
    const { client, datastore } = await startServer()
    const maps = client.resource(configmaps)
    const first = await maps.create(configMap('a'))
    const before = await datastore.currentRevision()
    expect((await maps.update({ ...first, data: { a: '1' } })).metadata.resourceVersion).toBe(first.metadata.resourceVersion)
    expect(await datastore.currentRevision()).toBe(before)
  })

  it('answers NotFound for a missing object and Conflict for another uid', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    expect((await failure(maps.update(configMap('a')))).message).toBe('configmaps "a" not found')
    const created = await maps.create(configMap('a'))
    const other = { ...created, metadata: { ...created.metadata, uid: 'other' } }
    expect((await failure(maps.update(other))).message).toBe(
      `Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: ${created.metadata.uid ?? ''}`,
    )
  })

  it('bumps generation when the spec changes and not for status or metadata', async () => {
    const { client } = await startServer()
    const apps = client.resource(deployments)
    const created = await apps.create(deployment('a'))
    expect(created.metadata.generation).toBe(1)
    const scaled = await apps.update({ ...created, spec: { ...created.spec, replicas: 2 } })
    expect(scaled.metadata.generation).toBe(2)
    const labelled = await apps.update({ ...scaled, metadata: { ...scaled.metadata, labels: { x: 'y' } } })
    expect(labelled.metadata.generation).toBe(2)
    const reported = await apps.update({ ...labelled, status: { ...labelled.status, observedGeneration: 2 } }, { subresource: 'status' })
    expect(reported.metadata.generation).toBe(2)
    expect(reported.status?.observedGeneration).toBe(2)
  })

  it('keeps status from plain updates and the spec from status updates', async () => {
    const { client } = await startServer()
    const apps = client.resource(deployments)
    const created = await apps.create(deployment('a'))
    const plain = await apps.update({ ...created, spec: { ...created.spec, replicas: 3 }, status: { replicas: 9 } })
    expect([plain.spec.replicas, plain.status?.replicas]).toEqual([3, undefined])
    const status = await apps.update({ ...plain, spec: { ...plain.spec, replicas: 7 }, status: { replicas: 9 } }, { subresource: 'status' })
    expect([status.spec.replicas, status.status?.replicas]).toEqual([3, 9])
  })
})

describe('patch', () => {
  it('takes JSON, merge and strategic merge patches', async () => {
    const { client } = await startServer()
    const apps = client.resource(deployments)
    await apps.create(deployment('a'))
    const merged = await apps.patch('a', { metadata: { labels: { x: 'y' } } }, { ...inDefault, type: 'merge' })
    expect(merged.metadata.labels).toEqual({ x: 'y' })
    const json = await apps.patch('a', [{ op: 'replace', path: '/spec/replicas', value: 4 }], { ...inDefault, type: 'json' })
    expect(json.spec.replicas).toBe(4)
    const strategic = await apps.patch(
      'a',
      { spec: { template: { spec: { containers: [{ name: 'd', image: 'j' }] } } } },
      { ...inDefault, type: 'strategic' },
    )
    expect(strategic.spec.template.spec?.containers.map(({ name }) => name).toSorted()).toEqual(['c', 'd'])
  })

  it('refuses a failed JSON patch test as upstream words it', async () => {
    const { client } = await startServer()
    await client.resource(configmaps).create(configMap('a'))
    const error = await failure(
      client.resource(configmaps).patch('a', [{ op: 'test', path: '/data/a', value: 'x' }], { ...inDefault, type: 'json' }),
    )
    expect(error).toMatchObject({ code: 422, message: 'the server rejected our request due to an error in our request' })
  })

  it('refuses what does not fit the schema', async () => {
    const { client } = await startServer()
    await client.resource(deployments).create(deployment('a'))
    const error = await failure(client.resource(deployments).patch('a', { spec: { replicas: 'x' } }, { ...inDefault, type: 'merge' }))
    expect(error.code).toBe(422)
    expect(error.message).toMatch(
      /^ "" is invalid: patch: Invalid value: .*: json: cannot unmarshal string into Go struct field DeploymentSpec\.spec\.replicas of type int32$/,
    )
    const path = '/apis/apps/v1/namespaces/default/deployments/a'
    const strict = {
      method: 'PATCH',
      path,
      query: { fieldValidation: 'Strict' },
      body: { spec: { foo: 1 } },
      contentType: 'application/merge-patch+json',
    } as const
    expect((await failure(client.transport.request(strict))).message).toMatch(/: strict decoding error: unknown field "spec\.foo"$/)
  })

  it('refuses more than ten thousand operations', async () => {
    const { client } = await startServer()
    await client.resource(configmaps).create(configMap('a'))
    const operations = Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/data/a', value: '1' }))
    expect(await failure(client.resource(configmaps).patch('a', operations, { ...inDefault, type: 'json' }))).toMatchObject({ code: 413 })
  })

  it('repeats itself when others write at the same time', async () => {
    const { client } = await startServer()
    await client.resource(configmaps).create(configMap('a', {}))
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        client.resource(configmaps).patch('a', { data: { [`k${index}`]: 'v' } }, { ...inDefault, type: 'merge' }),
      ),
    )
    const { data } = await client.resource(configmaps).get('a', inDefault)
    expect(Object.keys(data ?? {})).toHaveLength(20)
  })

  it('is refused when it names an old resourceVersion', async () => {
    const { client } = await startServer()
    await client.resource(configmaps).create(configMap('a'))
    const patch = { metadata: { resourceVersion: '1' }, data: { a: '2' } }
    expect(await failure(client.resource(configmaps).patch('a', patch, { ...inDefault, type: 'merge' }))).toMatchObject({ code: 409 })
  })
})

describe('apply', () => {
  const applied = (data: Record<string, string>): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data })

  it('creates the object, removes what is no longer applied, and tells of conflicts', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const as = (fieldManager: string, force = false) => ({ ...inDefault, type: 'apply' as const, fieldManager, force })
    expect((await maps.patch('a', applied({ x: '1', y: '1' }), as('one'))).data).toEqual({ x: '1', y: '1' })
    expect((await maps.patch('a', applied({ x: '1' }), as('one'))).data).toEqual({ x: '1' })
    const error = await failure(maps.patch('a', applied({ x: '2' }), as('two')))
    expect(error.code).toBe(409)
    expect(error.details?.causes).toMatchObject([{ reason: 'FieldManagerConflict', field: '.data.x' }])
    expect((await maps.patch('a', applied({ x: '2' }), as('two', true))).data).toEqual({ x: '2' })
  })

  it('writes nothing when the same is applied again', async () => {
    const { client, datastore } = await startServer()
    const options = { ...inDefault, type: 'apply' as const, fieldManager: 'one' }
    await client.resource(configmaps).patch('a', applied({ x: '1' }), options)
    const before = await datastore.currentRevision()
    await client.resource(configmaps).patch('a', applied({ x: '1' }), options)
    expect(await datastore.currentRevision()).toBe(before)
  })
})

describe('delete', () => {
  it('keeps an object with finalizers until the last one is gone', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const held = configMap('a')
    held.metadata.finalizers = ['example.com/hold']
    await maps.create(held)
    const deleting = (await maps.delete('a', inDefault)) as ConfigMap
    expect(deleting.metadata.deletionTimestamp).toBeDefined()
    expect(deleting.metadata.deletionGracePeriodSeconds).toBe(0)
    const more = { ...deleting, metadata: { ...deleting.metadata, finalizers: ['example.com/hold', 'example.com/more'] } }
    expect((await failure(maps.update(more))).message).toContain(
      'no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/more"}',
    )
    await maps.update({ ...deleting, metadata: { ...deleting.metadata, finalizers: [] } })
    expect(hasReason(await failure(maps.get('a', inDefault)), 'NotFound')).toBe(true)
  })

  it('checks preconditions', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    await maps.create(configMap('a'))
    expect(await failure(maps.delete('a', { ...inDefault, preconditions: { uid: 'other' } }))).toMatchObject({ code: 409 })
    expect(await failure(maps.delete('a', { ...inDefault, preconditions: { resourceVersion: '1' } }))).toMatchObject({ code: 409 })
    await maps.delete('a', inDefault)
  })

  it('leaves finalizers for the garbage collector as the policy says', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    for (const [name, policy, finalizer] of [
      ['a', 'Foreground', 'foregroundDeletion'],
      ['b', 'Orphan', 'orphan'],
    ] as const) {
      await maps.create(configMap(name))
      const object = (await maps.delete(name, { ...inDefault, propagationPolicy: policy })) as ConfigMap
      expect(object.metadata.finalizers).toEqual([finalizer])
    }
    const job: Job = {
      metadata: { name: 'j', namespace: 'default' },
      spec: { template: { spec: { containers: [{ name: 'c', image: 'i' }], restartPolicy: 'Never' } } },
    }
    await client.resource(jobs).create(job)
    expect(((await client.resource(jobs).delete('j', inDefault)) as Job).metadata.finalizers).toContain('orphan')
  })

  it('deletes a collection by its labels', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    for (const name of ['a', 'b', 'c']) {
      const object = configMap(name)
      object.metadata.labels = { keep: name === 'c' ? 'yes' : 'no' }
      await maps.create(object)
    }
    await maps.deleteCollection({ ...inDefault, labelSelector: 'keep=no' })
    expect((await maps.list(inDefault)).items.map(({ metadata }) => metadata.name)).toEqual(['c'])
  })

  it('removes a Namespace only after both kinds of its finalizers', async () => {
    const { client } = await startServer()
    const spaces = client.resource(namespaces)
    await spaces.create({ metadata: { name: 'x' }, spec: { finalizers: ['kubernetes'] } })
    const deleting = (await spaces.delete('x')) as { readonly status: { readonly phase: string } }
    expect(deleting.status.phase).toBe('Terminating')
    const present = await spaces.get('x')
    await spaces.update({ ...present, spec: { finalizers: [] } }, { subresource: 'finalize' })
    expect(hasReason(await failure(spaces.get('x')), 'NotFound')).toBe(true)
  })
})

describe('list', () => {
  it('goes on from chunk to chunk in the snapshot of the first', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    for (const name of ['a', 'b', 'c', 'd', 'e']) await maps.create(configMap(name))
    const first = await maps.list({ ...inDefault, limit: 2 })
    expect(first.metadata.remainingItemCount).toBe(3)
    await maps.delete('d', inDefault)
    await maps.create(configMap('cc'))
    const second = await maps.list({ ...inDefault, limit: 2, continue: first.metadata.continue })
    const third = await maps.list({ ...inDefault, limit: 2, continue: second.metadata.continue })
    const names = [first, second, third].flatMap(({ items }) => items.map(({ metadata }) => metadata.name))
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(third.metadata).toEqual({ resourceVersion: first.metadata.resourceVersion })
  })

  it('answers a chunk that is too old with a token for the inconsistent rest', async () => {
    const { client, datastore } = await startServer()
    const maps = client.resource(configmaps)
    for (const name of ['a', 'b', 'c']) await maps.create(configMap(name))
    const first = await maps.list({ ...inDefault, limit: 1 })
    await maps.create(configMap('bb'))
    await datastore.compact(await datastore.currentRevision())
    const error = await failure(maps.list({ ...inDefault, limit: 1, continue: first.metadata.continue }))
    expect(error).toMatchObject({ code: 410, reason: 'Expired' })
    const rest = await maps.list({ ...inDefault, continue: error.continue })
    expect(rest.items.map(({ metadata }) => metadata.name)).toEqual(['b', 'bb', 'c'])
  })

  it('reads an old version exactly, and refuses one of the future', async () => {
    const clock = new FakeClock(Date.now())
    const { client } = await startServer({ clock })
    const maps = client.resource(configmaps)
    const first = await maps.create(configMap('a'))
    await maps.create(configMap('b'))
    const old = await maps.list({ ...inDefault, resourceVersion: first.metadata.resourceVersion, resourceVersionMatch: 'Exact' })
    expect(old.items.map(({ metadata }) => metadata.name)).toEqual(['a'])
    const sleeping = clock.sleeping
    const refused = failure(maps.list({ resourceVersion: '1000', resourceVersionMatch: 'NotOlderThan' }))
    await expect.poll(() => clock.sleeping).toBeGreaterThan(sleeping)
    await clock.advance(3000)
    const error = await refused
    expect(error).toMatchObject({
      code: 504,
      reason: 'Timeout',
      details: { retryAfterSeconds: 1, causes: [{ reason: 'ResourceVersionTooLarge' }] },
    })
    expect(error.message).toMatch(/^Timeout: Too large resource version: 1000, current: \d+$/)
  })

  it('selects by labels and fields, and refuses fields that cannot be selected by', async () => {
    const { client } = await startServer()
    await client.resource(pods).create({ ...pod('a'), metadata: { name: 'a', namespace: 'default', labels: { x: '1' } } })
    await client.resource(pods).create(pod('b'))
    expect((await client.resource(pods).list({ labelSelector: 'x in (1,2)' })).items).toHaveLength(1)
    expect((await client.resource(pods).list({ fieldSelector: 'metadata.name!=a' })).items.map(({ metadata }) => metadata.name)).toEqual([
      'b',
    ])
    expect(await failure(client.resource(configmaps).list({ fieldSelector: 'data.x=1' }))).toMatchObject({
      code: 400,
      message: '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    })
  })
})

describe('scale', () => {
  it('reads and writes replicas of a workload', async () => {
    const { client } = await startServer()
    await client.resource(deployments).create(deployment('a'))
    const scale = await client
      .resource(deployments)
      .getSubresource<{ spec: { replicas: number }; status: { selector: string } }>('a', 'scale', inDefault)
    expect(scale).toMatchObject({ kind: 'Scale', spec: { replicas: 1 }, status: { selector: 'app=a' } })
    await client.resource(deployments).patch('a', { spec: { replicas: 5 } }, { ...inDefault, type: 'merge', subresource: 'scale' })
    const scaled = await client.resource(deployments).get('a', inDefault)
    expect([scaled.spec.replicas, scaled.metadata.generation]).toEqual([5, 2])
  })
})
