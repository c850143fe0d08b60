import { type CertificateSigningRequest, certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import { type Namespace, namespaces, type Pod, pods } from '@k3s/api/types/core/v1'
import { clusterrolebindings, clusterroles } from '@k3s/api/types/rbac/v1'
import { createClient } from '@k3s/client'
import { createCertificateRequest, generateKey } from '@k3s/pki'
import { describe, expect, it } from 'vitest'
import type { UserInfo } from '../src/index.ts'
import { send, startCluster } from './start-cluster.ts'
import type { TestServer } from './start-server.ts'

const inDefault = { namespace: 'default' }

describe('pods/resize', () => {
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '200m' } }
  const startPod = async (): Promise<{ readonly cluster: TestServer; readonly pod: Pod }> => {
    const cluster = await startCluster()
    const pod: Pod = {
      metadata: { name: 'web', namespace: 'default' },
      spec: { containers: [{ name: 'main', image: 'nginx', resources }] },
    }
    return { cluster, pod: await cluster.client.resource(pods).create(pod) }
  }
  const resize = ({ client }: TestServer, container: object): Promise<Pod> =>
    client
      .resource(pods)
      .patch('web', { spec: { containers: [{ name: 'main', ...container }] } }, { ...inDefault, subresource: 'resize', type: 'strategic' })

  it('changes resources and nothing else, and counts as a change of the spec', async () => {
    const { cluster } = await startPod()
    const resized = await resize(cluster, { image: 'other', resources: { requests: { cpu: '150m' }, limits: { cpu: '300m' } } })
    const expected = {
      metadata: { generation: 2 },
      spec: { containers: [{ image: 'nginx', resources: { requests: { cpu: '150m', memory: '64Mi' }, limits: { cpu: '300m' } } }] },
    }
    expect(resized).toMatchObject(expected)
    expect(await cluster.client.resource(pods).get('web', inDefault)).toMatchObject(expected)
  })

  it('is the only way to change them', async () => {
    const { cluster, pod } = await startPod()
    const [container] = pod.spec.containers
    const changed = { ...pod, spec: { ...pod.spec, containers: [{ ...container, name: 'main', resources: { requests: { cpu: '1m' } } }] } }
    await expect(cluster.client.resource(pods).update(changed)).rejects.toMatchObject({ code: 422 })
  })

  it.each([
    [
      'another QoS class',
      { resources: { requests: { cpu: '200m', memory: '64Mi' }, limits: { cpu: '200m', memory: '64Mi' } } },
      'Pod QOS Class may not change as a result of resizing',
    ],
    ['a request that goes', { resources: { requests: { memory: null } } }, 'resource requests cannot be removed'],
    ['other resources', { resources: { requests: { 'ephemeral-storage': '1Gi' } } }, 'only cpu and memory resources are mutable'],
    ['more than the limit', { resources: { requests: { cpu: '1' } } }, 'must be less than or equal to cpu limit'],
  ])('refuses %s', async (_what, container, message) => {
    const { cluster } = await startPod()
    await expect(resize(cluster, container)).rejects.toMatchObject({ code: 422, message: expect.stringContaining(message) as string })
    expect(await cluster.client.resource(pods).get('web', inDefault)).toMatchObject({ spec: { containers: [{ resources }] } })
  })

  it('refuses containers that come, and versions that are old', async () => {
    const { cluster, pod } = await startPod()
    await expect(resize(cluster, { name: 'second', image: 'i' })).rejects.toMatchObject({
      code: 422,
      message: expect.stringContaining('containers may not be added or removed on resize') as string,
    })
    await resize(cluster, { resources: { requests: { cpu: '150m' } } })
    const path = '/api/v1/namespaces/default/pods/web/resize'
    await expect(send(cluster, { method: 'PUT', path }, { apiVersion: 'v1', kind: 'Pod', ...pod })).rejects.toMatchObject({ code: 409 })
  })
})

describe('certificatesigningrequests/approval', () => {
  const jane: UserInfo = { name: 'jane', groups: ['system:authenticated'] }
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests/c/approval'

  const startRequest = async (): Promise<{ readonly cluster: TestServer; readonly request: CertificateSigningRequest }> => {
    const cluster = await startCluster()
    const der = await createCertificateRequest(await generateKey(), { commonName: 'dev' })
    const lines = Buffer.from(der).toString('base64')
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`
    const request = await cluster.client.resource(certificatesigningrequests).create({
      metadata: { name: 'c' },
      spec: { signerName: 'example.com/a', request: Buffer.from(pem).toString('base64'), usages: ['client auth'] },
    })
    return { cluster, request }
  }
  const withCondition = (request: CertificateSigningRequest, type: string, spec = request.spec) => ({
    ...request,
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    spec,
    status: { conditions: [{ type, status: 'True', reason: 'Test' }] },
  })
  const approve = (cluster: TestServer, body: object, user?: UserInfo) =>
    send<CertificateSigningRequest>(cluster, { method: 'PUT', path, ...(user === undefined ? {} : { user }) }, body)

  it('adds a condition with its times and leaves the spec alone', async () => {
    const { cluster, request } = await startRequest()
    const approved = await approve(cluster, withCondition(request, 'Approved', { ...request.spec, signerName: 'example.com/b' }))
    const time = expect.stringMatching(/^\d{4}-.*Z$/) as string
    expect(approved).toMatchObject({
      spec: { signerName: 'example.com/a', username: 'admin' },
      status: { conditions: [{ type: 'Approved', lastUpdateTime: time, lastTransitionTime: time }] },
    })
  })

  it('is final', async () => {
    const { cluster, request } = await startRequest()
    const approved = await approve(cluster, withCondition(request, 'Approved'))
    await expect(approve(cluster, withCondition(approved, 'Denied'))).rejects.toMatchObject({
      code: 422,
      message: expect.stringContaining('updates may not remove a condition of type "Approved"') as string,
    })
  })

  it('does not go through the status', async () => {
    const { cluster, request } = await startRequest()
    const { status } = withCondition(request, 'Approved')
    const write = cluster.client.resource(certificatesigningrequests).update({ ...request, status }, { subresource: 'status' })
    await expect(write).rejects.toMatchObject({
      code: 422,
      message: expect.stringContaining('updates may not add a condition of type "Approved"') as string,
    })
  })

  it('needs the verb approve on the signer, besides the right to write', async () => {
    const { cluster, request } = await startRequest()
    const { client, server } = cluster
    const writer = { verbs: ['update'], apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests/approval'] }
    const role = await client.resource(clusterroles).create({ metadata: { name: 'approver' }, rules: [writer] })
    const apiGroup = 'rbac.authorization.k8s.io'
    await client.resource(clusterrolebindings).create({
      metadata: { name: 'approver' },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'approver' },
      subjects: [{ kind: 'User', name: 'jane', apiGroup }],
    })
    await expect(approve(cluster, withCondition(request, 'Approved'), jane)).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining('user not permitted to approve requests with signerName "example.com/a"') as string,
    })
    const signer = { verbs: ['approve'], apiGroups: ['certificates.k8s.io'], resources: ['signers'], resourceNames: ['example.com/*'] }
    await client.resource(clusterroles).update({ ...role, rules: [writer, signer] })
    await expect(approve(cluster, withCondition(request, 'Approved'), jane)).resolves.toMatchObject({
      status: { conditions: [{ type: 'Approved' }] },
    })
    await expect(createClient(server.transport(jane)).resource(certificatesigningrequests).get('c')).rejects.toMatchObject({ code: 403 })
  })
})

describe('namespaces/finalize', () => {
  const finalize = (cluster: TestServer, namespace: Namespace, finalizers: readonly string[]) =>
    send<Namespace>(
      cluster,
      { method: 'PUT', path: `/api/v1/namespaces/${namespace.metadata.name}/finalize` },
      { ...namespace, apiVersion: 'v1', kind: 'Namespace', spec: { finalizers } },
    )

  it('sets the finalizers of the spec, which a plain update cannot', async () => {
    const cluster = await startCluster()
    const resource = cluster.client.resource(namespaces)
    const created = await resource.create({ metadata: { name: 'a' }, spec: {} })
    const updated = await resource.update({ ...created, spec: { finalizers: [] } })
    expect(updated.spec).toEqual({ finalizers: ['kubernetes'] })
    expect((await finalize(cluster, updated, ['kubernetes', 'example.com/x'])).spec).toEqual({
      finalizers: ['kubernetes', 'example.com/x'],
    })
  })

  it('refuses names that are nobody’s', async () => {
    const cluster = await startCluster()
    const created = await cluster.client.resource(namespaces).create({ metadata: { name: 'a' }, spec: {} })
    await expect(finalize(cluster, created, ['mine'])).rejects.toMatchObject({
      code: 422,
      message: expect.stringContaining('name is neither a standard finalizer name nor is it fully qualified') as string,
    })
  })

  it('ends a namespace that is being deleted once the last one is gone', async () => {
    const cluster = await startCluster()
    const resource = cluster.client.resource(namespaces)
    await resource.create({ metadata: { name: 'a' }, spec: {} })
    await resource.delete('a')
    const terminating = await resource.get('a')
    expect(terminating.status?.phase).toBe('Terminating')
    const { resourceVersion: _old, ...metadata } = terminating.metadata
    await finalize(cluster, { ...terminating, metadata }, [])
    await expect(resource.get('a')).rejects.toMatchObject({ code: 404 })
  })
})
