import { apiservices, type APIServiceCondition } from '@k3s/api/types/apiregistration/v1'
import { configmaps, namespaces } from '@k3s/api/types/core/v1'
import { customresourcedefinitions } from '@k3s/api/types/apiextensions/v1'
import { createClient, type Client } from '@k3s/client'
import { createCa, issueCertificate, type KeyPair } from '@k3s/pki'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { ApiServerOptions } from '../src/index.ts'
import { createApiService, groupVersion, register, startAggregatedServer, type AggregatedServer } from './aggregated-server.ts'
import { ask, lines, openSession, startHttps, type HttpsServer } from './start-https.ts'
import { admin } from './start-server.ts'

const gauges = `/apis/${groupVersion}/gauges`
const serviceName = 'v1beta1.metrics.example.com'

interface World {
  readonly https: HttpsServer
  readonly aggregated: AggregatedServer
  readonly proxyCa: KeyPair
  readonly asAdmin: { readonly cert: string; readonly key: string }
}

async function start(options: Partial<ApiServerOptions> = {}): Promise<World> {
  const proxyCa = await createCa('request-header-ca')
  const proxy = await issueCertificate(proxyCa, { commonName: 'system:auth-proxy', usages: ['client'] })
  const aggregated = await startAggregatedServer(proxyCa.cert)
  const https = await startHttps({
    aggregation: { proxyCertificate: () => proxy },
    requestHeader: {
      clientCa: () => proxyCa.cert,
      allowedNames: ['system:auth-proxy'],
      usernameHeaders: ['x-remote-user'],
      groupHeaders: ['x-remote-group'],
      extraHeaderPrefixes: ['x-remote-extra-'],
    },
    ...options,
  })
  await https.client.resource(namespaces).create({ metadata: { name: 'monitoring' }, spec: {} })
  return { https, aggregated, proxyCa, asAdmin: https.adminCertificate }
}

async function condition(client: Client): Promise<APIServiceCondition | undefined> {
  return (await client.resource(apiservices).get(serviceName)).status?.conditions?.find(({ type }) => type === 'Available')
}

const soon = { timeout: 10_000, interval: 20 }
const available = (client: Client): Promise<void> =>
  vi.waitFor(async () => expect(await condition(client)).toMatchObject({ status: 'True' }), soon)

describe('an aggregated API server', () => {
  it('gets requests with the front proxy’s certificate and the user in headers', async () => {
    const { https, aggregated, asAdmin } = await start({
      authorizers: [{ name: 'AlwaysAllow', authorize: () => ({ decision: 'allow', reason: '' }) }],
    })
    await register(https.client, aggregated)
    await available(https.client)
    expect(await condition(https.client)).toMatchObject({ reason: 'Passed', message: 'all checks passed' })
    const answer = await ask(https, `${gauges}/a?x=1`, {
      ...asAdmin,
      headers: {
        'x-remote-user': 'mallory',
        'x-remote-group': 'system:masters',
        'x-remote-extra-evil': 'yes',
        'impersonate-user': 'ada',
        'impersonate-group': ['one', 'two'],
        'impersonate-extra-a%2fb': 'c',
        'x-own': 'kept',
      },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-from']).toBe('gauges')
    expect(answer.json()).toEqual({ kind: 'Gauge', apiVersion: groupVersion, metadata: { name: 'a' } })
    const seen = aggregated.seen.findLast(({ url }) => url.startsWith(`${gauges}/a`))
    expect(seen).toMatchObject({ method: 'GET', url: `${gauges}/a?x=1`, proxy: 'system:auth-proxy' })
    expect(seen?.headers).toMatchObject({ 'x-remote-user': 'ada', 'x-remote-extra-a%2fb': 'c', 'x-own': 'kept' })
    expect(seen?.headers['x-remote-extra-evil']).toBeUndefined()
    expect(seen?.headers['impersonate-user']).toBeUndefined()
    expect(seen?.groups).toEqual(['one', 'two', 'system:authenticated'])
  })

  it('gets bodies, and its refusals come back as they are', async () => {
    const { https, aggregated, asAdmin } = await start()
    await register(https.client, aggregated)
    await available(https.client)
    const answer = await ask(https, gauges, {
      ...asAdmin,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"a":1}',
    })
    expect(answer.status).toBe(200)
    expect(aggregated.seen.findLast(({ method }) => method === 'POST')?.body).toBe('{"a":1}')
    const refused = await ask(https, `${gauges}/none`, { ...asAdmin, method: 'DELETE' })
    expect(refused.status).toBe(404)
    expect(refused.json()).toMatchObject({ message: 'no such gauge' })
  })

  it('streams watches, over HTTP/2 and in process', async () => {
    const { https, aggregated } = await start()
    await register(https.client, aggregated)
    await available(https.client)
    const stream = openSession(https).request({ ':path': `${gauges}?watch=true` })
    await new Promise((resolve) => stream.once('response', resolve))
    const events = lines(stream as AsyncIterable<Buffer>) // a stream without an encoding
    const abort = new AbortController()
    const inProcess = https.server.transport(admin).watch({ method: 'GET', path: gauges, signal: abort.signal })[Symbol.asyncIterator]()
    const first = inProcess.next()
    await vi.waitFor(() => expect(aggregated.seen.filter(({ url }) => url.includes('watch=true'))).toHaveLength(2), soon)
    const event = { type: 'ADDED', object: { kind: 'Gauge', metadata: { name: 'a' } } }
    aggregated.send(JSON.stringify(event))
    expect((await events.next()).value).toEqual(event)
    expect((await first).value).toEqual(event)
    abort.abort()
    expect((await inProcess.next()).done).toBe(true)
    stream.close()
  })

  it('passes upgrades on', async () => {
    const { https, aggregated, asAdmin } = await start()
    await register(https.client, aggregated)
    await available(https.client)
    const socket = new WebSocket(`${https.listening.url.replace('https', 'wss')}${gauges}/a`, { ca: https.ca.cert, ...asAdmin })
    onTestFinished(() => socket.terminate())
    const answer = new Promise((resolve, reject) => {
      socket.once('message', (data: Buffer) => resolve(data.toString()))
      socket.once('error', reject)
    })
    socket.once('open', () => socket.send('hello'))
    expect(await answer).toBe('echo hello')
    expect(aggregated.seen.findLast(({ url }) => url === `${gauges}/a`)).toMatchObject({
      proxy: 'system:auth-proxy',
      headers: { 'x-remote-user': 'admin' },
    })
  })

  it('is not read faster than the client reads', async () => {
    const { https, aggregated } = await start()
    await register(https.client, aggregated)
    await available(https.client)
    const stream = openSession(https).request({ ':path': `${gauges}/big` })
    await new Promise((resolve) => stream.once('response', resolve))
    await vi.waitFor(() => expect(aggregated.written.isWaiting).toBe(true), soon)
    expect(aggregated.written.bytes).toBeLessThan(48 * 1024 * 1024)
    let read = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) read += chunk.length
    expect(read).toBe(64 * 1024 * 1024)
  })

  it('is asked for its resources by components of this process', async () => {
    const { https, aggregated } = await start()
    await register(https.client, aggregated)
    await available(https.client)
    const { transport } = createClient(https.server.transport(admin))
    expect((await transport.request({ method: 'GET', path: gauges })).body).toMatchObject({ kind: 'GaugeList' })
    await expect(transport.request({ method: 'GET', path: `${gauges}/none` })).rejects.toMatchObject({
      reason: 'NotFound',
      message: 'no such gauge',
    })
  })
})

describe('availability', () => {
  it('says what is missing, and why the server cannot be asked', async () => {
    const { https, aggregated, asAdmin } = await start()
    const { client } = https
    await createApiService(client, aggregated.ca)
    const expectCondition = (wanted: object): Promise<void> =>
      vi.waitFor(async () => expect(await condition(client)).toMatchObject(wanted), soon)
    await expectCondition({ status: 'False', reason: 'ServiceNotFound', message: 'service/gauges in "monitoring" is not present' })
    const refused = await ask(https, gauges, asAdmin)
    expect([refused.status, refused.headers['content-type'], refused.text]).toEqual([
      503,
      'text/plain; charset=utf-8',
      'service unavailable\n',
    ])
    await client.resource(apiservices).delete(serviceName)
    aggregated.isBroken = true
    await register(client, aggregated)
    await expectCondition({
      status: 'False',
      reason: 'FailedDiscoveryCheck',
      message: `failing or missing response from https://127.0.0.1:${aggregated.port}/apis/${groupVersion}: bad status from https://127.0.0.1:${aggregated.port}/apis/${groupVersion}: 500`,
    })
    aggregated.isBroken = false
    await expectCondition({ status: 'True', reason: 'Passed' })
  })

  it('is refused to a server whose certificate the bundle does not vouch for', async () => {
    const { https, aggregated, proxyCa } = await start()
    await register(https.client, aggregated, { caBundle: Buffer.from(proxyCa.cert).toString('base64') })
    const wanted = {
      reason: 'FailedDiscoveryCheck',
      message: expect.stringContaining('x509: certificate signed by unknown authority') as string,
    }
    await vi.waitFor(async () => expect(await condition(https.client)).toMatchObject(wanted), soon)
    await https.client
      .resource(apiservices)
      .patch(serviceName, { spec: { caBundle: null, insecureSkipTLSVerify: true } }, { type: 'merge' })
    await available(https.client)
  })
})

describe('discovery and documents', () => {
  it('show what other servers serve, and what they no longer answer as stale', async () => {
    const { https, aggregated, asAdmin } = await start()
    await register(https.client, aggregated)
    await available(https.client)
    const groups = await ask(https, '/apis', asAdmin)
    const list = groups.json()['groups'] as { name: string; preferredVersion: object }[] // an APIGroupList
    expect(list[0]?.name).toBe('apiregistration.k8s.io')
    expect(list.at(-1)).toEqual({
      name: 'metrics.example.com',
      versions: [{ groupVersion, version: 'v1beta1' }],
      preferredVersion: { groupVersion, version: 'v1beta1' },
    })
    expect((await ask(https, '/apis/metrics.example.com', asAdmin)).json()).toMatchObject({ kind: 'APIGroup', name: 'metrics.example.com' })
    expect((await ask(https, `/apis/${groupVersion}`, asAdmin)).json()).toMatchObject({ kind: 'APIResourceList', groupVersion })
    const aggregatedEntry = async (): Promise<unknown> => {
      const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
      const { items } = (await ask(https, '/apis', { ...asAdmin, headers: { accept } })).json() as {
        items: { metadata: { name: string } }[]
      }
      return items.find(({ metadata }) => metadata.name === 'metrics.example.com')
    }
    const kind = { group: 'metrics.example.com', version: 'v1beta1', kind: 'Gauge' }
    await vi.waitFor(
      async () =>
        expect(await aggregatedEntry()).toMatchObject({
          versions: [
            {
              version: 'v1beta1',
              freshness: 'Current',
              resources: [
                {
                  resource: 'gauges',
                  responseKind: kind,
                  scope: 'Cluster',
                  shortNames: ['ga'],
                  subresources: [{ subresource: 'status', responseKind: kind, verbs: ['get'] }],
                },
              ],
            },
          ],
        }),
      soon,
    )
    aggregated.isBroken = true
    await https.client.resource(apiservices).patch(serviceName, { spec: { versionPriority: 11 } }, { type: 'merge' })
    await vi.waitFor(
      async () => expect(await aggregatedEntry()).toMatchObject({ versions: [{ version: 'v1beta1', freshness: 'Stale' }] }),
      soon,
    )
    await https.client.resource(apiservices).delete(serviceName)
    await vi.waitFor(async () => expect(await aggregatedEntry()).toBeUndefined(), soon)
    expect((await ask(https, gauges, asAdmin)).status).toBe(404)
  })

  it('merge OpenAPI, renaming what says something else', async () => {
    const { https, aggregated, asAdmin } = await start()
    const before = await ask(https, '/openapi/v2', asAdmin)
    await register(https.client, aggregated)
    const document = await vi.waitFor(async () => {
      const { headers, json } = await ask(https, '/openapi/v2', asAdmin)
      const merged = json() as { paths: Record<string, unknown>; definitions: Record<string, { properties?: Record<string, unknown> }> }
      expect(merged.paths[gauges]).toBeDefined()
      expect(headers['etag']).not.toBe(before.headers['etag'])
      return merged
    }, soon)
    expect(document.paths['/apis/other.example.com/v1/x']).toBeUndefined()
    expect(document.paths['/api/v1/pods']).toBeDefined()
    const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
    expect(document.definitions['com.example.Gauge']?.properties).toEqual({ metadata: { $ref: `#/definitions/${meta}_v2` } })
    expect(document.definitions[meta]?.properties).toHaveProperty('name')
    expect(document.definitions['com.example.Unused']).toBeUndefined()
    const index = (await ask(https, '/openapi/v3', asAdmin)).json() as { paths: Record<string, { serverRelativeURL: string }> }
    const address = index.paths[`apis/${groupVersion}`]?.serverRelativeURL ?? ''
    expect(address).toBe(`/openapi/v3/apis/${groupVersion}?hash=ABC`)
    expect((await ask(https, address, asAdmin)).json()).toEqual({ openapi: '3.0.0', from: 'gauges' })
  })
})

describe('local APIServices', () => {
  it('are kept for all built-in groups, and for what is defined as long as it is', async () => {
    const { https } = await start()
    const { client } = https
    const names = async (): Promise<string[]> => (await client.resource(apiservices).list()).items.map(({ metadata }) => metadata.name)
    await vi.waitFor(async () => expect(await names()).toContain('v1.apps'), soon)
    expect(await names()).not.toContain('v1.apiregistration.k8s.io')
    expect(await client.resource(apiservices).get('v2.autoscaling')).toMatchObject({
      metadata: { labels: { 'kube-aggregator.kubernetes.io/automanaged': 'onstart' } },
      spec: { group: 'autoscaling', version: 'v2', groupPriorityMinimum: 17_500, versionPriority: 30 },
      status: {
        conditions: [{ type: 'Available', status: 'True', reason: 'Local', message: 'Local APIServices are always available' }],
      },
    })
    const names2 = { plural: 'cars', singular: 'car', kind: 'Car', listKind: 'CarList' }
    await client.resource(customresourcedefinitions).create({
      metadata: { name: 'cars.example.com' },
      spec: {
        group: 'example.com',
        names: names2,
        scope: 'Namespaced',
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    })
    await vi.waitFor(
      async () =>
        expect(await client.resource(apiservices).get('v1.example.com')).toMatchObject({
          metadata: { labels: { 'kube-aggregator.kubernetes.io/automanaged': 'true' } },
          spec: { groupPriorityMinimum: 1000, versionPriority: 100 },
        }),
      soon,
    )
    await client.resource(apiservices).delete('v1.example.com')
    await vi.waitFor(async () => expect(await names()).toContain('v1.example.com'), soon)
    await client.resource(customresourcedefinitions).delete('cars.example.com')
    await vi.waitFor(async () => expect(await names()).not.toContain('v1.example.com'), soon)
  })

  it('cannot be given what is for other servers only', async () => {
    const { https } = await start()
    const create = (spec: object): Promise<unknown> =>
      https.server.transport(admin).request({
        method: 'POST',
        path: '/apis/apiregistration.k8s.io/v1/apiservices',
        body: { kind: 'APIService', apiVersion: 'apiregistration.k8s.io/v1', metadata: { name: 'v1.x.example.com' }, spec },
      })
    const spec = { group: 'x.example.com', version: 'v1', groupPriorityMinimum: 1, versionPriority: 1 }
    await expect(create({ ...spec, insecureSkipTLSVerify: true })).rejects.toMatchObject({
      message:
        'APIService.apiregistration.k8s.io "v1.x.example.com" is invalid: spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify',
    })
    await expect(create({ ...spec, group: 'y.example.com' })).rejects.toMatchObject({
      message:
        'APIService.apiregistration.k8s.io "v1.x.example.com" is invalid: metadata.name: Invalid value: "v1.x.example.com": must be `spec.version+"."+spec.group`: "v1.y.example.com"',
    })
  })
})

it('tells aggregated servers whom to trust', async () => {
  const { https, proxyCa } = await start()
  const config = await vi.waitFor(
    () => https.client.resource(configmaps).get('extension-apiserver-authentication', { namespace: 'kube-system' }),
    soon,
  )
  expect(config.data).toEqual({
    'client-ca-file': https.ca.cert,
    'requestheader-client-ca-file': proxyCa.cert,
    'requestheader-allowed-names': '["system:auth-proxy"]',
    'requestheader-username-headers': '["X-Remote-User"]',
    'requestheader-group-headers': '["X-Remote-Group"]',
    'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
  })
})
