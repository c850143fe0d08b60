import { secrets } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { openDatastore } from '@k3s/datastore'
import { noLogger, type Logger } from '@k3s/lifecycle'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createApiServer, EncryptionAtRest } from '../src/index.ts'
import { admin, startServer, take } from './start-server.ts'

const key = (name: string, letter: string) => ({ name, secret: Buffer.from(letter.repeat(32)).toString('base64') })
const config = (...keys: readonly object[]): string =>
  JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [{ resources: ['secrets'], providers: [{ aescbc: { keys } }, { identity: {} }] }],
  })
const at = { namespace: 'default' }
const data = { password: Buffer.from('hunter2').toString('base64') }
const stored = '/registry/secrets/default/a'

describe('encryption at rest', () => {
  it('keeps Secrets encrypted in the datastore and plain for clients, watches included', async () => {
    const { client, datastore } = await startServer({ encryption: new EncryptionAtRest(config(key('key1', 'a'))) })
    const created = await client.resource(secrets).create({ metadata: { name: 'a', ...at }, data })
    await client.resource(secrets).patch('a', { metadata: { labels: { x: 'y' } } }, { ...at, type: 'merge' })
    const raw = Buffer.from((await datastore.get(Buffer.from(stored))).item?.value ?? []).toString('latin1')
    expect(raw).toMatch(/^k8s:enc:aescbc:v1:key1:/)
    expect(raw).not.toContain(data.password)
    expect(await client.resource(secrets).get('a', at)).toMatchObject({ data, metadata: { labels: { x: 'y' } } })
    const watch = client.resource(secrets).watch({ ...at, resourceVersion: created.metadata.resourceVersion ?? '' })
    expect((await take(watch, 1))[0]).toMatchObject({ type: 'MODIFIED', object: { data } })
  })

  it('writes a Secret anew with the new key when it is put unchanged', async () => {
    const encryption = new EncryptionAtRest(config(key('key1', 'a')))
    const { client, datastore } = await startServer({ encryption })
    const created = await client.resource(secrets).create({ metadata: { name: 'a', ...at }, data })
    expect((await client.resource(secrets).update(created)).metadata.resourceVersion).toBe(created.metadata.resourceVersion)
    encryption.replace(config(key('key2', 'b'), key('key1', 'a')))
    const { resourceVersion } = (await client.resource(secrets).update(created)).metadata
    expect(resourceVersion).not.toBe(created.metadata.resourceVersion)
    const raw = Buffer.from((await datastore.get(Buffer.from(stored))).item?.value ?? []).toString('latin1')
    expect(raw).toMatch(/^k8s:enc:aescbc:v1:key2:/)
  })

  it('serves all but a Secret whose key is gone, and says which it is', async () => {
    const datastore = await openDatastore('memory:')
    onTestFinished(() => datastore[Symbol.asyncDispose]())
    const first = await createApiServer({ datastore, encryption: new EncryptionAtRest(config(key('key1', 'a'))) })
    await createClient(first.transport(admin))
      .resource(secrets)
      .create({ metadata: { name: 'a', ...at }, data })
    await first.close()
    const logged: unknown[] = []
    const logger: Logger = { ...noLogger, error: (fields) => void logged.push(fields), child: () => logger }
    const encryption = new EncryptionAtRest(config(key('key2', 'b')))
    const second = await createApiServer({ datastore, encryption, logger })
    onTestFinished(() => second.close())
    const mine = createClient(second.transport(admin)).resource(secrets)
    const problem = {
      code: 500,
      message: `unable to transform key "${stored}": Cannot decrypt "${stored}": no provider of the encryption configuration has the key "key1" of aescbc`,
    }
    expect(logged).toMatchObject([{ key: stored }])
    await mine.create({ metadata: { name: 'b', ...at }, data })
    expect(await mine.get('b', at)).toMatchObject({ data })
    await expect(mine.get('a', at)).rejects.toMatchObject(problem)
    await expect(mine.list(at)).rejects.toMatchObject(problem)
    await expect(mine.list({})).rejects.toMatchObject(problem)
    expect((await mine.list({ namespace: 'kube-system' })).items).toEqual([])
    await expect(mine.delete('a', at)).rejects.toMatchObject(problem)
    await expect(mine.create({ metadata: { name: 'a', ...at }, data })).rejects.toMatchObject({ reason: 'AlreadyExists' })
    // It comes back with its key, and whoever watches meanwhile starts over.
    encryption.replace(config(key('key2', 'b'), key('key1', 'a')))
    const raw = (await datastore.get(Buffer.from(stored))).item
    await datastore.update(Buffer.from(stored), raw?.value ?? new Uint8Array(), { expectedRevision: raw?.modRevision })
    await expect.poll(async () => (await mine.list(at)).items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b'])
  })
})
