import { certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import type { Authorizer } from '../auth/auth.ts'
import { maySign } from '../resources/certificate-signing-requests/strategy.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin } from './admission.ts'
import { objectOf, oldObjectOf, refusal } from './requests.ts'

/** DER of the object identifier of an organization name, 2.5.4.10. */
const organizationId = Buffer.from([0x06, 0x03, 0x55, 0x04, 0x0a])

/** The organizations in the subject of a certificate request, PEM in base64. Reads the DER by its tags: an identifier is followed by its value. */
export function organizationsOf(request: string): string[] {
  const pem = Buffer.from(request, 'base64').toString()
  const body = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\s\S]*?)-----END/.exec(pem)?.[1] ?? ''
  const der = Buffer.from(body, 'base64')
  const names: string[] = []
  for (let at = der.indexOf(organizationId); at >= 0; at = der.indexOf(organizationId, at + 1)) {
    const start = at + organizationId.length
    const length = der[start + 1] ?? 0
    // Names of 128 bytes and more have a longer length; none that we look for has.
    if (length < 0x80) names.push(der.subarray(start + 2, start + 2 + length).toString())
  }
  return names
}

/** Approving a request for a signer needs the verb `approve` on it. */
export function certificateApproval(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateApproval',
    async validate(request): Promise<void> {
      if (objectOf(request, certificatesigningrequests, ['UPDATE'], 'approval') === undefined) return
      const signer = oldObjectOf(request, certificatesigningrequests)?.spec.signerName ?? ''
      if (!(await maySign(authorizer, request.scope.user, 'approve', signer)))
        throw refusal(request, `user not permitted to approve requests with signerName "${signer}"`)
    },
  }
}

/** Issuing a certificate, or saying that it failed, needs the verb `sign` on the signer. */
export function certificateSigning(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigning',
    async validate(request): Promise<void> {
      const object = objectOf(request, certificatesigningrequests, ['UPDATE'], 'status')
      const previous = oldObjectOf(request, certificatesigningrequests)
      if (object === undefined || previous === undefined) return
      const [now, then] = [object.status ?? {}, previous.status ?? {}]
      if ((now.certificate ?? '') === (then.certificate ?? '') && semanticEqual(now.conditions, then.conditions)) return
      const signer = previous.spec.signerName
      if (!(await maySign(authorizer, request.scope.user, 'sign', signer)))
        throw refusal(request, `user not permitted to sign requests with signerName "${signer}"`)
    },
  }
}

/** Nobody gets a client certificate for `system:masters` by asking. */
export const certificateSubjectRestriction: AdmissionPlugin = {
  name: 'CertificateSubjectRestriction',
  validate(request): void {
    const object = objectOf(request, certificatesigningrequests, ['CREATE'])
    if (object?.spec.signerName !== 'kubernetes.io/kube-apiserver-client') return
    if (organizationsOf(object.spec.request).includes('system:masters')) {
      throw refusal(request, 'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed')
    }
  },
}
