import { configmaps, namespaces, secrets, serviceaccounts } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { createBootstrapTokenCleaner } from './bootstrap-token-cleaner.ts'
import { createRootCaPublisher } from './root-ca-publisher.ts'
import { createServiceAccountController } from './serviceaccount-controller.ts'
import { createTokenSecretController } from './token-secret-controller.ts'

const namespace = (name: string, phase = 'Active') => ({ metadata: { name }, spec: {}, status: { phase } })

describe('service account controllers', () => {
  it('keep the default account and the CA in every active namespace, and put them back', async () => {
    await using world = await startWorld((context) => [
      createServiceAccountController(context),
      createRootCaPublisher(context, { rootCa: 'PEM' }),
    ])
    world.server.put(namespaces, namespace('a'))
    world.server.put(namespaces, namespace('b', 'Terminating'))
    const map = (): unknown => world.server.peek(configmaps, 'a/kube-root-ca.crt')?.data
    await world.eventually(() => map() !== undefined && world.server.peek(serviceaccounts, 'a/default') !== undefined)
    await world.client.resource(serviceaccounts).delete('default', { namespace: 'a' })
    await world.client.resource(configmaps).patch('kube-root-ca.crt', { data: { x: 'y' } }, { type: 'merge', namespace: 'a' })
    await world.eventually(() => world.server.peek(serviceaccounts, 'a/default') !== undefined)
    await world.eventually(() => JSON.stringify(map()) === '{"ca.crt":"PEM"}')
    await world.quiet()
    expect(world.server.all(serviceaccounts)).toHaveLength(1)
    expect(world.server.all(configmaps)).toHaveLength(1)
  })

  it('fill a token Secret and delete it with its account', async () => {
    await using world = await startWorld((context) => [
      createTokenSecretController(context, { rootCa: 'PEM', signToken: async ({ metadata }) => `token of ${metadata.name}` }),
    ])
    world.server.put(serviceaccounts, { metadata: { name: 'robot', namespace: 'a' } })
    await world.client.resource(secrets).create({
      metadata: { name: 's', namespace: 'a', annotations: { 'kubernetes.io/service-account.name': 'robot' } },
      type: 'kubernetes.io/service-account-token',
    })
    const filled = await world.eventually(() => {
      const secret = world.server.peek(secrets, 'a/s')
      return secret?.data === undefined ? undefined : secret
    })
    const plain = Object.fromEntries(
      Object.entries(filled.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    )
    expect(plain).toEqual({ 'ca.crt': 'PEM', namespace: 'a', token: 'token of robot' })
    expect(filled.metadata.annotations?.['kubernetes.io/service-account.uid']).toBe(
      world.server.peek(serviceaccounts, 'a/robot')?.metadata.uid,
    )
    await world.client.resource(serviceaccounts).delete('robot', { namespace: 'a' })
    await world.eventually(() => world.server.all(secrets).length === 0)
  })

  it('delete bootstrap tokens that have expired, and no others', async () => {
    await using world = await startWorld((context) => [createBootstrapTokenCleaner(context)])
    const token = (name: string, expiration: string): void => {
      const data = { expiration: Buffer.from(expiration).toString('base64') }
      world.server.put(secrets, { metadata: { name, namespace: 'kube-system' }, type: 'bootstrap.kubernetes.io/token', data })
    }
    token('old', '2020-01-01T00:00:00Z')
    token('new', '2999-01-01T00:00:00Z')
    await world.eventually(() => world.server.peek(secrets, 'kube-system/old') === undefined)
    await world.quiet()
    expect(world.server.peek(secrets, 'kube-system/new')).toBeDefined()
  })
})
