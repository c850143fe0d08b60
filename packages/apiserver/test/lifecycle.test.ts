import { events as coreEvents, configmaps, type Event as CoreEvent } from '@k3s/api/types/core/v1'
import { events } from '@k3s/api/types/events/v1'
import { horizontalpodautoscalers as autoscalersV1 } from '@k3s/api/types/autoscaling/v1'
import { horizontalpodautoscalers as autoscalersV2 } from '@k3s/api/types/autoscaling/v2'
import { createClient } from '@k3s/client'
import { openDatastore } from '@k3s/datastore'
import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import type { AdmissionPlugin } from '../src/index.ts'
import { ask, lines, openSession, startHttps } from './start-https.ts'
import { startServer, take } from './start-server.ts'

const configMap = (name: string) => ({ metadata: { name, namespace: 'default' } })

describe('a server', () => {
  it('makes the namespaces that every cluster has, and makes them again', async () => {
    const clock = new FakeClock(Date.now())
    const { client, datastore } = await startServer({ clock })
    const list = await client.transport.request({ method: 'GET', path: '/api/v1/namespaces' })
    expect(list.body).toMatchObject({
      items: ['default', 'kube-node-lease', 'kube-public', 'kube-system'].map((name) => ({ metadata: { name } })),
    })
    await datastore.delete(Buffer.from('/registry/namespaces/kube-public'))
    await expect.poll(() => clock.sleeping).toBeGreaterThan(0)
    await clock.advance(10_000)
    await expect.poll(async () => (await datastore.get(Buffer.from('/registry/namespaces/kube-public'))).item).toBeDefined()
  })

  it('says since when uses of tokens from Secrets are recorded, and mends what is no day', async () => {
    const clock = new FakeClock(Date.UTC(2026, 0, 2))
    const { client } = await startServer({ clock })
    const at = { namespace: 'kube-system', name: 'kube-apiserver-legacy-service-account-token-tracking' }
    const since = async (): Promise<unknown> => (await client.resource(configmaps).get(at.name, at)).data
    expect(await since()).toEqual({ since: '2026-01-02' })
    for (const [said, kept] of [
      ['2025-12-31', '2025-12-31'],
      ['yesterday', '2026-01-02'],
    ] as const) {
      await client.resource(configmaps).patch(at.name, { data: { since: said } }, { ...at, type: 'merge' })
      await expect.poll(() => clock.sleeping).toBeGreaterThan(0)
      await clock.advance(10_000)
      await expect.poll(since).toEqual({ since: kept })
    }
  })

  it('finds what another server on the same datastore wrote', async () => {
    const datastore = await openDatastore('memory:')
    const [one, two] = [await startServer({ datastore }), await startServer({ datastore })]
    const watching = take(two.client.resource(configmaps).watch({ resourceVersion: String(await datastore.currentRevision()) }), 1)
    const created = await one.client.resource(configmaps).create(configMap('a'))
    expect(await two.client.resource(configmaps).get('a', { namespace: 'default' })).toEqual(created)
    expect((await watching)[0]?.object).toEqual(created)
  })

  it('forgets history between one and two intervals old', async () => {
    const clock = new FakeClock(Date.now())
    const { client, datastore } = await startServer({ clock, compactionIntervalMs: 300_000 })
    await client.resource(configmaps).create(configMap('a'))
    await expect.poll(() => clock.sleeping).toBeGreaterThan(1)
    const before = (await datastore.status()).compactRevision
    await clock.advance(300_000)
    await client.resource(configmaps).create(configMap('b'))
    const middle = await datastore.currentRevision()
    await clock.advance(300_000)
    await expect.poll(async () => (await datastore.status()).compactRevision).toBeGreaterThan(before)
    expect((await datastore.status()).compactRevision).toBeLessThan(middle)
  })

  it('closes with idle and watching clients at once, and is unavailable afterwards', async () => {
    const server = await startHttps()
    const session = openSession(server)
    const watch = lines(session.request({ ':path': '/api/v1/pods?watch=1&resourceVersion=1' }) as AsyncIterable<Buffer>)
    const ended = watch.next()
    await ask(server, '/api/v1/pods', server.adminCertificate)
    const started = performance.now()
    await server.server.close()
    expect(performance.now() - started).toBeLessThan(5000)
    expect((await ended).done).toBe(true)
    await expect(server.client.resource(configmaps).list()).rejects.toMatchObject({ code: 503 })
    await server.server.close()
  })

  it('refuses more requests at once than it is told to take', async () => {
    const gate = Promise.withResolvers<void>()
    const slow: AdmissionPlugin = { name: 'slow', admit: () => gate.promise }
    const { server } = await startServer({
      admission: [slow],
      inFlight: { maxReads: 1, maxWrites: 1 },
      authorizers: [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) }],
      // The namespaces come first; they are made without admission.
    })
    const client = createClient(server.transport({ name: 'jane', groups: [] }))
    // Two seats among the levels, which may lend each other some; who is in no group may not wait.
    const creations = Array.from({ length: 20 }, (_, index) => client.resource(configmaps).create(configMap(`a-${index}`)))
    await expect(Promise.race(creations)).rejects.toMatchObject({
      code: 429,
      message: 'Too many requests, please try again later.',
    })
    gate.resolve()
    expect((await Promise.allSettled(creations)).some(({ status }) => status === 'fulfilled')).toBe(true)
  })

  it('answers 500 for a bug, logs it once and goes on', async () => {
    const logged: string[] = []
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (_fields: unknown, message: string) => void logged.push(message),
      child: () => logger,
    }
    const broken: AdmissionPlugin = {
      name: 'broken',
      admit: ({ name }) => {
        if (name === 'a') throw new TypeError('oops')
      },
    }
    const { client } = await startServer({ logger, admission: [broken] })
    await expect(client.resource(configmaps).create(configMap('a'))).rejects.toMatchObject({
      code: 500,
      message: 'Internal error occurred: oops',
    })
    expect(logged).toEqual(['Request failed'])
    await client.resource(configmaps).create(configMap('b'))
  })
})

describe('admission', () => {
  it('may change what is created, sees both objects of an update, and may refuse', async () => {
    const seen: string[] = []
    const plugin: AdmissionPlugin = {
      name: 'test',
      admit: ({ operation, object }) => {
        if (operation === 'CREATE' && object !== undefined) object.metadata.labels = { by: 'plugin' }
      },
      validate: ({ operation, object, oldObject, scope }) => {
        seen.push(`${operation} ${object?.metadata.name ?? '-'} ${oldObject?.metadata.name ?? '-'} ${scope.user.name}`)
      },
    }
    const { client } = await startServer({ admission: [plugin] })
    const maps = client.resource(configmaps)
    const created = await maps.create(configMap('a'))
    expect(created.metadata.labels).toEqual({ by: 'plugin' })
    await maps.update({ ...created, data: { a: '1' } })
    await maps.delete('a', { namespace: 'default' })
    expect(seen).toEqual(['CREATE a - admin', 'UPDATE a a admin', 'DELETE - a admin'])
  })
})

describe('versions', () => {
  it('show events of both groups as the same objects', async () => {
    const { client } = await startServer()
    const event: CoreEvent = {
      metadata: { name: 'e', namespace: 'default' },
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
      message: 'hello',
      reportingComponent: 'me',
      source: { component: 'me' },
    }
    const created = await client.resource(coreEvents).create(event)
    const other = await client.resource(events).get('e', { namespace: 'default' })
    expect(other).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      note: 'hello',
      regarding: { name: 'p' },
      reportingController: 'me',
      deprecatedSource: { component: 'me' },
    })
    expect(other.metadata.resourceVersion).toBe(created.metadata.resourceVersion)
    const [added] = await take(client.resource(events).watch({ fieldSelector: 'metadata.name=e' }), 1)
    expect(added?.object).toEqual(other)
    await client.resource(events).patch('e', { note: 'changed' }, { namespace: 'default', type: 'merge' })
    expect((await client.resource(coreEvents).get('e', { namespace: 'default' })).message).toBe('changed')
  })

  it('keep everything of an autoscaler through a write in v1', async () => {
    const { client } = await startServer()
    await client.resource(autoscalersV2).create({
      metadata: { name: 'h', namespace: 'default' },
      spec: {
        maxReplicas: 3,
        scaleTargetRef: { kind: 'Deployment', name: 'd', apiVersion: 'apps/v1' },
        metrics: [
          { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
          { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } } },
        ],
      },
    })
    const old = await client.resource(autoscalersV1).get('h', { namespace: 'default' })
    expect(old.spec.targetCPUUtilizationPercentage).toBe(50)
    await client.resource(autoscalersV1).update({ ...old, spec: { ...old.spec, targetCPUUtilizationPercentage: 70 } })
    const { spec } = await client.resource(autoscalersV2).get('h', { namespace: 'default' })
    expect(spec.metrics?.map(({ resource }) => [resource?.name, resource?.target.averageUtilization])).toEqual([
      ['memory', undefined],
      ['cpu', 70],
    ])
  })

  it('let events expire with a lease of the datastore', async () => {
    const { client, datastore } = await startServer({ eventTtlSeconds: 60 })
    await client.resource(coreEvents).create({ metadata: { name: 'e', namespace: 'default' }, involvedObject: { namespace: 'default' } })
    const { item } = await datastore.get(Buffer.from('/registry/events/default/e'))
    expect((await datastore.leaseStatus(item?.leaseId ?? 0n)).ttlSeconds).toBe(120)
  })
})
