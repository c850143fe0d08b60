import { type ConfigMap, configmaps, resourcequotas } from '@k3s/api/types/core/v1'
import { openDatastore } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
import { startBuiltIn } from './start-cluster.ts'
import type { TestServer } from './start-server.ts'

const counted = 'count/configmaps'
const configMap = (name: string): ConfigMap => ({ metadata: { name, namespace: 'default' } })

/** A quota of `hard` config maps, counted for the first time as the quota controller does. */
async function limitConfigMaps({ client }: TestServer, hard: number): Promise<void> {
  const limit = { [counted]: String(hard) }
  const quota = await client.resource(resourcequotas).create({ metadata: { name: 'q', namespace: 'default' }, spec: { hard: limit } })
  await client.resource(resourcequotas).update({ ...quota, status: { hard: limit, used: { [counted]: '0' } } }, { subresource: 'status' })
}

const usedOf = async ({ client }: TestServer): Promise<string | undefined> =>
  (await client.resource(resourcequotas).get('q', { namespace: 'default' })).status?.used?.[counted]
const countOf = async ({ client }: TestServer): Promise<number> =>
  (await client.resource(configmaps).list({ namespace: 'default' })).items.length

describe('a quota', () => {
  it('is never passed by creates at the same time on two servers', async () => {
    const datastore = await openDatastore('memory:')
    const servers = [await startBuiltIn({ datastore }), await startBuiltIn({ datastore })] as const
    await limitConfigMaps(servers[0], 7)
    await expect.poll(() => usedOf(servers[1])).toBe('0')
    const names = Array.from({ length: 40 }, (_, index) => `c${index}`)
    const creates = names.map((name, index) => servers[index % 2 === 0 ? 0 : 1].client.resource(configmaps).create(configMap(name)))
    const results = await Promise.allSettled(creates)
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(7)
    for (const result of results) {
      if (result.status === 'fulfilled') continue
      expect(result.reason).toMatchObject({ code: 403, message: expect.stringContaining('exceeded quota: q') as string })
    }
    const { items } = await datastore.list({
      start: Buffer.from('/registry/configmaps/default/'),
      end: Buffer.from('/registry/configmaps/default0'),
    })
    expect(items).toHaveLength(7)
    await expect.poll(() => usedOf(servers[0])).toBe('7')
  })

  it('stays charged for a create that fails later, until it is counted again', async () => {
    const server = await startBuiltIn()
    await limitConfigMaps(server, 2)
    const create = () => server.client.resource(configmaps).create(configMap('a'))
    await create()
    await expect(create()).rejects.toMatchObject({ code: 409 })
    expect([await usedOf(server), await countOf(server)]).toEqual(['2', 1])
    const other = server.client.resource(configmaps).create(configMap('b'))
    await expect(other).rejects.toMatchObject({ message: expect.stringContaining('used: count/configmaps=2') as string })
  })

  it('is not charged for what is refused or tried', async () => {
    const server = await startBuiltIn()
    await limitConfigMaps(server, 1)
    await expect(server.client.resource(configmaps).create(configMap('Bad'))).rejects.toMatchObject({ code: 422 })
    await server.client.resource(configmaps).create(configMap('a'), { dryRun: true })
    expect([await usedOf(server), await countOf(server)]).toEqual(['0', 0])
  })
})
