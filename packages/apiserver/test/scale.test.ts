import type { KubernetesObject } from '@k3s/api'
import { type Deployment, deployments } from '@k3s/api/types/apps/v1'
import { createClient } from '@k3s/client'
import { describe, expect, it } from 'vitest'
import { startBuiltIn } from './start-cluster.ts'
import { admin, type TestServer } from './start-server.ts'

const path = '/apis/apps/v1/namespaces/default/deployments/d'
const deployment: Deployment = {
  metadata: { name: 'd', namespace: 'default' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'a' } },
    template: { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  },
}

async function startScaled(): Promise<TestServer> {
  const cluster = await startBuiltIn()
  await cluster.client.resource(deployments).create(deployment)
  return cluster
}

async function patch({ server }: TestServer, at: string, contentType: string, body: object): Promise<KubernetesObject> {
  const [target = '', parameters = ''] = at.split('?')
  const query = Object.fromEntries(new URLSearchParams(parameters))
  const request = { method: 'PATCH', path: target, query, contentType, body } as const
  const { body: answer } = await createClient(server.transport(admin)).transport.request(request)
  return answer as KubernetesObject // as the server sent it
}

const apply = (cluster: TestServer, query: string, replicas: number): Promise<KubernetesObject> =>
  patch(cluster, `${path}/scale?${query}`, 'application/apply-patch+yaml', {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'd' },
    spec: { replicas },
  })

/** Who owns the replicas. */
async function owners({ client }: TestServer): Promise<object[]> {
  const { metadata } = await client.resource(deployments).get('d', { namespace: 'default' })
  return (metadata.managedFields ?? [])
    .filter(({ fieldsV1 }) => JSON.stringify(fieldsV1).includes('f:replicas'))
    .map(({ manager, operation, subresource, apiVersion }) => ({ manager, operation, subresource, apiVersion }))
}

describe('an applied scale', () => {
  it('conflicts with who owns the replicas, and takes them when forced to', async () => {
    const cluster = await startScaled()
    await expect(apply(cluster, 'fieldManager=hpa', 3)).rejects.toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: expect.stringMatching(
        /^Apply failed with 1 conflict: conflict with ".*" using autoscaling\/v1: \.spec\.replicas$/,
      ) as string,
    })
    expect(await apply(cluster, 'fieldManager=hpa&force=true', 3)).toMatchObject({ spec: { replicas: 3 } })
    expect(await owners(cluster)).toEqual([{ manager: 'hpa', operation: 'Apply', subresource: 'scale', apiVersion: 'apps/v1' }])
  })

  it('leaves none where its manager gives the replicas up', async () => {
    const cluster = await startScaled()
    await apply(cluster, 'fieldManager=hpa&force=true', 3)
    const given = await patch(cluster, `${path}/scale?fieldManager=hpa`, 'application/apply-patch+yaml', {
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name: 'd' },
    })
    expect(given).toMatchObject({ spec: {} })
    expect(await owners(cluster)).toEqual([])
  })

  it('needs a manager', async () => {
    await expect(apply(await startScaled(), '', 3)).rejects.toMatchObject({ code: 422 })
  })
})

describe('a patched scale', () => {
  it('belongs to who patched it', async () => {
    const cluster = await startScaled()
    await patch(cluster, `${path}/scale?fieldManager=me`, 'application/merge-patch+json', { spec: { replicas: 5 } })
    expect(await owners(cluster)).toEqual([{ manager: 'me', operation: 'Update', subresource: 'scale', apiVersion: 'apps/v1' }])
  })

  it('is of the object that it names', async () => {
    const cluster = await startScaled()
    const merge = (at: string, body: object): Promise<unknown> => patch(cluster, at, 'application/merge-patch+json', body)
    await expect(merge(`${path}/scale`, { metadata: { uid: 'other' } })).rejects.toMatchObject({
      code: 409,
      message: expect.stringContaining(
        'Operation cannot be fulfilled on deployments/scale.apps "d": Precondition failed: UID in precondition: other',
      ) as string,
    })
    await expect(merge(`${path}x/scale`, { spec: { replicas: 1 } })).rejects.toMatchObject({
      code: 404,
      message: 'deployments.apps "dx" not found',
    })
  })
})
