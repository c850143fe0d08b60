import { jobs } from '@k3s/api/types/batch/v1'
import { namespaces, persistentvolumeclaims, pods, serviceaccounts, services } from '@k3s/api/types/core/v1'
import { roles } from '@k3s/api/types/rbac/v1'
import { csinodes } from '@k3s/api/types/storage/v1'
import { generateKey } from '@k3s/pki'
import { describe, expect, it } from 'vitest'
import { builtInParts, SigningKeys, staticTokenAuthenticator } from '../src/index.ts'
import { issuer, startCluster } from './start-cluster.ts'
import { startServer } from './start-server.ts'

const at = { namespace: 'default' }
const containers = [{ name: 'main', image: 'nginx:1' }]

describe('objects that are stored without their last defaults', () => {
  it('have them from the beginning, and are written by the first update that changes nothing', async () => {
    const { client, datastore } = await startCluster()
    const storedPhase = async (): Promise<boolean> =>
      Buffer.from((await datastore.get(Buffer.from('/registry/persistentvolumeclaims/default/c'))).item?.value ?? []).includes('"phase"')
    const claims = client.resource(persistentvolumeclaims)
    const created = await claims.create({
      metadata: { name: 'c', ...at },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    })
    expect([created.status?.phase, (await claims.get('c', at)).status?.phase, await storedPhase()]).toEqual(['Pending', 'Pending', false])
    const updated = await claims.update(created)
    expect([updated.metadata.resourceVersion === created.metadata.resourceVersion, await storedPhase()]).toEqual([false, true])
    expect((await claims.update(updated)).metadata.resourceVersion).toBe(updated.metadata.resourceVersion)
  })

  it('are jobs without labels, which have those of their pods', async () => {
    const { client } = await startCluster()
    const created = await client
      .resource(jobs)
      .create({ metadata: { name: 'j', ...at }, spec: { template: { spec: { containers, restartPolicy: 'Never' } } } })
    expect(created.metadata.labels).toEqual(created.spec.template.metadata?.labels)
    const updated = await client.resource(jobs).update(created)
    expect(updated.metadata.resourceVersion).not.toBe(created.metadata.resourceVersion)
    expect((await client.resource(jobs).update(updated)).metadata.resourceVersion).toBe(updated.metadata.resourceVersion)
  })
})

describe('what is nothing', () => {
  it('is null on the wire, empty in process, and owned by who wrote it', async () => {
    const cluster = await startServer(
      builtInParts({
        serviceCidrs: ['10.43.0.0/16'],
        serviceAccounts: { keys: new SigningKeys([await generateKey()]), issuers: [issuer], baseUrl: 'https://127.0.0.1:6443' },
        tokens: [staticTokenAuthenticator('t,admin,,"system:masters"')],
      }),
    )
    await cluster.client.resource(serviceaccounts).create({ metadata: { name: 'default', ...at } })
    const answerOf = async (url: string): Promise<unknown> =>
      (await cluster.server.inject({ method: 'GET', url, headers: { authorization: 'Bearer t' } })).json()
    const role = await cluster.client.resource(roles).create({ metadata: { name: 'r', ...at }, rules: [] })
    expect(role.rules).toEqual([])
    const node = await cluster.client.resource(csinodes).create({ metadata: { name: 'n' }, spec: { drivers: [] } })
    expect(node.spec.drivers).toEqual([])
    await cluster.client.resource(pods).create({ metadata: { name: 'p', ...at }, spec: { containers } })
    const conditions = [{ type: 'Ready', status: 'True' }]
    const pod = await cluster.client.resource(pods).patch('p', { status: { conditions } }, { ...at, type: 'merge', subresource: 'status' })
    expect(pod.status?.conditions).toEqual(conditions)
    expect(JSON.stringify(pod.metadata.managedFields)).toContain(
      '"k:{\\"type\\":\\"Ready\\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}',
    )
    expect(await answerOf('/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/r')).toMatchObject({ rules: null })
    expect(await answerOf('/apis/storage.k8s.io/v1/csinodes')).toMatchObject({ items: [{ spec: { drivers: null } }] })
    expect(await answerOf('/api/v1/namespaces/default/pods/p/resize')).toMatchObject({
      status: { conditions: [{ ...conditions[0], lastProbeTime: null, lastTransitionTime: null }] },
    })
  })
})

describe('views of pods', () => {
  it('have owners of their own', async () => {
    const { client } = await startCluster()
    await client.resource(pods).create({ metadata: { name: 'p', ...at }, spec: { containers } })
    const patch = { spec: { containers: [{ name: 'main', image: 'other' }], ephemeralContainers: [{ name: 'debug', image: 'busybox' }] } }
    const pod = await client.resource(pods).patch('p', patch, { ...at, type: 'strategic', subresource: 'ephemeralcontainers' })
    expect(pod.spec.containers[0]?.image).toBe('nginx:1')
    expect(pod.metadata.generation).toBe(2)
    const owner = pod.metadata.managedFields?.find(({ subresource }) => subresource === 'ephemeralcontainers')
    // Of what the request says, not of what became of it: as upstream.
    expect(Object.keys((owner?.fieldsV1 as { 'f:spec'?: object } | undefined)?.['f:spec'] ?? {})).toEqual([
      'f:containers',
      'f:ephemeralContainers',
    ])
    await expect(
      client
        .resource(pods)
        .patch(
          'p',
          { spec: { ephemeralContainers: [{ name: 'main', image: 'busybox' }] } },
          { ...at, type: 'strategic', subresource: 'ephemeralcontainers' },
        ),
    ).rejects.toMatchObject({ reason: 'Invalid' })
  })
})

describe('dry runs of services', () => {
  it('may ask for any node port that is free', async () => {
    const { client } = await startCluster()
    const of = (name: string, nodePort: number) => ({
      metadata: { name, ...at },
      spec: { type: 'NodePort', ports: [{ port: 80, nodePort }] },
    })
    await client.resource(services).create(of('a', 31234))
    const dryRun = { dryRun: true }
    expect((await client.resource(services).create(of('b', 99), dryRun)).spec.ports?.[0]?.nodePort).toBe(99)
    await expect(client.resource(services).create(of('b', 31234), dryRun)).rejects.toMatchObject({ reason: 'Invalid' })
    await expect(client.resource(services).create(of('b', 99))).rejects.toMatchObject({ reason: 'Invalid' })
  })
})

describe('finalizers of namespaces', () => {
  it('are a view of them, which other parts change with', async () => {
    const { client } = await startCluster()
    const created = await client.resource(namespaces).create({ metadata: { name: 'a' }, spec: { finalizers: ['example.com/a'] } })
    const changed = {
      ...created,
      metadata: { ...created.metadata, labels: { x: 'y' } },
      spec: { finalizers: ['example.com/b'] },
      status: {},
    }
    const finalized = await client.resource(namespaces).update(changed, { subresource: 'finalize' })
    expect(finalized).toMatchObject({
      metadata: { labels: { x: 'y' } },
      spec: { finalizers: ['example.com/b'] },
      status: { phase: 'Active' },
    })
    expect(finalized.metadata.managedFields?.some(({ subresource }) => subresource === 'finalize')).toBe(true)
    await expect(
      client.resource(namespaces).update({ ...finalized, spec: { finalizers: ['bad'] } }, { subresource: 'finalize' }),
    ).rejects.toMatchObject({ reason: 'Invalid' })
  })
})
