import { certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import { readCertificateRequest } from '@k3s/pki'
import type { Authorizer } from '../auth/auth.ts'
import { maySign } from '../resources/certificate-signing-requests/strategy.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { objectOf, oldObjectOf, refusal } from './requests.ts'

/** Approving a request for a signer needs the verb `approve` on it. */
export function certificateApproval(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateApproval',
    validate(request): Promise<void> | undefined {
      if (objectOf(request, certificatesigningrequests, ['UPDATE'], 'approval') === undefined) return undefined
      const signer = oldObjectOf(request, certificatesigningrequests)?.spec.signerName ?? ''
      return check(authorizer, request, 'approve', signer)
    },
  }
}

/** Issuing a certificate, or saying that it failed, needs the verb `sign` on the signer. */
export function certificateSigning(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigning',
    validate(request): Promise<void> | undefined {
      const object = objectOf(request, certificatesigningrequests, ['UPDATE'], 'status')
      const previous = oldObjectOf(request, certificatesigningrequests)
      if (object === undefined || previous === undefined) return undefined
      const [now, then] = [object.status ?? {}, previous.status ?? {}]
      if ((now.certificate ?? '') === (then.certificate ?? '') && semanticEqual(now.conditions, then.conditions)) return undefined
      return check(authorizer, request, 'sign', previous.spec.signerName)
    },
  }
}

async function check(authorizer: Authorizer, request: AdmissionRequest, verb: 'approve' | 'sign', signer: string): Promise<void> {
  if (!(await maySign(authorizer, request.scope.user, verb, signer)))
    throw refusal(request, `user not permitted to ${verb} requests with signerName "${signer}"`)
}

/** Nobody gets a client certificate for `system:masters` by asking. */
export const certificateSubjectRestriction: AdmissionPlugin = {
  name: 'CertificateSubjectRestriction',
  validate(request): void {
    const object = objectOf(request, certificatesigningrequests, ['CREATE'])
    if (object?.spec.signerName !== 'kubernetes.io/kube-apiserver-client') return
    if (organizationsOf(request, object.spec.request).includes('system:masters')) {
      throw refusal(request, 'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed')
    }
  },
}

function organizationsOf(request: AdmissionRequest, asked: string): readonly string[] {
  try {
    return readCertificateRequest(Buffer.from(asked, 'base64').toString()).organizations
  } catch (error) {
    throw refusal(request, `failed to parse CSR: ${error instanceof Error ? error.message : String(error)}`)
  }
}
