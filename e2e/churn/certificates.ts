import { createCertificateRequest, generateKey } from '@k3s/pki'
import { newItem, step, type ClusterAction } from './planning.ts'
import type { Side } from './side.ts'

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests'

/** A certificate is asked for and approved or denied; of an approved one it waits until it is there. */
export const certificatesAction: ClusterAction = {
  weight: 2,
  plan(planner) {
    const item = newItem(planner, 'csr-')
    const decision = planner.random.next() < 0.7 ? 'Approved' : 'Denied'
    planner.after(
      10_000,
      step(item, 'delete CertificateSigningRequest', (side) => side.ask('DELETE', `${path}/${item.name}`)),
    )
    return step(item, `CertificateSigningRequest ${decision}`, (side) => request(side, item.name, decision))
  },
}

async function request(side: Side, name: string, decision: 'Approved' | 'Denied'): Promise<void> {
  const der = await createCertificateRequest(await generateKey(), { commonName: name, organizations: ['churn'] })
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  const made = await side.ask('POST', path, {
    metadata: { name },
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth', 'digital signature'],
    },
  })
  const condition = { type: decision, status: 'True', reason: 'Churn', message: 'decided by the plan' }
  await side.ask('PUT', `${path}/${name}/approval`, { ...made, status: { conditions: [condition] } })
  if (decision === 'Denied') return
  await side.until('a certificate', async () => {
    const { status } = await side.ask('GET', `${path}/${name}`)
    if ((status as { readonly certificate?: string } | undefined)?.certificate === undefined) throw new Error('no certificate yet')
  })
}
