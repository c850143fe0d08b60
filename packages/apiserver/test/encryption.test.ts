import { secrets } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { openDatastore } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
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

  it('does not start with a wrong key, and says so', async () => {
    const datastore = await openDatastore('memory:')
    const first = await createApiServer({ datastore, encryption: new EncryptionAtRest(config(key('key1', 'a'))) })
    await createClient(first.transport(admin))
      .resource(secrets)
      .create({ metadata: { name: 'a', ...at }, data })
    await first.close()
    await expect(createApiServer({ datastore, encryption: new EncryptionAtRest(config(key('key2', 'b'))) })).rejects.toThrow(
      'Cannot decrypt "/registry/secrets/default/a": no provider of the encryption configuration has the key "key1" of aescbc',
    )
    await datastore[Symbol.asyncDispose]()
  })
})
