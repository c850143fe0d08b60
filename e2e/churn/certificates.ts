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
    // A signer that sees a request and its approval at once may sign it twice.
    planner.after(
      3000,
      step(item, `CertificateSigningRequest ${decision}`, (side) => decide(side, item.name, decision)),
    )
    planner.after(
      12_000,
      step(item, 'delete CertificateSigningRequest', (side) => side.ask('DELETE', `${path}/${item.name}`)),
    )
    return step(item, 'create CertificateSigningRequest', (side) => request(side, item.name))
  },
}

async function request(side: Side, name: string): Promise<void> {
  const der = await createCertificateRequest(await generateKey(), { commonName: name, organizations: ['churn'] })
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  await side.ask('POST', path, {
    metadata: { name },
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth', 'digital signature'],
    },
  })
}

async function decide(side: Side, name: string, decision: 'Approved' | 'Denied'): Promise<void> {
  const made = await side.ask('GET', `${path}/${name}`)
  const condition = { type: decision, status: 'True', reason: 'Churn', message: 'decided by the plan' }
  await side.ask('PUT', `${path}/${name}/approval`, { ...made, status: { conditions: [condition] } })
  if (decision === 'Denied') return
  await side.until('a certificate', async () => {
    const { status } = await side.ask('GET', `${path}/${name}`)
    if ((status as { readonly certificate?: string } | undefined)?.certificate === undefined) throw new Error('no certificate yet')
  })
}
