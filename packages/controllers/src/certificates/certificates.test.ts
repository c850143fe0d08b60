import { X509Certificate } from 'node:crypto'
import { certificatesigningrequests, type CertificateSigningRequest } from '@k3s/api/types/certificates/v1'
import { FakeClock } from '@k3s/lifecycle'
import { createCa, createCertificateRequest, generateKey, readCertificate, type CertificateRequestInfo } from '@k3s/pki'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { recognize } from './approving-controller.ts'
import { createCertificateCleanerController } from './cleaner-controller.ts'
import { endOf, signerProblem, validityOf, type SignerName } from './request-rules.ts'
import { createCertificateSigningController } from './signing-controller.ts'

const hour = 3_600_000
const nodeUsages = ['digital signature', 'key encipherment', 'client auth']

interface Asked {
  readonly commonName?: string
  readonly organizations?: readonly string[]
  readonly sans?: readonly string[]
}

async function requestOf(asked: Asked, spec: Partial<CertificateSigningRequest['spec']> = {}): Promise<CertificateSigningRequest> {
  const der = await createCertificateRequest(await generateKey(), { commonName: asked.commonName ?? 'system:node:a', ...asked })
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  return {
    metadata: { name: 'r', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
      usages: nodeUsages,
      username: 'system:node:a',
      ...spec,
    },
  }
}

const approved = (request: CertificateSigningRequest): CertificateSigningRequest => ({
  ...request,
  status: { conditions: [{ type: 'Approved', status: 'True', reason: 'ByMe', lastUpdateTime: '2026-01-01T00:00:00Z' }] },
})

const names: CertificateRequestInfo = {
  commonName: 'system:node:a',
  organizations: ['system:nodes'],
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
}

describe('signerProblem()', () => {
  const client = 'kubernetes.io/kube-apiserver-client-kubelet'
  const serving = 'kubernetes.io/kubelet-serving'
  const serverUsages = ['digital signature', 'server auth']
  it.each<[SignerName, Partial<CertificateRequestInfo>, readonly string[], string | undefined]>([
    [client, {}, nodeUsages, undefined],
    [client, {}, ['client auth', 'digital signature'], undefined],
    [client, {}, ['client auth'], 'usages did not match [client auth digital signature key encipherment]'],
    [client, { organizations: ['system:nodes', 'system:masters'] }, nodeUsages, 'subject organization is not system:nodes'],
    [client, { dnsNames: ['a'] }, nodeUsages, 'DNS subjectAltNames are not allowed'],
    [client, { commonName: 'a' }, nodeUsages, 'subject common name does not begin with system:node:'],
    [serving, { dnsNames: ['a'] }, serverUsages, undefined],
    [serving, {}, serverUsages, 'DNS or IP subjectAltName is required'],
    [serving, { dnsNames: ['a'], uris: ['x'] }, serverUsages, 'URI subjectAltNames are not allowed'],
    ['kubernetes.io/kube-apiserver-client', {}, ['client auth'], undefined],
    ['kubernetes.io/kube-apiserver-client', {}, ['server auth'], 'invalid usage for client certificate: server auth'],
    ['kubernetes.io/kube-apiserver-client', {}, ['digital signature'], 'missing required usage for client certificate: client auth'],
    ['kubernetes.io/legacy-unknown', {}, ['any'], undefined],
  ])('of %s with %j and %j is %j', (signer, change, usages, expected) => {
    expect(signerProblem(signer, { ...names, ...change }, usages)).toBe(expected)
  })
})

describe('validityOf()', () => {
  const now = Date.parse('2026-01-01T12:00:00Z')
  it.each([
    [undefined, '2026-01-02T11:55:00.000Z'],
    [1, '2026-01-01T12:10:00.000Z'],
    [3600, '2026-01-01T13:00:00.000Z'],
    [9 * 3600, '2026-01-01T20:55:00.000Z'],
    [1_000_000, '2026-01-02T11:55:00.000Z'],
  ])('begins five minutes ago and, for %j seconds, ends at %s', (seconds, end) => {
    const { notBefore, notAfter } = validityOf(seconds, 24 * hour, now)
    expect(notBefore.toISOString()).toBe('2026-01-01T11:55:00.000Z')
    expect(notAfter.toISOString()).toBe(end)
  })
})

describe('endOf()', () => {
  const made = Date.parse('2026-01-01T00:00:00Z')
  const plain: CertificateSigningRequest = {
    metadata: { name: 'r', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { request: '', signerName: 'x/y' },
  }
  const withCondition = (type: string, certificate?: string): CertificateSigningRequest => ({
    ...plain,
    status: {
      conditions: [{ type, status: 'True', lastUpdateTime: '2026-01-01T00:00:00Z' }],
      ...(certificate === undefined ? {} : { certificate }),
    },
  })
  it('is a day for what waits, an hour for what is done, and when the certificate ends', () => {
    expect(endOf(plain, undefined)).toBe(made + 24 * hour)
    expect(endOf(withCondition('Denied'), undefined)).toBe(made + hour)
    expect(endOf(withCondition('Failed'), undefined)).toBe(made + hour)
    expect(endOf(withCondition('Approved'), undefined)).toBe(made + 24 * hour)
    expect(endOf(withCondition('Approved', 'x'), undefined)).toBe(made + hour)
    expect(endOf(withCondition('Approved', 'x'), made + 60_000)).toBe(made + 60_000)
    expect(endOf(withCondition('Other'), undefined)).toBeUndefined()
  })
})

describe('recognize()', () => {
  it('knows nodes that ask for themselves, and those that are asked for', async () => {
    const organizations = ['system:nodes']
    const kinds = (request: CertificateSigningRequest): string[] => recognize(request).map(({ subresource }) => subresource)
    expect(kinds(await requestOf({ organizations }))).toEqual(['selfnodeclient', 'nodeclient'])
    expect(kinds(await requestOf({ organizations }, { username: 'system:bootstrap:abcdef' }))).toEqual(['nodeclient'])
    expect(kinds(await requestOf({ organizations: ['system:masters'] }))).toEqual([])
    expect(kinds(await requestOf({ organizations }, { signerName: 'kubernetes.io/kube-apiserver-client' }))).toEqual([])
    expect(kinds(await requestOf({ organizations }, { request: 'AAAA' }))).toEqual([])
  })
})

describe('the signing controller', () => {
  it('signs what is approved, and only that', async () => {
    const ca = await createCa('client-ca')
    const request = await requestOf({ organizations: ['system:nodes'] }, { expirationSeconds: 3600 })
    await using world = await startWorld((context) => [
      createCertificateSigningController(context, { cas: { 'kubernetes.io/kube-apiserver-client-kubelet': () => ca } }),
    ])
    world.server.put(certificatesigningrequests, { ...request, metadata: { name: 'waiting' } })
    world.server.put(certificatesigningrequests, { ...approved(request), metadata: { name: 'approved' } })
    const other = approved({ ...request, spec: { ...request.spec, signerName: 'kubernetes.io/kubelet-serving' } })
    world.server.put(certificatesigningrequests, { ...other, metadata: { name: 'without-ca' } })
    const pem = await world.eventually(() => world.server.peek(certificatesigningrequests, 'approved')?.status?.certificate)
    const certificate = Buffer.from(pem, 'base64').toString()
    expect(readCertificate(certificate)).toMatchObject({ commonName: 'system:node:a', organizations: ['system:nodes'] })
    expect(new X509Certificate(certificate).verify(new X509Certificate(ca.cert).publicKey)).toBe(true)
    await world.quiet()
    expect(world.server.peek(certificatesigningrequests, 'waiting')?.status?.certificate).toBeUndefined()
    expect(world.server.peek(certificatesigningrequests, 'without-ca')?.status).toEqual(other.status)
  })

  it('says why it does not sign', async () => {
    const ca = await createCa('client-ca')
    await using world = await startWorld((context) => [
      createCertificateSigningController(context, { cas: { 'kubernetes.io/kube-apiserver-client-kubelet': () => ca } }),
    ])
    world.server.put(certificatesigningrequests, approved(await requestOf({ organizations: ['system:masters'] })))
    const conditions = await world.eventually(() => {
      const found = world.server.peek(certificatesigningrequests, 'r')?.status?.conditions
      return found?.length === 2 ? found : undefined
    })
    expect(conditions[1]).toMatchObject({
      type: 'Failed',
      status: 'True',
      reason: 'SignerValidationFailure',
      message: 'subject organization is not system:nodes',
    })
    await world.quiet()
    expect(world.server.peek(certificatesigningrequests, 'r')?.status?.certificate).toBeUndefined()
  })
})

describe('the cleaner', () => {
  it('deletes requests when their time has come', async () => {
    const clock = new FakeClock(Date.parse('2026-01-01T00:00:00Z'))
    const request = await requestOf({})
    await using world = await startWorld((context) => [createCertificateCleanerController(context)], { clock })
    world.server.put(certificatesigningrequests, request)
    world.server.put(certificatesigningrequests, { ...approved(request), metadata: { name: 'old' } })
    await world.quiet()
    await clock.advance(23 * hour)
    expect(world.server.all(certificatesigningrequests)).toHaveLength(2)
    await clock.advance(hour + 1)
    await world.eventually(() => world.server.all(certificatesigningrequests).length === 0)
  })
})
