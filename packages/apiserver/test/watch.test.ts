import type { StatusError } from '@k3s/api'
import { configmaps, type ConfigMap } from '@k3s/api/types/core/v1'
import type { ResourceEvent } from '@k3s/client'
import { openDatastore } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
import { startServer, take } from './start-server.ts'

const configMap = (name: string, labels: Record<string, string> = {}): ConfigMap => ({
  metadata: { name, namespace: 'default', labels },
  data: {},
})
const brief = (events: readonly ResourceEvent<ConfigMap>[]): string[] => events.map(({ type, object }) => `${type} ${object.metadata.name}`)

describe('watch', () => {
  it('shows the current objects and then what happens', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    await maps.create(configMap('a'))
    const watching = take(maps.watch({ namespace: 'default' }), 4)
    const b = await maps.create(configMap('b'))
    await maps.update({ ...b, data: { x: '1' } })
    await maps.delete('a', { namespace: 'default' })
    // Whether b is part of the first state or comes later depends on the moment; its states come in order either way.
    expect(brief(await watching)).toContain('ADDED a')
  })

  it('goes on strictly after a resourceVersion, in order of versions', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const a = await maps.create(configMap('a'))
    const b = await maps.create(configMap('b'))
    await maps.update({ ...b, data: { x: '1' } })
    await maps.delete('a', { namespace: 'default' })
    const events = await take(maps.watch({ namespace: 'default', resourceVersion: a.metadata.resourceVersion }), 3)
    expect(brief(events)).toEqual(['ADDED b', 'MODIFIED b', 'DELETED a'])
    const versions = events.map(({ object }) => Number(object.metadata.resourceVersion))
    expect(versions).toEqual(versions.toSorted((left, right) => left - right))
    expect(new Set(versions).size).toBe(3)
  })

  it('turns a change of selection into ADDED and DELETED', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const a = await maps.create(configMap('a'))
    const red = await maps.update({ ...a, metadata: { ...a.metadata, labels: { color: 'red' } } })
    const still = await maps.update({ ...red, data: { x: '1' } })
    const blue = await maps.update({ ...still, metadata: { ...still.metadata, labels: { color: 'blue' } } })
    const events = await take(maps.watch({ labelSelector: 'color=red', resourceVersion: a.metadata.resourceVersion }), 3)
    expect(brief(events)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a'])
    const last = events[2]?.object
    expect(last?.metadata.resourceVersion).toBe(blue.metadata.resourceVersion)
    expect(last?.metadata.labels).toEqual({ color: 'red' })
  })

  it('ends the initial events with an annotated bookmark', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    await maps.create(configMap('a'))
    const options = {
      namespace: 'default',
      sendInitialEvents: true,
      allowWatchBookmarks: true,
      resourceVersionMatch: 'NotOlderThan' as const,
    }
    const events = await take(maps.watch(options), 2)
    expect(events.map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK'])
    expect(events[1]?.object.metadata.annotations).toEqual({ 'k8s.io/initial-events-end': 'true' })
    expect(Number(events[1]?.object.metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(events[0]?.object.metadata.resourceVersion))
  })

  it('refuses sendInitialEvents without resourceVersionMatch', async () => {
    const { client } = await startServer()
    const watching = take(client.resource(configmaps).watch({ sendInitialEvents: true }), 1)
    await expect(watching).rejects.toMatchObject({ code: 422 })
  })

  it('reads the log for a version from before the server started', async () => {
    const datastore = await openDatastore('memory:')
    const before = await startServer({ datastore })
    const a = await before.client.resource(configmaps).create(configMap('a'))
    const b = await before.client.resource(configmaps).create(configMap('b'))
    await before.client.resource(configmaps).delete('a', { namespace: 'default' })
    await before.server.close()
    const after = await startServer({ datastore })
    const watching = take(after.client.resource(configmaps).watch({ resourceVersion: a.metadata.resourceVersion }), 3)
    await after.client.resource(configmaps).update({ ...b, data: { x: '1' } })
    expect(brief(await watching)).toEqual(['ADDED b', 'DELETED a', 'MODIFIED b'])
  })

  it('tells a watcher that its version was compacted', async () => {
    const datastore = await openDatastore('memory:')
    const before = await startServer({ datastore })
    const a = await before.client.resource(configmaps).create(configMap('a'))
    await before.client.resource(configmaps).create(configMap('b'))
    await before.client.resource(configmaps).create(configMap('c'))
    await before.server.close()
    await datastore.compact(await datastore.currentRevision())
    const after = await startServer({ datastore })
    const watching = take(after.client.resource(configmaps).watch({ resourceVersion: a.metadata.resourceVersion }), 1)
    const error = await watching.then(
      () => undefined,
      (reason: StatusError) => reason,
    )
    expect(error).toMatchObject({ code: 410, reason: 'Expired' })
    expect(error?.message).toMatch(/^too old resource version: \d+ \(\d+\)$/)
  })

  it('gives every watcher the same events, also those that fall far behind', async () => {
    const { client } = await startServer()
    const maps = client.resource(configmaps)
    const first = await maps.create(configMap('first'))
    const from = { resourceVersion: first.metadata.resourceVersion }
    const count = 9000 // more than the ring of recent events holds
    const slow = maps.watch(from)[Symbol.asyncIterator]()
    const opening = slow.next()
    const fast = take(maps.watch(from), count)
    for (let at = 0; at < count; at += 500)
      await Promise.all(Array.from({ length: 500 }, (_, index) => maps.create(configMap(`m${at + index}`))))
    const seen = (await fast).map(({ object }) => object.metadata.resourceVersion)
    const late: (string | undefined)[] = []
    for (let result = await opening; late.length < count; result = await slow.next()) {
      if (result.done === true) break
      late.push(result.value.object.metadata.resourceVersion)
      if (late.length === count) break
    }
    expect(late).toEqual(seen)
    expect(new Set(seen).size).toBe(count)
    await slow.return?.()
  })

  it('ends when its time is up', async () => {
    const { client } = await startServer()
    const events = await take(
      client.resource(configmaps).watch({ namespace: 'default', resourceVersion: '1', timeoutSeconds: 1 }),
      Number.POSITIVE_INFINITY,
    )
    expect(events).toEqual([])
  })

  it('ends when the server closes', async () => {
    const { client, server } = await startServer()
    const watching = take(client.resource(configmaps).watch({ namespace: 'default', resourceVersion: '1' }), 1)
    await client.resource(configmaps).list()
    await server.close()
    expect(await watching).toEqual([])
  })
})
