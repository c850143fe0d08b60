import { type CertificateSigningRequest, certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import { clusterrolebindings, clusterroles } from '@k3s/api/types/rbac/v1'
import { createCertificateRequest, generateKey } from '@k3s/pki'
import { describe, expect, it } from 'vitest'
import { runAdmission } from '../../test/run-admission.ts'
import { stored, type Stored } from '../../test/strategy-runs.ts'

const apiGroup = 'rbac.authorization.k8s.io'

/** Jane holds these verbs on the signers. */
const signerRights = (verbs: readonly string[], resourceNames: readonly string[]): readonly Stored[] => [
  stored(clusterroles, {
    metadata: { name: 'signer' },
    rules: [{ verbs: [...verbs], apiGroups: ['certificates.k8s.io'], resources: ['signers'], resourceNames: [...resourceNames] }],
  }),
  stored(clusterrolebindings, {
    metadata: { name: 'signer' },
    roleRef: { apiGroup, kind: 'ClusterRole', name: 'signer' },
    subjects: [{ kind: 'User', name: 'jane', apiGroup }],
  }),
]

/** A certificate request for these organizations, in PEM and base64. */
const requestOf = async (...organizations: readonly string[]): Promise<string> => {
  const der = await createCertificateRequest(await generateKey(), { commonName: 'ada', organizations })
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  return Buffer.from(pem).toString('base64')
}

const csr = (signerName: string, status: CertificateSigningRequest['status'] = {}, request = ''): CertificateSigningRequest => ({
  metadata: { name: 'c' },
  spec: { signerName, request, usages: ['client auth'] },
  status,
})
const approved = { conditions: [{ type: 'Approved', status: 'True' }] }

describe('CertificateApproval', () => {
  const approve = (signer: string, rights: readonly Stored[], subresource = 'approval') =>
    runAdmission(certificatesigningrequests, csr(signer, approved), {
      only: ['CertificateApproval'],
      old: csr(signer),
      subresource,
      stored: rights,
    })

  it('asks for the verb approve on the signer or its whole domain', async () => {
    await expect(approve('example.com/a', signerRights(['approve'], ['example.com/a']))).resolves.toBeDefined()
    await expect(approve('example.com/a', signerRights(['approve'], ['example.com/*']))).resolves.toBeDefined()
    for (const rights of [signerRights(['sign'], ['example.com/a']), signerRights(['approve'], ['example.com/b'])]) {
      await expect(approve('example.com/a', rights)).rejects.toMatchObject({
        code: 403,
        message:
          'certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to approve requests with signerName "example.com/a"',
      })
    }
  })

  it('leaves other writes alone', async () => {
    await expect(approve('example.com/a', [], 'status')).resolves.toBeDefined()
  })
})

describe('CertificateSigning', () => {
  const write = (status: CertificateSigningRequest['status'], rights: readonly Stored[]) =>
    runAdmission(certificatesigningrequests, csr('example.com/a', status), {
      only: ['CertificateSigning'],
      old: csr('example.com/a'),
      subresource: 'status',
      stored: rights,
    })

  it('asks for the verb sign of those who issue or fail', async () => {
    const message = expect.stringContaining('user not permitted to sign requests with signerName "example.com/a"') as string
    for (const status of [{ certificate: 'Yw==' }, { conditions: [{ type: 'Failed', status: 'True' }] }]) {
      await expect(write(status, signerRights(['approve'], ['example.com/a']))).rejects.toMatchObject({ code: 403, message })
      await expect(write(status, signerRights(['sign'], ['example.com/a']))).resolves.toBeDefined()
    }
  })

  it('asks nothing of a write that changes neither', async () => {
    await expect(write({ conditions: [] }, [])).resolves.toBeDefined()
  })
})

describe('CertificateSubjectRestriction', () => {
  const create = async (signer: string, ...organizations: readonly string[]) =>
    runAdmission(certificatesigningrequests, csr(signer, {}, await requestOf(...organizations)), {
      only: ['CertificateSubjectRestriction'],
    })

  it('gives nobody a client certificate of system:masters', async () => {
    await expect(create('kubernetes.io/kube-apiserver-client', 'dev', 'system:masters')).rejects.toMatchObject({
      code: 403,
      message:
        'certificatesigningrequests.certificates.k8s.io "c" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
    })
    await expect(create('kubernetes.io/kube-apiserver-client', 'dev')).resolves.toBeDefined()
    await expect(create('example.com/a', 'system:masters')).resolves.toBeDefined()
  })

  it('gives nothing for what it cannot read', async () => {
    const odd = csr('kubernetes.io/kube-apiserver-client', {}, Buffer.from('no request').toString('base64'))
    await expect(runAdmission(certificatesigningrequests, odd, { only: ['CertificateSubjectRestriction'] })).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining('failed to parse CSR: PEM block type must be CERTIFICATE REQUEST') as string,
    })
  })
})
