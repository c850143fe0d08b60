import { request } from 'node:http'
import { configmaps, pods, serviceaccounts } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { describe, expect, it } from 'vitest'
import { admin, type TestServer } from './start-server.ts'
import { startBuiltIn } from './start-cluster.ts'

interface Answer {
  readonly code: number
  readonly body: Readonly<Record<string, unknown>>
}

interface Sent {
  readonly method: 'POST' | 'PUT' | 'PATCH'
  readonly path: string
  readonly contentType?: string
  readonly body: object
}

/** Over the wire, where large objects are worked on in a thread. */
function send(url: string, { method, path, contentType = 'application/json', body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, headers: { 'content-type': contentType }, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ code: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) as Answer['body'] }),
      )
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}

/** The same in this process, where everything is done at once. */
async function ask({ server }: TestServer, { method, path, contentType, body }: Sent): Promise<Answer> {
  const { transport } = createClient(server.transport(admin))
  try {
    const [plain = '', query] = path.split('?')
    const asked = { method, path: plain, query: Object.fromEntries(new URLSearchParams(query)), body, contentType }
    const { status, body: answer } = await transport.request(asked)
    return { code: status, body: answer as Answer['body'] } // API servers answer with objects
  } catch (error) {
    const { code, message, details, reason } = error as { code: number; message: string; details?: object; reason: string } // a StatusError
    return { code, body: { message, reason, ...(details === undefined ? {} : { details }) } }
  }
}

/** What two writes of the same must have in common. */
function comparable({ code, body }: Answer): unknown {
  const own = new Set(['uid', 'resourceVersion', 'creationTimestamp', 'time'])
  const text = JSON.stringify(body, (key, value: unknown) => (own.has(key) ? undefined : value))
    .replaceAll(/one-|two-/g, 'name-')
    .replaceAll(/kube-api-access-[a-z0-9]{5}/g, 'kube-api-access')
  const { status: _status, code: _code, kind, apiVersion, metadata, ...rest } = JSON.parse(text) as Record<string, unknown>
  return code < 300 ? { code, kind, apiVersion, metadata, rest } : { code, rest }
}

/** A server that takes everybody for an administrator, with the account that pods run as. */
async function start(): Promise<TestServer> {
  const server = await startBuiltIn({ authenticators: [{ name: 'test', authenticate: () => Promise.resolve({ user: admin }) }] })
  await server.client.resource(serviceaccounts).create({ metadata: { name: 'default', namespace: 'default' } })
  return server
}

const env = Array.from({ length: 2500 }, (_, at) => ({ name: `E${at}`, value: 'x' }))
const pod = (name: string, containers: object): object => ({ metadata: { name, namespace: 'default' }, spec: { containers: [containers] } })
const data = Object.fromEntries(Array.from({ length: 4000 }, (_, at) => [`key-${at}`, 'v']))
const labels = Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`-bad-${at}-`, '?']))

const core = '/api/v1/namespaces/default'

describe('a large object', () => {
  it('is written as it would be at once, by every kind of write, and refused in the same words', { timeout: 60_000 }, async () => {
    const cluster = await start()
    const { url } = await cluster.server.listen({ port: 0 })
    const both = async (make: (name: string) => Sent): Promise<Answer> => {
      const [there, here] = [await send(url, make('one-x')), await ask(cluster, make('two-x'))]
      expect(comparable(there)).toEqual(comparable(here))
      return there
    }
    const created = await both((name) => ({
      method: 'POST',
      path: `${core}/pods?fieldManager=p`,
      body: pod(name, { name: 'c', image: 'i', env }),
    }))
    expect(created.code).toBe(201)
    expect(created.body).toMatchObject({ spec: { dnsPolicy: 'ClusterFirst', serviceAccountName: 'default' } })
    expect(JSON.stringify(created.body['metadata'])).toContain('k:{\\"name\\":\\"E2499\\"}')
    const bad = [...env, { name: '=', value: 'x' }, { name: '' }]
    const refused = await both((name) => ({
      method: 'POST',
      path: `${core}/pods?fieldManager=p`,
      body: pod(`${name}2`, { name: 'c', image: 'i', env: bad }),
    }))
    expect(refused.code).toBe(422)
    await both((name) => ({
      method: 'PUT',
      path: `${core}/pods/${name}?fieldManager=p`,
      body: pod(name, { name: 'c', image: 'other', env }),
    }))
    await both((name) => ({
      method: 'PUT',
      path: `${core}/pods/${name}?fieldManager=p`,
      body: pod(name, { name: 'c', image: 'other', env: env.slice(1) }),
    }))
    await both((name) => ({ method: 'POST', path: `${core}/configmaps?fieldManager=p`, body: { metadata: { name, labels }, data } }))
    await both((name) => ({
      method: 'POST',
      path: `${core}/configmaps?fieldManager=p&fieldValidation=Strict`,
      body: { metadata: { name }, data, more: 1 },
    }))
    await both((name) => ({ method: 'POST', path: `${core}/configmaps?fieldManager=p`, body: { metadata: { name }, data } }))
    const patches: Readonly<Record<string, object>> = {
      'application/merge-patch+json': { data: { 'key-1': null, 'key-2': 'w' } },
      'application/strategic-merge-patch+json': { metadata: { annotations: { a: 'b' } }, data: { 'key-3': null } },
      'application/json-patch+json': [{ op: 'remove', path: '/data/key-4' }],
    }
    for (const [contentType, body] of Object.entries(patches)) {
      const patched = await both((name) => ({ method: 'PATCH', path: `${core}/configmaps/${name}?fieldManager=p`, contentType, body }))
      expect(patched.code, contentType).toBe(200)
    }
    const failing = [{ op: 'test', path: '/data/key-5', value: 'w' }]
    const path = (name: string): string => `${core}/configmaps/${name}?fieldManager=p`
    await both((name) => ({ method: 'PATCH', path: path(name), contentType: 'application/json-patch+json', body: failing }))
    const apply = (name: string, more: string): Sent => ({
      method: 'PATCH',
      path: `${core}/configmaps/${name}?fieldManager=a${more}`,
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { ...data, 'key-6': 'w' } },
    })
    const conflict = await both((name) => apply(name, ''))
    expect(conflict.code).toBe(409)
    expect((await both((name) => apply(name, '&force=true'))).code).toBe(200)
    expect((await both((name) => apply(`${name}-new`, ''))).code).toBe(201)
  })

  it('of a custom resource is judged as it would be at once', { timeout: 60_000 }, async () => {
    const cluster = await start()
    const { url } = await cluster.server.listen({ port: 0 })
    const both = async (make: (name: string) => Sent): Promise<Answer> => {
      const [there, here] = [await send(url, make('one-x')), await ask(cluster, make('two-x'))]
      expect(comparable(there)).toEqual(comparable(here))
      return there
    }
    const item = { type: 'object', properties: { name: { type: 'string' }, size: { type: 'integer', default: 3 } } }
    const spec = {
      type: 'object',
      properties: { items: { type: 'array', maxItems: 5000, items: item } },
      'x-kubernetes-validations': [{ rule: "!has(self.items) || self.items.all(item, item.name != 'bad')", message: 'bad' }],
    }
    const version = {
      name: 'v1',
      served: true,
      storage: true,
      subresources: { status: {} },
      schema: { openAPIV3Schema: { type: 'object', properties: { spec, status: { type: 'object' } } } },
    }
    const names = { plural: 'heaps', singular: 'heap', kind: 'Heap', listKind: 'HeapList' }
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'heaps.example.com' },
      spec: { group: 'example.com', names, scope: 'Cluster', versions: [version] },
    }
    const made = await send(url, { method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body: definition })
    expect(made.code).toBe(201)
    const path = '/apis/example.com/v1/heaps'
    const heap = (name: string, items: readonly object[], more: object = {}): object => ({
      apiVersion: 'example.com/v1',
      kind: 'Heap',
      metadata: { name },
      spec: { items, ...more },
    })
    const items = Array.from({ length: 1500 }, (_, at) => ({ name: `n${at}` }))
    const ready = async (): Promise<number> => (await send(url, { method: 'POST', path, body: heap('first', []) })).code
    await expect.poll(ready, { timeout: 10_000 }).toBe(201)
    const created = await both((name) => ({ method: 'POST', path: `${path}?fieldManager=p`, body: heap(name, items, { unknown: 1 }) }))
    expect(created.code).toBe(201)
    expect(JSON.stringify(created.body)).toContain('{"name":"n1499","size":3}')
    expect(JSON.stringify(created.body)).not.toContain('unknown')
    const bad = [...items, { name: 'bad' }]
    const refused = await both((name) => ({ method: 'POST', path: `${path}?fieldManager=p`, body: heap(`${name}2`, bad) }))
    expect(refused.code).toBe(422)
    const strict = `${path}?fieldManager=p&fieldValidation=Strict`
    expect((await both((name) => ({ method: 'POST', path: strict, body: heap(`${name}3`, items, { unknown: 1 }) }))).code).toBe(400)
    const merge = (body: object) => (name: string) =>
      ({ method: 'PATCH', path: `${path}/${name}?fieldManager=p`, contentType: 'application/merge-patch+json', body }) as const
    expect((await both(merge({ spec: { items: items.slice(1) } }))).code).toBe(200)
    expect((await both(merge({ metadata: { labels: { a: 'b' } } }))).code).toBe(200)
    expect((await both(merge({ spec: { items: bad } }))).code).toBe(422)
    const apply = (name: string): Sent => ({
      method: 'PATCH',
      path: `${path}/${name}?fieldManager=a&force=true`,
      contentType: 'application/apply-patch+yaml',
      body: heap(name, items),
    })
    expect((await both(apply)).code).toBe(200)
  })

  it('needs not be large to be judged by costly expressions, and those say what they always do', { timeout: 60_000 }, async () => {
    const { server } = await start()
    const { url } = await server.listen({ port: 0 })
    const all = 'self.items.all(x, self.items.all(y, x <= y || x > y))'
    const spec = {
      type: 'object',
      properties: { items: { type: 'array', maxItems: 1000, items: { type: 'integer' } } },
      'x-kubernetes-validations': [
        { rule: all },
        { rule: all },
        { rule: `${all} && self.items[0] == 0`, message: 'does not begin with 0' },
      ],
    }
    const version = { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { spec } } } }
    const names = { plural: 'sums', singular: 'sum', kind: 'Sum', listKind: 'SumList' }
    const body = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'sums.example.com' },
      spec: { group: 'example.com', names, scope: 'Cluster', versions: [version] },
    }
    expect((await send(url, { method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body })).code).toBe(201)
    const post = (name: string, count: number, first = 0): Promise<Answer> => {
      const items = Array.from({ length: count }, (_, at) => at + first)
      const sum = { apiVersion: 'example.com/v1', kind: 'Sum', metadata: { name }, spec: { items } }
      return send(url, { method: 'POST', path: '/apis/example.com/v1/sums', body: sum })
    }
    await expect.poll(async () => (await post('first', 1)).code, { timeout: 10_000 }).toBe(201)
    const fine = await post('fine', 250)
    expect(fine).toMatchObject({ code: 201, body: { metadata: { name: 'fine', generation: 1 } } })
    expect(JSON.stringify((await post('wrong', 250, 1)).body)).toContain('does not begin with 0')
    expect(JSON.stringify((await post('much', 1000)).body)).toContain('call cost exceeds limit for rule')
    const spread = { spec: { items: Array.from({ length: 251 }, (_, at) => at) } }
    const merge = { method: 'PATCH', path: '/apis/example.com/v1/sums/fine', contentType: 'application/merge-patch+json' } as const
    expect(await send(url, { ...merge, body: spread })).toMatchObject({ code: 200, body: { metadata: { generation: 2 } } })
    expect((await send(url, { ...merge, body: { spec: { items: [1] } } })).code).toBe(422)
  })

  it('is judged and changed by policies whose expressions take long', { timeout: 60_000 }, async () => {
    const { server } = await start()
    const { url } = await server.listen({ port: 0 })
    const policies = '/apis/admissionregistration.k8s.io/v1'
    const matchConstraints = {
      resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
    }
    const hundred = `[${Array.from({ length: 100 }, (_, at) => at).join(',')}]`
    // Some 600,000 of the million that one expression may cost.
    const long = `${hundred}.all(a, ${hundred}.all(b, [1, 2, 3, 4, 5, 6].all(c, a + b + c >= 0)))`
    const tooLong = `${hundred}.all(a, ${hundred}.all(b, ${hundred}.all(c, a + b + c >= 0)))`
    const make = async (kind: 'validating' | 'mutating', name: string, spec: object, binding: object = {}): Promise<void> => {
      const body = { metadata: { name }, spec: { matchConstraints, ...spec } }
      expect((await send(url, { method: 'POST', path: `${policies}/${kind}admissionpolicies`, body })).code).toBe(201)
      const bound = { metadata: { name }, spec: { policyName: name, ...binding } }
      expect((await send(url, { method: 'POST', path: `${policies}/${kind}admissionpolicybindings`, body: bound })).code).toBe(201)
    }
    const conditions = (value: string): object => ({
      matchConditions: [{ name: 'chosen', expression: `object.metadata.?labels[?'for'].orValue('') == '${value}' && ${long}` }],
    })
    const validations = [
      {
        expression: `variables.long && object.data.size() > 4000`,
        messageExpression: `variables.long ? 'has ' + string(object.data.size()) : 'none'`,
      },
    ]
    await make(
      'validating',
      'judge',
      { variables: [{ name: 'long', expression: long }], validations, ...conditions('judge') },
      { validationActions: ['Deny'] },
    )
    await make(
      'validating',
      'endless',
      { validations: [{ expression: tooLong }], ...conditions('endless') },
      { validationActions: ['Deny'] },
    )
    const patch = `[JSONPatch{op: 'add', path: '/metadata/annotations', value: {'long': string(${long})}}]`
    const configuration = `Object{data: Object.data{added: string(${long})}}`
    await make('mutating', 'change', {
      reinvocationPolicy: 'Never',
      ...conditions('change'),
      mutations: [
        { patchType: 'JSONPatch', jsonPatch: { expression: patch } },
        { patchType: 'ApplyConfiguration', applyConfiguration: { expression: configuration } },
      ],
    })
    const post = (name: string, label: string, content: object): Promise<Answer> => {
      const body = { metadata: { name, labels: { for: label } }, data: content }
      return send(url, { method: 'POST', path: `${core}/configmaps`, body })
    }
    const more = Object.fromEntries(Array.from({ length: 6000 }, (_, at) => [`key-${at}`, 'v']))
    for (const [name, content, size] of [
      ['small', { a: 'b' }, 1],
      ['large', more, 6000],
    ] as const) {
      const judged = await post(name, 'judge', content)
      if (size > 4000) expect(judged.code).toBe(201)
      else expect(judged).toMatchObject({ code: 422, body: { message: expect.stringMatching(/denied request: has 1$/) as string } })
      expect(await post(`${name}-2`, 'endless', content)).toMatchObject({
        code: 422,
        body: { message: expect.stringContaining('operation cancelled: actual cost limit exceeded') as string },
      })
      const changed = await post(`${name}-3`, 'change', content)
      expect(changed).toMatchObject({
        code: 201,
        body: { metadata: { annotations: { long: 'true' } }, data: { ...content, added: 'true' } },
      })
    }
  })

  it('is scaled, and shown in a Table or by its metadata, as small ones are', { timeout: 60_000 }, async () => {
    const { server } = await start()
    const { url } = await server.listen({ port: 0 })
    const path = '/apis/apps/v1/namespaces/default/deployments'
    const labels = { app: 'large' }
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i', env }] } }
    const body = { metadata: { name: 'large' }, spec: { selector: { matchLabels: labels }, template } }
    expect((await send(url, { method: 'POST', path, body })).code).toBe(201)
    const scale = `${path}/large/scale`
    const merge = { method: 'PATCH', path: scale, contentType: 'application/merge-patch+json' } as const
    expect(await send(url, { ...merge, body: { spec: { replicas: 3 } } })).toMatchObject({ code: 200, body: { spec: { replicas: 3 } } })
    expect(await send(url, { ...merge, body: { spec: { replicas: -1 } } })).toMatchObject({ code: 422, body: { reason: 'Invalid' } })
    const stale = { ...merge, body: { metadata: { resourceVersion: '1' }, spec: { replicas: 4 } } }
    expect(await send(url, stale)).toMatchObject({ code: 409, body: { reason: 'Conflict' } })
    const get = async (at: string, as: string): Promise<unknown> => {
      const accept = `application/json;as=${as};g=meta.k8s.io;v=v1`
      return (await fetch(`${url}${at}`, { headers: { accept } })).json()
    }
    const cells = ['large', '0/3', 0, 0, expect.any(String), 'c', 'i', 'app=large']
    expect(await get(`${path}/large`, 'Table')).toMatchObject({ kind: 'Table', rows: [{ cells }] })
    expect(await get(path, 'Table')).toMatchObject({ rows: [{ cells, object: { metadata: { generation: 2 } } }] })
    const [partial, listed] = [await get(`${path}/large`, 'PartialObjectMetadata'), await get(path, 'PartialObjectMetadataList')]
    expect(partial).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'large', generation: 2 } })
    expect(listed).toMatchObject({ items: [partial] })
    expect(partial).not.toHaveProperty('spec')
  })

  it('that is put as it is changes nothing', async () => {
    const { server, client } = await start()
    const { url } = await server.listen({ port: 0 })
    const made = await client.resource(configmaps).create({ metadata: { name: 'same', namespace: 'default' }, data })
    const put = await send(url, { method: 'PUT', path: `${core}/configmaps/same`, body: made })
    expect(put).toMatchObject({ code: 200, body: { metadata: { resourceVersion: made.metadata.resourceVersion } } })
    const changed = await send(url, { method: 'PUT', path: `${core}/configmaps/same`, body: { ...made, data: { ...data, 'key-1': 'w' } } })
    expect(changed).toMatchObject({ code: 200, body: { data: { 'key-1': 'w' } } })
    expect(await client.resource(configmaps).get('same', { namespace: 'default' })).toEqual(changed.body)
    expect(await client.resource(pods).list({ namespace: 'default' })).toMatchObject({ items: [] })
  })
})
