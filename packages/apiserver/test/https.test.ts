import { gunzipSync } from 'node:zlib'
import { encodeProtobuf, schemaOf } from '@k3s/api'
import { issueCertificate } from '@k3s/pki'
import { configmaps, type ConfigMap } from '@k3s/api/types/core/v1'
import { systemClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { Authorizer, ResourceStrategy } from '../src/index.ts'
import { configMapStrategy } from '../src/resources/config-maps/strategy.ts'
import { ask, lines, openSession, startHttps, type HttpsServer } from './start-https.ts'
import { admin, startServer } from './start-server.ts'

const maps = '/api/v1/namespaces/default/configmaps'
const json = { 'content-type': 'application/json' }
const asAdmin = (server: HttpsServer): { cert: string; key: string } => server.adminCertificate

const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})

describe('HTTPS', () => {
  it('serves HTTP/1.1 and HTTP/2 and knows users by their certificates', async () => {
    const server = await startHttps()
    const created = await ask(server, maps, { ...asAdmin(server), method: 'POST', headers: json, body: JSON.stringify(configMap('a')) })
    expect(created.status).toBe(201)
    expect(created.headers['audit-id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(created.headers['cache-control']).toBe('no-cache, private')
    const stream = openSession(server).request({ ':path': `${maps}/a` })
    let text = ''
    for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString()
    expect(JSON.parse(text)).toEqual(created.json())
  })

  it('ends a watch by its timeout, with a bookmark two seconds before', async () => {
    const server = await startHttps()
    const watchFor = async (seconds: number): Promise<string> =>
      (await ask(server, `${maps}?watch=1&allowWatchBookmarks=true&timeoutSeconds=${seconds}`, asAdmin(server))).text
    const [short, long] = await Promise.all([watchFor(1), watchFor(3)])
    expect(short).toBe('')
    expect(JSON.parse(long)).toMatchObject({ type: 'BOOKMARK', object: { kind: 'ConfigMap' } })
  })

  it('takes a request without credentials for anonymous, and one with unknown ones for unauthorized', async () => {
    const server = await startHttps()
    const anonymous = await ask(server, '/api/v1/pods')
    expect(anonymous.json()).toMatchObject({
      code: 403,
      message: 'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
    })
    expect((await ask(server, '/api/v1/pods', { headers: { authorization: 'Bearer x' } })).json()).toMatchObject({
      code: 401,
      message: 'Unauthorized',
      reason: 'Unauthorized',
    })
  })

  it('does not believe a certificate of another CA', async () => {
    const server = await startHttps()
    const other = await startHttps()
    expect((await ask(server, '/api/v1/pods', other.adminCertificate)).status).toBe(401)
    expect((await ask(server, '/healthz', other.adminCertificate)).status).toBe(401)
  })

  it('names namespace and object when it forbids', async () => {
    const server = await startHttps()
    const user = await issueCertificate(server.ca, { commonName: 'jane', usages: ['client'] })
    expect((await ask(server, `${maps}/x`, user)).json()).toMatchObject({
      message: 'configmaps "x" is forbidden: User "jane" cannot get resource "configmaps" in API group "" in the namespace "default"',
      details: { name: 'x', kind: 'configmaps' },
    })
    expect((await ask(server, '/metrics', user)).json()).toMatchObject({ message: 'forbidden: User "jane" cannot get path "/metrics"' })
  })

  it('lets a user act as another only when it may', async () => {
    const asked: string[] = []
    const authorizer: Authorizer = {
      name: 'test',
      authorize: ({ user, verb, name }) => {
        asked.push(`${user.name} ${verb} ${name}`)
        return { decision: user.name === 'jane' || verb.startsWith('impersonate') ? 'allow' : 'noOpinion', reason: '' }
      },
    }
    const server = await startHttps({ authorizers: [authorizer] })
    const user = await issueCertificate(server.ca, { commonName: 'joe', usages: ['client'] })
    expect((await ask(server, maps, { ...user, headers: { 'impersonate-user': 'jane' } })).status).toBe(200)
    expect(asked).toEqual(['joe impersonate-on:user-info:list ', 'joe impersonate:user-info jane', 'jane list '])
    expect((await ask(server, maps, { ...user, headers: { 'impersonate-group': 'x' } })).status).toBe(400)
  })

  it('reads JSON, YAML and protobuf bodies and nothing else', async () => {
    const server = await startHttps()
    const post = (type: string, body: string | Buffer): ReturnType<typeof ask> =>
      ask(server, maps, { ...asAdmin(server), method: 'POST', headers: { 'content-type': type }, body })
    expect((await post('application/yaml', 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml}\ndata: {a: b}\n')).status).toBe(201)
    const schema = schemaOf('v1', 'ConfigMap')
    if (schema === undefined) throw new Error('No schema')
    const bytes = Buffer.from(encodeProtobuf({ ...configMap('p', { a: 'b' }) }, schema))
    expect((await post('application/vnd.kubernetes.protobuf', bytes)).json()).toMatchObject({ metadata: { name: 'p' }, data: { a: 'b' } })
    expect((await post('text/plain', 'x')).status).toBe(415)
    expect((await post('application/json', '{')).status).toBe(400)
    expect((await post('application/json', JSON.stringify({ ...configMap('x'), kind: 'Secret' }))).status).toBe(400)
  })

  it('refuses unknown fields, warns of them or drops them, as asked', async () => {
    const server = await startHttps()
    const body = JSON.stringify({ ...configMap('a'), extra: 1 })
    const post = (validation: string): ReturnType<typeof ask> =>
      ask(server, `${maps}?fieldValidation=${validation}&dryRun=All`, { ...asAdmin(server), method: 'POST', headers: json, body })
    expect((await post('Strict')).json()).toMatchObject({
      code: 400,
      message: 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "extra"',
    })
    const warned = await post('Warn')
    expect(warned.headers['warning']).toBe('299 - "unknown field \\"extra\\""')
    expect(warned.json()).not.toHaveProperty('extra')
    expect((await post('Ignore')).headers['warning']).toBeUndefined()
    expect((await post('Sometimes')).status).toBe(422)
  })

  it('refuses bodies of more than 3 MiB', async () => {
    const server = await startHttps()
    const body = JSON.stringify(configMap('a', { a: 'x'.repeat(3 * 1024 * 1024) }))
    const answer = await ask(server, maps, { ...asAdmin(server), method: 'POST', headers: json, body })
    expect(answer.json()).toMatchObject({
      code: 413,
      reason: 'RequestEntityTooLarge',
      message: 'Request entity too large: limit is 3145728',
    })
  })

  it('answers Tables and metadata by Accept, and 406 for what has neither', async () => {
    const server = await startHttps()
    await server.client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' } })
    const get = (path: string, accept: string): ReturnType<typeof ask> => ask(server, path, { ...asAdmin(server), headers: { accept } })
    const table = (await get(maps, 'application/json;as=Table;v=v1;g=meta.k8s.io')).json()
    expect(table).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      columnDefinitions: [{ name: 'Name' }, { name: 'Created At' }],
    })
    expect(table['rows']).toMatchObject([
      { cells: ['a', expect.any(String)], object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } },
    ])
    expect((await get(maps, 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io')).json()).toMatchObject({
      kind: 'PartialObjectMetadataList',
      items: [{ kind: 'PartialObjectMetadata' }],
    })
    expect((await get(maps, 'application/vnd.kubernetes.protobuf')).headers['content-type']).toBe('application/json')
    expect((await get(maps, 'image/png')).status).toBe(406)
    expect((await get('/api/v1/namespaces/default/configmaps/a', 'application/yaml')).text).toContain('kind: ConfigMap')
  })

  it('lists items without kind and version, empty lists as []', async () => {
    const server = await startHttps()
    expect((await ask(server, maps, asAdmin(server))).text).toMatch(
      /^\{"kind":"ConfigMapList","apiVersion":"v1","metadata":\{"resourceVersion":"\d+"\},"items":\[\]\}/,
    )
    await server.client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' } })
    await server.client.resource(configmaps).create({ metadata: { name: 'b', namespace: 'default' } })
    const { items } = (await ask(server, maps, asAdmin(server))).json() as { items: ConfigMap[] }
    expect(items.map((item) => [item.kind, item.metadata.name])).toEqual([
      [undefined, 'a'],
      [undefined, 'b'],
    ])
  })

  it('compresses large answers only', async () => {
    const server = await startHttps()
    await server.client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' }, data: { a: 'x'.repeat(200_000) } })
    const options = { ...asAdmin(server), headers: { 'accept-encoding': 'gzip' } }
    const large = await ask(server, maps, options)
    expect(large.headers['content-encoding']).toBe('gzip')
    expect(JSON.parse(gunzipSync(Buffer.from(large.text, 'latin1')).toString())).toMatchObject({ kind: 'ConfigMapList' })
    expect((await ask(server, '/api/v1/nodes', options)).headers['content-encoding']).toBeUndefined()
  })

  it('answers many large lists over one connection', async () => {
    const server = await startHttps()
    const data = { a: 'x'.repeat(900_000) }
    for (let index = 0; index < 4; index++)
      await server.client.resource(configmaps).create({ metadata: { name: `m${index}`, namespace: 'default' }, data })
    const session = openSession(server)
    const list = async (): Promise<number> => {
      let size = 0
      for await (const chunk of session.request({ ':path': maps }) as AsyncIterable<Buffer>) size += chunk.length
      return size
    }
    const sizes = await Promise.all(Array.from({ length: 12 }, list))
    expect(Math.min(...sizes)).toBeGreaterThan(3_600_000)
  })

  it('warns users of deprecated kinds', async () => {
    const server = await startHttps()
    const { status, headers } = await ask(server, '/api/v1/namespaces/default/endpoints', asAdmin(server))
    expect([status, headers['warning']]).toEqual([
      200,
      '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"',
    ])
  })

  it('streams watches as lines, with Tables when asked', async () => {
    const server = await startHttps()
    const session = openSession(server)
    const plain = lines(
      session.request({
        ':path': `${maps}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`,
      }) as AsyncIterable<Buffer>,
    )
    expect((await plain.next()).value).toMatchObject({
      type: 'BOOKMARK',
      object: { kind: 'ConfigMap', apiVersion: 'v1', metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    })
    const tables = lines(
      session.request({ ':path': `${maps}?watch=1`, accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }) as AsyncIterable<Buffer>,
    )
    const first = tables.next()
    const created = await server.client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' } })
    expect((await plain.next()).value).toEqual({ type: 'ADDED', object: created })
    expect((await first).value).toMatchObject({
      type: 'ADDED',
      object: { kind: 'Table', columnDefinitions: [{ name: 'Name' }, {}], rows: [{ cells: ['a', expect.any(String)] }] },
    })
    await server.client.resource(configmaps).delete('a', { namespace: 'default' })
    expect((await tables.next()).value).toMatchObject({ type: 'DELETED', object: { columnDefinitions: null } })
  })

  it('tells ages in the Tables of a watch as of each event', async () => {
    let nowMs = Math.ceil(Date.now() / 1000) * 1000
    // A strategy of any object: the registry gives it objects of its own type alone.
    const configMaps = configMapStrategy as unknown as ResourceStrategy
    const server = await startHttps({ clock: { ...systemClock, now: () => nowMs }, strategies: () => [configMaps] })
    const tables = lines(
      openSession(server).request({
        ':path': `${maps}?watch=1`,
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
      }) as AsyncIterable<Buffer>,
    )
    const first = tables.next()
    const config = server.client.resource(configmaps)
    await config.create({ metadata: { name: 'a', namespace: 'default' } })
    expect((await first).value).toMatchObject({ object: { rows: [{ cells: ['a', 0, '0s'] }] } })
    nowMs += 90_000
    await config.patch('a', { data: { k: 'v' } }, { type: 'merge', namespace: 'default' })
    expect((await tables.next()).value).toMatchObject({ object: { rows: [{ cells: ['a', 1, '90s'] }] } })
  })

  it('answers 200 and an ERROR event to a watch from a compacted version', async () => {
    const server = await startHttps()
    await server.client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' } })
    await server.server.close()
    await server.datastore.compact(await server.datastore.currentRevision())
    const again = await startHttps({ datastore: server.datastore })
    const watch = lines(openSession(again).request({ ':path': `${maps}?watch=1&resourceVersion=1` }) as AsyncIterable<Buffer>)
    expect((await watch.next()).value).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })
    expect((await watch.next()).done).toBe(true)
  })
})

describe('paths that are no resources', () => {
  it('tells version, health and discovery', async () => {
    const { server } = await startServer({ authorizers: [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) }] })
    const get = async (url: string, headers: Record<string, string> = {}) => server.inject({ method: 'GET', url, headers })
    expect((await get('/version')).json()).toMatchObject({ major: '1', minor: '36' })
    expect((await get('/readyz')).body).toBe('ok')
    expect((await get('/livez?verbose')).body).toContain('[+]ping ok\n')
    expect((await get('/readyz/ping')).body).toBe('ok')
    expect((await get('/api')).json()).toMatchObject({ kind: 'APIVersions', versions: ['v1'] })
    const groups = (await get('/apis')).json<{
      groups: { name: string; preferredVersion: { version: string }; versions: { version: string }[] }[]
    }>()
    expect(groups.groups.find(({ name }) => name === 'autoscaling')).toMatchObject({
      preferredVersion: { version: 'v2' },
      versions: [{ version: 'v2' }, { version: 'v1' }],
    })
    for (const { name, versions } of groups.groups)
      for (const { version } of versions)
        expect((await get(`/apis/${name}/${version}`)).json()).toMatchObject({
          kind: 'APIResourceList',
          groupVersion: `${name}/${version}`,
        })
    expect((await get('/apis/apps/v9')).json()).toMatchObject({
      kind: 'Status',
      code: 404,
      message: 'the server could not find the requested resource',
    })
    expect(await get('/apis/nothing/v1')).toMatchObject({ statusCode: 404, body: '404 page not found\n' })
  })

  it('aggregates discovery and answers 304 to a known ETag', async () => {
    const { server } = await startServer({ authorizers: [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) }] })
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'
    const first = await server.inject({ method: 'GET', url: '/api', headers: { accept } })
    expect(first.headers['content-type']).toBe('application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList')
    expect(first.json()).toMatchObject({
      kind: 'APIGroupDiscoveryList',
      apiVersion: 'apidiscovery.k8s.io/v2',
      items: [{ versions: [{ version: 'v1', freshness: 'Current' }] }],
    })
    const again = await server.inject({ method: 'GET', url: '/api', headers: { accept, 'if-none-match': String(first.headers['etag']) } })
    expect([again.statusCode, again.body]).toEqual([304, ''])
  })

  it('serves OpenAPI with hashes that may be cached for ever', async () => {
    const { server } = await startServer({ authorizers: [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) }] })
    const index = (await server.inject({ method: 'GET', url: '/openapi/v3' })).json<{
      paths: Record<string, { serverRelativeURL: string }>
    }>()
    const address = index.paths['apis/apps/v1']?.serverRelativeURL ?? ''
    const document = await server.inject({ method: 'GET', url: address })
    expect(document.headers['cache-control']).toContain('immutable')
    expect(document.json()).toMatchObject({ openapi: '3.0.0' })
    expect((await server.inject({ method: 'GET', url: '/openapi/v2' })).json()).toMatchObject({ swagger: '2.0' })
  })

  it('serves OpenAPI v2 as protobuf to those who ask as client-go does', async () => {
    const { server } = await startServer({ authorizers: [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) }] })
    const ask = (headers: Record<string, string>) => server.inject({ method: 'GET', url: '/openapi/v2', headers })
    const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
    const protobuf = await ask({ accept })
    expect(protobuf.statusCode).toBe(200)
    expect(protobuf.headers).toMatchObject({
      'content-type': 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
      vary: expect.stringContaining('Accept') as string,
    })
    // The first field of the document: its version, "2.0".
    expect(protobuf.rawPayload.subarray(0, 5).toString('latin1')).toBe('\n\x032.0')
    expect(protobuf.rawPayload.includes('io.k8s.api.core.v1.Pod')).toBe(true)
    const etag = String(protobuf.headers['etag'])
    expect((await ask({ accept, 'if-none-match': etag })).statusCode).toBe(304)
    const json = await ask({ accept: 'application/json', 'if-none-match': etag })
    expect(json.headers['content-type']).toContain('application/json')
    expect(json.json()).toMatchObject({ swagger: '2.0' })
  })

  it('answers a path that cannot be decoded with a Status', async () => {
    const { server } = await startServer()
    const answer = await server.inject({ method: 'GET', url: '/api/v1/namespaces/%zz/pods' })
    expect(answer.json()).toMatchObject({ kind: 'Status', code: 400 })
  })

  it('keeps the kubernetes Service and ServiceCIDR when it is told its address and ranges', async () => {
    const { server } = await startServer({
      advertised: { address: '192.0.2.1', port: 6443, serviceIp: '10.43.0.1', serviceCidrs: ['10.43.0.0/16'] },
    })
    const transport = server.transport(admin)
    const get = async (path: string): Promise<unknown> => (await transport.request({ method: 'GET', path })).body
    expect(await get('/api/v1/namespaces/default/services/kubernetes')).toMatchObject({
      spec: { clusterIP: '10.43.0.1', ports: [{ name: 'https', port: 443, targetPort: 6443 }] },
    })
    expect(await get('/api/v1/namespaces/default/endpoints/kubernetes')).toMatchObject({
      subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 6443 }] }],
    })
    expect(await get('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes')).toMatchObject({
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.0.2.1'] }],
    })
    expect(await get('/apis/networking.k8s.io/v1/servicecidrs/kubernetes')).toMatchObject({
      spec: { cidrs: ['10.43.0.0/16'] },
      status: { conditions: [{ type: 'Ready', status: 'True', reason: '', message: 'Kubernetes default Service CIDR is ready' }] },
    })
  })
})

describe('WebSocket', () => {
  it('carries a watch, one event a message', async () => {
    const server = await startHttps()
    const socket = new WebSocket(
      `${server.listening.url.replace('https', 'wss')}${maps}?watch=1`,
      ['base64url.bearer.authorization.k8s.io.eA', 'v1'],
      {
        ca: server.ca.cert,
        ...server.adminCertificate,
      },
    )
    const first = new Promise<string>((resolve, reject) => {
      socket.once('message', (data: Buffer) => resolve(data.toString()))
      socket.once('error', reject)
    })
    const created = await server.client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' } })
    expect(JSON.parse(await first)).toEqual({ type: 'ADDED', object: created })
    expect(socket.protocol).toBe('v1')
    socket.terminate()
  })
})

describe('a body without a length', () => {
  it('is refused at 3 MiB with a Status', async () => {
    const server = await startHttps()
    const stream = openSession(server).request({ ':path': maps, ':method': 'POST', 'content-type': 'application/json' })
    let text = ''
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const ended = new Promise((resolve) => stream.once('end', resolve))
    for (let sent = 0; sent < 4; sent++) stream.write(Buffer.alloc(1024 * 1024, 0x20))
    await ended
    expect(JSON.parse(text)).toMatchObject({ code: 413, reason: 'RequestEntityTooLarge' })
  })
})
