import { hasReason } from '@k3s/api'
import { subjectaccessreviews } from '@k3s/api/types/authorization/v1'
import { certificatesigningrequests, type CertificateSigningRequest } from '@k3s/api/types/certificates/v1'
import type { Service } from '@k3s/lifecycle'
import { readCertificateRequest, type CertificateRequestInfo } from '@k3s/pki'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { conditionsOf, kubeletClientProblem } from './request-rules.ts'

/** What a requestor must be allowed to create, for a request to be approved without anybody looking. */
interface Recognition {
  readonly subresource: 'selfnodeclient' | 'nodeclient'
  readonly message: string
}

// Somebody may be given the permission later.
const retryMs = 60_000

/** As what a request is recognized: a node's for itself, or somebody's for a node. Empty: people must decide. */
export function recognize(request: CertificateSigningRequest): readonly Recognition[] {
  const { signerName, usages = [], username } = request.spec
  if (signerName !== 'kubernetes.io/kube-apiserver-client-kubelet') return []
  let asked: CertificateRequestInfo
  try {
    asked = readCertificateRequest(Buffer.from(request.spec.request, 'base64').toString())
  } catch {
    return [] // what cannot be read is for people to look at
  }
  if (kubeletClientProblem(asked, usages) !== undefined) return []
  const self: Recognition = {
    subresource: 'selfnodeclient',
    message: 'Auto approving self kubelet client certificate after SubjectAccessReview.',
  }
  const other: Recognition = { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' }
  return username === asked.commonName ? [self, other] : [other]
}

/** Approves requests of kubelets for client certificates, when who asks has the permission. */
export function createCertificateApprovingController(context: ControllerContext): Service {
  const { client, informers } = context
  const informer = informers.informer(certificatesigningrequests)

  const isAllowed = async ({ spec }: CertificateSigningRequest, subresource: string, signal: AbortSignal): Promise<boolean> => {
    const { username, uid, groups, extra } = spec
    const review = await client.resource(subjectaccessreviews).create(
      {
        metadata: { name: '' },
        spec: {
          user: username,
          uid,
          groups,
          extra,
          resourceAttributes: {
            group: 'certificates.k8s.io',
            resource: 'certificatesigningrequests',
            verb: 'create',
            subresource,
            version: '*',
          },
        },
      },
      { signal },
    )
    return review.status?.allowed === true
  }

  return controllerService({
    name: 'certificatesigningrequest-approving',
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, ({ metadata }) => [metadata.name])],
    async reconcile(key, signal, queue) {
      const request = informer.lister.get(key)
      if (request === undefined || request.status?.certificate) return
      if (conditionsOf(request, 'Approved').length > 0 || conditionsOf(request, 'Denied').length > 0) return
      const recognitions = recognize(request)
      for (const { subresource, message } of recognitions) {
        if (!(await isAllowed(request, subresource, signal))) continue
        const approved = { type: 'Approved', status: 'True', reason: 'AutoApproved', message }
        const status = { ...request.status, conditions: [...(request.status?.conditions ?? []), approved] }
        try {
          await client.resource(certificatesigningrequests).update({ ...request, status }, { subresource: 'approval', signal })
        } catch (error) {
          if (!hasReason(error, 'NotFound')) throw error
        }
        return
      }
      if (recognitions.length > 0) queue.addAfter(key, retryMs)
    },
  })
}
