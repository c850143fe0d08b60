import { configmaps } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { startServer } from '../../test/start-server.ts'

it('gives the same list until something of it changes', async () => {
  const { server, client } = await startServer()
  const create = (name: string): Promise<unknown> => client.resource(configmaps).create({ metadata: { name, namespace: 'default' } })
  const names = (): string[] => server.objects.list(configmaps, 'default').map(({ metadata }) => metadata.name)
  await create('a')
  const first = server.objects.list(configmaps, 'default')
  expect(server.objects.list(configmaps, 'default')).toBe(first)
  expect(server.objects.list(configmaps, 'other')).toEqual([])
  await create('b')
  await expect.poll(names).toEqual(['a', 'b'])
  expect(first).toHaveLength(1)
  await client.resource(configmaps).delete('a', { namespace: 'default' })
  await expect.poll(names).toEqual(['b'])
})
