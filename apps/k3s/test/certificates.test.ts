import { X509Certificate } from 'node:crypto'
import { certificatesigningrequests, type CertificateSigningRequest } from '@k3s/api/types/certificates/v1'
import { clusterroles } from '@k3s/api/types/rbac/v1'
import { builtInParts, createApiServer, SigningKeys, type ApiServer } from '@k3s/apiserver'
import { createInformerFactory, type Client } from '@k3s/client'
import { createControllers } from '@k3s/controllers'
import { openDatastore } from '@k3s/datastore'
import { runAll } from '@k3s/lifecycle'
import { createCa, createCertificateRequest, generateKey, type KeyPair } from '@k3s/pki'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { clientAs, clientAsController } from '../src/server/api-server.ts'

const soon = { timeout: 10_000, interval: 20 }

interface Cluster {
  readonly server: ApiServer
  readonly admin: Client
  readonly ca: KeyPair
}

/** An API server and the controllers, each as its own user: what they may not do, they cannot. */
async function startCluster(): Promise<Cluster> {
  const datastore = await openDatastore('memory:')
  const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: ['https://issuer'], baseUrl: 'https://127.0.0.1:6443' }
  const server = await createApiServer({ ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }), datastore })
  const ca = await createCa('client-ca')
  const manager = clientAs(server, 'system:kube-controller-manager')
  const informers = createInformerFactory(manager)
  const controllers = createControllers({
    informers,
    client: manager,
    clientFor: (name) => clientAsController(server, name),
    options: {
      certificateSigning: {
        cas: { 'kubernetes.io/kube-apiserver-client-kubelet': () => ca, 'kubernetes.io/kube-apiserver-client': () => ca },
      },
    },
  })
  const stop = new AbortController()
  const running = runAll([informers, controllers], stop.signal, () => {})
  onTestFinished(async () => {
    stop.abort()
    await running
    await server.close()
    await datastore[Symbol.asyncDispose]()
  })
  return { server, admin: clientAs(server, 'system:admin', ['system:masters']), ca }
}

async function requestOf(commonName: string, organizations: readonly string[], signerName: string): Promise<CertificateSigningRequest> {
  const der = await createCertificateRequest(await generateKey(), { commonName, organizations })
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  return {
    metadata: { name: `csr-${commonName.replaceAll(':', '-')}` },
    spec: { request: Buffer.from(pem).toString('base64'), signerName, usages: ['digital signature', 'client auth'] },
  }
}

async function certificateOf(client: Client, name: string): Promise<X509Certificate> {
  const encoded = await vi.waitFor(async () => {
    const { status } = await client.resource(certificatesigningrequests).get(name)
    expect(status?.certificate ?? '').not.toBe('')
    return status?.certificate ?? ''
  }, soon)
  return new X509Certificate(Buffer.from(encoded, 'base64'))
}

describe('certificate signing requests', () => {
  it('of nodes for themselves are approved and signed when a role says so', async () => {
    const { server, admin, ca } = await startCluster()
    const node = clientAs(server, 'system:node:a', ['system:nodes'])
    const request = await requestOf('system:node:a', ['system:nodes'], 'kubernetes.io/kube-apiserver-client-kubelet')
    await admin.transport.request({
      method: 'POST',
      path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
      body: {
        kind: 'ClusterRoleBinding',
        apiVersion: 'rbac.authorization.k8s.io/v1',
        metadata: { name: 'renew' },
        roleRef: {
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'ClusterRole',
          name: 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
        },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:nodes' }],
      },
    })
    await node.resource(certificatesigningrequests).create(request)
    const certificate = await certificateOf(admin, request.metadata.name)
    expect(certificate.subject).toBe('O=system:nodes\nCN=system:node:a')
    expect(certificate.verify(new X509Certificate(ca.cert).publicKey)).toBe(true)
    const { status } = await admin.resource(certificatesigningrequests).get(request.metadata.name)
    expect(status?.conditions).toMatchObject([
      { type: 'Approved', reason: 'AutoApproved', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.' },
    ])
  })

  it('of people wait for somebody to approve them', async () => {
    const { server, admin } = await startCluster()
    const request = await requestOf('ada', ['dev'], 'kubernetes.io/kube-apiserver-client')
    const made = await admin.resource(certificatesigningrequests).create(request)
    const approved = {
      ...made,
      status: { conditions: [{ type: 'Approved', status: 'True', reason: 'ByAdmin', message: 'yes' }] },
    }
    const stranger = clientAs(server, 'eve')
    await expect(stranger.resource(certificatesigningrequests).update(approved, { subresource: 'approval' })).rejects.toMatchObject({
      reason: 'Forbidden',
    })
    await admin.resource(certificatesigningrequests).update(approved, { subresource: 'approval' })
    expect((await certificateOf(admin, made.metadata.name)).subject).toBe('O=dev\nCN=ada')
  })

  it.each(['"system:masters"', 'system:masters'])('never make somebody a member of %s', async (group) => {
    const { admin } = await startCluster()
    const request = await requestOf('ada', [group], 'kubernetes.io/kube-apiserver-client')
    const made = admin.resource(certificatesigningrequests).create(request)
    if (group === 'system:masters') {
      await expect(made).rejects.toMatchObject({
        message: expect.stringContaining(
          'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
        ) as string,
      })
      return
    }
    const { metadata } = await made
    const conditions = [{ type: 'Approved', status: 'True', reason: 'ByAdmin' }]
    await admin.resource(certificatesigningrequests).update({ ...(await made), status: { conditions } }, { subresource: 'approval' })
    expect((await certificateOf(admin, metadata.name)).subject).not.toContain('O=system:masters')
  })
})

it('roles that are made of others follow them', async () => {
  const { admin } = await startCluster()
  await admin.resource(clusterroles).create({
    metadata: { name: 'cars', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
    rules: [{ apiGroups: ['example.com'], resources: ['cars'], verbs: ['get'] }],
  })
  const hasCars = async (name: string): Promise<boolean> =>
    (await admin.resource(clusterroles).get(name)).rules?.some(({ resources }) => resources?.includes('cars') === true) === true
  for (const name of ['view', 'edit', 'admin']) await vi.waitFor(async () => expect(await hasCars(name)).toBe(true), soon)
  await admin.resource(clusterroles).delete('cars')
  await vi.waitFor(async () => expect(await hasCars('admin')).toBe(false), soon)
})
