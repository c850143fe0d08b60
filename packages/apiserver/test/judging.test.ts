import { configmaps, namespaces } from '@k3s/api/types/core/v1'
import { StatusError } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import type { AdmissionPlugin } from '../src/index.ts'
import { startServer } from './start-server.ts'

describe('objects that judge other requests', () => {
  it('count from the answer to their write on', async () => {
    const plugin: AdmissionPlugin = {
      name: 'needs namespace',
      admit: ({ type, namespace, scope, operation }) => {
        if (operation === 'CREATE' && type.namespaced && scope.objects.get(namespaces, '', namespace) === undefined)
          throw new StatusError('NotFound', `no ${namespace}`)
      },
    }
    const { client } = await startServer({ admission: [plugin] })
    const names = Array.from({ length: 50 }, (_, index) => `n${index}`)
    const work = names.map(async (name) => {
      await client.resource(namespaces).create({ metadata: { name }, spec: {} })
      return client.resource(configmaps).create({ metadata: { name: 'a', namespace: name } })
    })
    expect(await Promise.all(work)).toHaveLength(50)
  })
})
