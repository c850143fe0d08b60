import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import { certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import { nodes, persistentvolumeclaims, persistentvolumes, pods, serviceaccounts, type Pod, type PodSpec } from '@k3s/api/types/core/v1'
import { clusterrolebindings, clusterroles } from '@k3s/api/types/rbac/v1'
import { csidrivers } from '@k3s/api/types/storage/v1'
import { createCertificateRequest, generateKey } from '@k3s/pki'
import { describe, expect, it } from 'vitest'
import { runAdmission } from '../../test/run-admission.ts'
import { stored, type Stored } from '../../test/strategy-runs.ts'
import type { UserInfo } from '../auth/auth.ts'
import { apiReferenceOf } from './mirror-pod-references.ts'

const user: UserInfo = { name: 'system:node:n1', groups: ['system:nodes'] }
const only = ['NodeRestriction']
const containers = [{ name: 'main', image: 'i' }]
const podOf = (spec: Partial<PodSpec>): Pod => ({
  metadata: { name: 'p', namespace: 'a', uid: 'u1' },
  spec: { nodeName: 'n1', containers, ...spec },
})

describe('a node that asks for a token', () => {
  const ask = (pod: Pod, audiences: readonly string[], others: readonly Stored[] = []) => {
    const body: TokenRequest = {
      metadata: { name: 'robot', namespace: 'a' },
      spec: { audiences: [...audiences], boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u1' } },
    }
    return runAdmission(serviceaccounts, body, { only, user, subresource: 'token', stored: [stored(pods, pod), ...others] })
  }
  const projected = (audience?: string): Partial<PodSpec> => ({
    volumes: [
      { name: 't', projected: { sources: [{ serviceAccountToken: { path: 't', ...(audience === undefined ? {} : { audience }) } }] } },
    ],
  })

  it('gets those that the pod’s volumes need', async () => {
    await expect(ask(podOf(projected()), [])).resolves.toBeDefined()
    await expect(ask(podOf(projected('vault')), ['vault'])).resolves.toBeDefined()
    const csi = podOf({ volumes: [{ name: 'v', csi: { driver: 'd' } }] })
    const driver = stored(csidrivers, { metadata: { name: 'd' }, spec: { tokenRequests: [{ audience: 'store' }] } })
    await expect(ask(csi, ['store'], [driver])).resolves.toBeDefined()
    const claimed = podOf({ volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] })
    const claim = stored(persistentvolumeclaims, { metadata: { name: 'c', namespace: 'a' }, spec: { volumeName: 'pv' } })
    const volume = stored(persistentvolumes, { metadata: { name: 'pv' }, spec: { csi: { driver: 'd', volumeHandle: 'h' } } })
    await expect(ask(claimed, ['store'], [driver, claim, volume])).resolves.toBeDefined()
    await expect(ask(claimed, ['other'], [driver, claim, volume])).rejects.toMatchObject({ code: 403 })
  })

  it('gets no others, unless a role says so', async () => {
    await expect(ask(podOf(projected()), ['vault'])).rejects.toMatchObject({
      code: 403,
      message:
        'serviceaccounts "robot" is forbidden: audience "vault" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience',
    })
    await expect(ask(podOf(projected()), ['a', 'b'])).rejects.toMatchObject({
      message: expect.stringContaining('node may only request 0 or 1 audiences') as string,
    })
    const apiGroup = 'rbac.authorization.k8s.io'
    const rights = [
      stored(clusterroles, {
        metadata: { name: 'r' },
        rules: [{ verbs: ['request-serviceaccounts-token-audience'], apiGroups: [''], resources: ['vault'] }],
      }),
      stored(clusterrolebindings, {
        metadata: { name: 'r' },
        roleRef: { apiGroup, kind: 'ClusterRole', name: 'r' },
        subjects: [{ kind: 'Group', name: 'system:nodes', apiGroup }],
      }),
    ]
    await expect(ask(podOf(projected()), ['vault'], rights)).resolves.toBeDefined()
  })
})

it('a node changes sizes and conditions of claims, and nothing else', async () => {
  const claim = (change: object, status: object = {}) => ({
    metadata: { name: 'c', namespace: 'a', resourceVersion: '1', ...change },
    spec: { volumeName: 'v' },
    status: { phase: 'Bound', ...status },
  })
  const update = (changed: ReturnType<typeof claim>) =>
    runAdmission(persistentvolumeclaims, changed, { only, user, subresource: 'status', old: claim({}) })
  await expect(update(claim({ resourceVersion: '' }, { capacity: { storage: '1Gi' } }))).resolves.toBeDefined()
  await expect(update(claim({ finalizers: ['a/b'] }))).rejects.toMatchObject({
    message: expect.stringContaining(
      'node "n1" is not allowed to update fields other than status.quantity and status.conditions',
    ) as string,
  })
  await expect(update(claim({}, { phase: 'Lost' }))).rejects.toMatchObject({ code: 403 })
})

it('a node does not choose where its configuration comes from', async () => {
  const node = (name: string) => ({
    metadata: { name: 'n1' },
    spec: { configSource: { configMap: { name, namespace: 'a', kubeletConfigKey: 'k' } } },
  })
  await expect(runAdmission(nodes, node('b'), { only, user, old: node('a') })).rejects.toMatchObject({
    message: 'nodes "n1" is forbidden: node "n1" is not allowed to update configSource to a new non-nil configSource',
  })
})

it('a node asks for certificates of its own name', async () => {
  const ask = async (commonName: string) => {
    const der = await createCertificateRequest(await generateKey(), { commonName, organizations: ['system:nodes'] })
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    const spec = { request: Buffer.from(pem).toString('base64'), signerName: 'kubernetes.io/kubelet-serving', usages: ['server auth'] }
    return runAdmission(certificatesigningrequests, { metadata: { name: 'c' }, spec }, { only, user })
  }
  await expect(ask('system:node:n1')).resolves.toBeDefined()
  await expect(ask('system:node:n2')).rejects.toMatchObject({
    message: 'certificatesigningrequests.certificates.k8s.io "c" is forbidden: can only create a node CSR with CN=system:node:n1',
  })
})

describe('apiReferenceOf()', () => {
  it.each<[Partial<PodSpec>, string | undefined]>([
    [{}, undefined],
    [
      {
        volumes: [
          { name: 'v', hostPath: { path: '/' } },
          { name: 'w', projected: { sources: [{ downwardAPI: {} }] } },
        ],
      },
      undefined,
    ],
    [{ serviceAccountName: 'x' }, 'serviceaccounts'],
    [{ imagePullSecrets: [{ name: 'x' }] }, 'secrets'],
    [{ volumes: [{ name: 'v', projected: { sources: [{ secret: { name: 'x' } }] } }] }, 'secrets'],
    [{ volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'x' } }] } }] }, 'configmaps'],
    [
      { volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 'x' } }] } }] },
      'serviceaccounts (via projected volumes)',
    ],
    [{ volumes: [{ name: 'v', csi: { driver: 'x' } }] }, 'csidrivers (via CSI volumes)'],
    [{ volumes: [{ name: 'v', ephemeral: {} }] }, 'persistentvolumeclaims (via ephemeral volumes)'],
    [{ ephemeralContainers: [{ name: 'e', env: [{ name: 'x', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }] }, 'secrets'],
  ])('of %j is %j', (spec, expected) => {
    expect(apiReferenceOf(podOf(spec))).toBe(expected)
  })
})
