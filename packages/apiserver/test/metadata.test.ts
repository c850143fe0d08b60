import { configmaps, type ConfigMap, pods } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { startCluster } from './start-cluster.ts'
import { startServer } from './start-server.ts'

const configMap: ConfigMap = { metadata: { name: 'a', namespace: 'default' } }

describe('metadata', () => {
  it('is judged before the rest of a new object', async () => {
    const { client } = await startCluster()
    const creation = client
      .resource(pods)
      .create({ metadata: { name: 'A', namespace: 'default', labels: { x: '?' } }, spec: { containers: [] } })
    await expect(creation).rejects.toMatchObject({
      code: 422,
      details: { causes: [{ field: 'metadata.name' }, { field: 'metadata.labels' }, { field: 'spec.containers' }] },
    })
  })

  it('cannot be marked as deleted by an update', async () => {
    const { client } = await startServer()
    const created = await client.resource(configmaps).create(configMap)
    const marked = {
      ...created,
      metadata: { ...created.metadata, deletionTimestamp: '2024-05-01T12:00:00Z', deletionGracePeriodSeconds: 0 },
    }
    const immutable = [
      { field: 'metadata.deletionTimestamp', message: 'Invalid value: "2024-05-01T12:00:00Z": field is immutable' },
      { field: 'metadata.deletionGracePeriodSeconds', message: 'Invalid value: 0: field is immutable' },
    ]
    await expect(client.resource(configmaps).update(marked)).rejects.toMatchObject({
      code: 422,
      details: {
        // As upstream: the rules of all kinds and those of this one say the same.
        causes: [...immutable, ...immutable],
      },
    })
  })

  it('keeps what the server owns though an update leaves it out', async () => {
    const { client } = await startServer()
    const created = await client.resource(configmaps).create(configMap)
    const updated = await client.resource(configmaps).update({ ...configMap, data: { x: '1' } })
    const { uid, creationTimestamp } = created.metadata
    expect(updated.metadata).toMatchObject({ uid, creationTimestamp })
  })

  it('of an update tells each mistake once, and counts how often upstream finds it', async () => {
    const { client } = await startServer()
    const created = await client.resource(configmaps).create(configMap)
    const bad = { ...created, metadata: { ...created.metadata, labels: { a: '?' } }, data: { '../x': '' } }
    await expect(client.resource(configmaps).update(bad)).rejects.toMatchObject({
      code: 422,
      message: expect.not.stringContaining('is invalid: [') as string,
      details: { causes: Array.from({ length: 4 }, () => ({ field: 'metadata.labels' })) },
    })
  })
})
