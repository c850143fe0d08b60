import { StatusError } from '@k3s/api'
import { configmaps, type ConfigMap } from '@k3s/api/types/core/v1'
import { FakeClock } from '@k3s/lifecycle'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from './create-client.ts'
import { FakeApiServer, type FakeApiServerOptions } from './fake/fake-api-server.ts'
import { createInformerFactory } from './informer.ts'
import type { ApiRequest } from './transport.ts'

const configMap = (name: string, value = '', labels?: Record<string, string>): ConfigMap => ({
  metadata: { name, namespace: 'default', ...(labels === undefined ? {} : { labels }) },
  data: { value },
})

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function start(options: Omit<FakeApiServerOptions, 'onRequest'> = {}) {
  const requests: ApiRequest[] = []
  let failNext: StatusError | undefined
  const server = new FakeApiServer({
    ...options,
    onRequest: (request) => {
      requests.push(request)
      const error = failNext
      failNext = undefined
      if (error !== undefined) throw error
    },
  })
  const clock = new FakeClock()
  const factory = createInformerFactory(createClient(server), { clock, random: () => 0.5 })
  const stop = new AbortController()
  const events: string[] = []
  const record = {
    add: (object: ConfigMap, isInitial: boolean) => events.push(`add ${object.metadata.name}${isInitial ? ' initial' : ''}`),
    update: (old: ConfigMap, object: ConfigMap) =>
      events.push(`update ${object.metadata.name} ${old.data?.['value']}>${object.data?.['value']}`),
    delete: (object: ConfigMap) => events.push(`delete ${object.metadata.name}`),
  }
  return {
    server,
    requests,
    clock,
    factory,
    events,
    record,
    failNextRequest: (error: StatusError) => (failNext = error),
    run: () => {
      const running = factory.run({ signal: stop.signal, ready: () => {} })
      running.catch(() => {})
      stops.push(async () => {
        stop.abort()
        await running.catch(() => {})
      })
      return running
    },
  }
}

async function until(claim: () => boolean): Promise<void> {
  await expect.poll(claim, { timeout: 10_000, interval: 2 }).toBe(true)
}

describe.each([{ watchList: true }, { watchList: false }])('createInformerFactory() with $watchList WatchList', ({ watchList }) => {
  it('tells of what is there first, then of each change once', async () => {
    const { server, factory, events, record, run } = start({ watchList })
    const informer = factory.informer(configmaps)
    informer.addHandler(record)
    server.put(configmaps, configMap('a', '1'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    expect(events).toEqual(['add a initial'])
    server.put(configmaps, configMap('b', '1'))
    server.put(configmaps, configMap('a', '2'))
    server.remove(configmaps, 'default/b')
    await until(() => events.length === 4)
    expect(events).toEqual(['add a initial', 'add b', 'update a 1>2', 'delete b'])
    expect(informer.lister.list().map(({ data }) => data)).toEqual([{ value: '2' }])
  })

  it('caches frozen objects that say what they are', async () => {
    const { server, factory, run } = start({ watchList })
    const { lister } = factory.informer(configmaps)
    server.put(configmaps, configMap('a'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    const object = lister.get('default/a')
    expect(object).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
    expect(Object.isFrozen(object?.data)).toBe(true)
  })

  it('finds by a relist what changed while history was compacted', async () => {
    const { server, factory, events, record, clock, run } = start({ watchList })
    factory.informer(configmaps).addHandler(record)
    for (const name of ['gone', 'changed', 'same']) server.put(configmaps, configMap(name, '1'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    events.length = 0
    // The watch ends, and before the next one history moves on and is forgotten.
    server.endWatches(new StatusError('ServiceUnavailable', 'away'))
    await until(() => clock.sleeping === 1)
    server.remove(configmaps, 'default/gone')
    server.put(configmaps, configMap('changed', '2'))
    server.put(configmaps, configMap('new'))
    server.compact()
    for (let round = 0; events.length < 3 && round < 50; round++) await clock.advance(1000)
    expect(events.toSorted()).toEqual(['add new', 'delete gone', 'update changed 1>2'])
  })
})

describe('createInformerFactory()', () => {
  it('continues after a watch ended, where it was, without a relist', async () => {
    const { server, factory, events, record, requests, clock, run } = start()
    factory.informer(configmaps).addHandler(record)
    server.put(configmaps, configMap('a', '1'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    await clock.advance(400_000)
    server.endWatches()
    server.put(configmaps, configMap('a', '2'))
    await until(() => events.length === 2)
    expect(events).toEqual(['add a initial', 'update a 1>2'])
    expect(requests.map(({ query }) => [query?.['sendInitialEvents'], query?.['resourceVersion']])).toEqual([
      ['true', ''],
      [undefined, '1'],
    ])
  })

  it('moves on with bookmarks, so that compaction below them costs no relist', async () => {
    const { server, factory, requests, clock, run } = start()
    factory.informer(configmaps, { labelSelector: 'x' })
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    server.put(configmaps, configMap('unselected'))
    server.sendBookmarks()
    server.compact()
    await clock.advance(400_000)
    server.endWatches()
    await until(() => requests.length === 2)
    expect(requests[1]?.query).toMatchObject({ resourceVersion: '1' })
  })

  it('asks for watches of five to ten minutes', async () => {
    const { factory, requests, run } = start()
    factory.informer(configmaps)
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    expect(requests[0]?.query?.['timeoutSeconds']).toBe('450')
  })

  it('backs off while the server is away and syncs when it is back', async () => {
    const { server, factory, requests, clock, failNextRequest, run } = start()
    server.put(configmaps, configMap('a'))
    const informer = factory.informer(configmaps)
    failNextRequest(new StatusError('ServiceUnavailable', 'connection refused'))
    void run()
    await until(() => clock.sleeping === 1)
    expect(requests).toHaveLength(1)
    expect(informer.isSynced).toBe(false)
    failNextRequest(new StatusError('ServiceUnavailable', 'connection refused'))
    await clock.advance(100)
    await clock.advance(100)
    expect(informer.isSynced).toBe(false)
    await clock.advance(100)
    await informer.synced(AbortSignal.timeout(10_000))
    expect(requests).toHaveLength(3)
  })

  it('reads all pages', async () => {
    const { server, factory, run } = start({ watchList: false, maxPageItems: 2 })
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(configmaps, configMap(name))
    const { lister } = factory.informer(configmaps)
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    expect(lister.list()).toHaveLength(5)
  })

  it('lists anew from nothing when the server lost its history', async () => {
    const { server, factory, events, record, requests, failNextRequest, run } = start()
    factory.informer(configmaps).addHandler(record)
    server.put(configmaps, configMap('a', '1'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    failNextRequest(new StatusError('Timeout', 'Timeout: Too large resource version: 1, current: 0'))
    server.put(configmaps, configMap('a', '2'))
    server.endWatches()
    await until(() => events.length === 2)
    expect(events).toEqual(['add a initial', 'update a 1>2'])
    expect(requests.map(({ query }) => [query?.['sendInitialEvents'], query?.['resourceVersion']])).toEqual([
      ['true', ''],
      [undefined, '1'],
      ['true', ''],
    ])
  })

  it('tells a late handler of everything once, and none after it was removed', async () => {
    const { server, factory, events, record, run } = start()
    const informer = factory.informer(configmaps)
    server.put(configmaps, configMap('a'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    const remove = informer.addHandler(record)
    expect(events).toEqual(['add a initial'])
    server.put(configmaps, configMap('b'))
    await until(() => informer.lister.get('default/b') !== undefined)
    expect(events).toEqual(['add a initial', 'add b'])
    remove()
    server.put(configmaps, configMap('c'))
    await until(() => informer.lister.get('default/c') !== undefined)
    expect(events).toEqual(['add a initial', 'add b'])
  })

  it('tells a handler that is added by another handler of each object once', async () => {
    const { server, factory, events, record, run } = start()
    const informer = factory.informer(configmaps)
    for (const name of ['a', 'b']) server.put(configmaps, configMap(name))
    let added = false
    informer.addHandler({
      add: () => {
        if (!added) informer.addHandler(record)
        added = true
      },
    })
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    expect(events).toEqual(['add a initial', 'add b initial'])
  })

  it('keeps indexes in step with the objects', async () => {
    const { server, factory, run } = start()
    const informer = factory.informer(configmaps)
    const byValue = (object: ConfigMap) => [object.data?.['value'] ?? '']
    informer.addIndex('value', byValue)
    informer.addIndex('value', byValue)
    server.put(configmaps, configMap('a', 'x'))
    server.put(configmaps, configMap('b', 'x'))
    void run()
    await factory.synced(AbortSignal.timeout(10_000))
    const names = (value: string) => informer.lister.byIndex('value', value).map(({ metadata }) => metadata.name)
    expect(names('x').toSorted()).toEqual(['a', 'b'])
    server.put(configmaps, configMap('a', 'y'))
    server.remove(configmaps, 'default/b')
    await until(() => informer.lister.list().length === 1)
    expect([names('x'), names('y')]).toEqual([[], ['a']])
    expect(informer.lister.inNamespace('default')).toHaveLength(1)
    expect(informer.lister.inNamespace('other')).toEqual([])
    expect(() => informer.lister.byIndex('none', '')).toThrow('index "none" exists')
  })

  it('gives one informer for the same resource and selector, and starts late ones at once', async () => {
    const { server, factory, run } = start()
    server.put(configmaps, configMap('a', '', { x: '' }))
    server.put(configmaps, configMap('b'))
    void run()
    const selected = factory.informer(configmaps, { labelSelector: 'x' })
    expect(factory.informer(configmaps, { labelSelector: 'x' })).toBe(selected)
    expect(factory.informer(configmaps)).not.toBe(selected)
    await selected.synced(AbortSignal.timeout(10_000))
    expect(selected.lister.list()).toHaveLength(1)
  })

  it('ends with the error of a handler that throws', async () => {
    const { server, factory, run } = start()
    factory.informer(configmaps).addHandler({
      add: () => {
        throw new Error('a bug')
      },
    })
    server.put(configmaps, configMap('a'))
    await expect(run()).rejects.toThrow('a bug')
  })

  it('synced() rejects on abort', async () => {
    const { factory } = start()
    factory.informer(configmaps)
    await expect(factory.synced(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  })
})
