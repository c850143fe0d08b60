import { componentstatuses } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { startBuiltIn } from './start-cluster.ts'

it('component statuses are those of the parts, asked now', async () => {
  let isHealthy = true
  const { client, server } = await startBuiltIn({
    componentChecks: {
      scheduler: async () => ({ isHealthy, message: isHealthy ? 'ok' : 'lost' }),
      'controller-manager': () => Promise.reject(new Error('connection refused')),
    },
  })
  const items = async (): Promise<unknown[]> =>
    (await client.resource(componentstatuses).list()).items.map(({ metadata, conditions }) => [metadata.name, ...(conditions ?? [])])
  expect(await items()).toEqual([
    ['controller-manager', { type: 'Healthy', status: 'Unknown', error: 'connection refused' }],
    ['etcd-0', { type: 'Healthy', status: 'True', message: 'ok' }],
    ['scheduler', { type: 'Healthy', status: 'True', message: 'ok' }],
  ])
  isHealthy = false
  expect((await client.resource(componentstatuses).get('scheduler')).conditions?.[0]).toMatchObject({ status: 'False', message: 'lost' })
  expect((await client.resource(componentstatuses).list({ fieldSelector: 'metadata.name=etcd-0' })).items).toHaveLength(1)
  await expect(client.resource(componentstatuses).get('x')).rejects.toMatchObject({ message: 'componentstatus "x" not found' })
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
  const path = '/api/v1/componentstatuses'
  const anonymous = await server.inject({ method: 'GET', url: path, headers: { accept } })
  expect(anonymous.statusCode).toBe(403)
})
