import { services } from '@k3s/api/types/core/v1'
import { builtInParts, createApiServer, SigningKeys } from '@k3s/apiserver'
import { createClient } from '@k3s/client'
import { openDatastore } from '@k3s/datastore'
import { generateKey } from '@k3s/pki'
import { expect, it, onTestFinished } from 'vitest'
import { ensureDnsService } from './dns-service.ts'

it('leaves a DNS Service that is there, as after a restart', async () => {
  const datastore = await openDatastore('memory:')
  const serviceAccounts = {
    keys: new SigningKeys([await generateKey()]),
    issuers: ['https://issuer.example'],
    baseUrl: 'https://127.0.0.1:6443',
  }
  const server = await createApiServer({ ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }), datastore })
  onTestFinished(async () => {
    await server.close()
    await datastore[Symbol.asyncDispose]()
  })
  const client = createClient(server.transport({ name: 'admin', groups: ['system:masters'] }))
  const { signal } = new AbortController()
  await ensureDnsService(client, '10.43.0.10', signal)
  const first = await client.resource(services).get('kube-dns', { namespace: 'kube-system' })
  expect(first.spec.clusterIP).toBe('10.43.0.10')
  await ensureDnsService(client, '10.43.0.10', signal)
  await ensureDnsService(client, '10.43.0.20', signal)
  expect(await client.resource(services).get('kube-dns', { namespace: 'kube-system' })).toEqual(first)
})
