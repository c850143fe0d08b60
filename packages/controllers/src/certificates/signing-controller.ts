import { hasReason } from '@k3s/api'
import { certificatesigningrequests, type CertificateSigningRequest } from '@k3s/api/types/certificates/v1'
import type { Service } from '@k3s/lifecycle'
import { grantCertificateRequest, readCertificateRequest, type CertificateRequestInfo, type KeyPair } from '@k3s/pki'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn, loggerOf } from '../kit/controller.ts'
import { isSignerName, isToBeSigned, signerProblem, validityOf, type SignerName } from './request-rules.ts'

export interface CertificateSigningOptions {
  /** The CA of each signer, asked for every certificate: CAs may change. A signer without one leaves its requests to others. */
  readonly cas: Readonly<Partial<Record<SignerName, () => KeyPair>>>
  /** The longest that a certificate is good for; default a year, as upstream. */
  readonly maxDurationMs?: number | undefined
}

const name = 'certificatesigningrequest-signing'
const yearMs = 365 * 24 * 60 * 60_000

/** Signs approved requests of Kubernetes' own signers, or says why it does not. */
export function createCertificateSigningController(context: ControllerContext, options: CertificateSigningOptions): Service {
  const { client, informers } = context
  const { cas, maxDurationMs = yearMs } = options
  const clock = clockOf(context)
  const informer = informers.informer(certificatesigningrequests)
  const requests = client.resource(certificatesigningrequests)

  const write = async (request: CertificateSigningRequest, signal: AbortSignal): Promise<void> => {
    try {
      await requests.update(request, { subresource: 'status', signal })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  return controllerService({
    name,
    context,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, ({ metadata }) => [metadata.name])],
    async reconcile(key, signal) {
      const request = informer.lister.get(key)
      if (request === undefined || !isToBeSigned(request) || !isSignerName(request.spec.signerName)) return
      const { signerName, usages = [], expirationSeconds } = request.spec
      const ca = cas[signerName]
      if (ca === undefined) return
      const pem = Buffer.from(request.spec.request, 'base64').toString()
      let asked: CertificateRequestInfo
      try {
        asked = readCertificateRequest(pem)
      } catch (error) {
        loggerOf(context, name).warn({ err: error, request: key }, 'Certificate request cannot be read')
        return // it will be no better next time
      }
      const now = clock.now()
      const problem = signerProblem(signerName, asked, usages)
      if (problem !== undefined) {
        const failed = {
          type: 'Failed',
          status: 'True',
          reason: 'SignerValidationFailure',
          message: problem,
          lastUpdateTime: new Date(now).toISOString().replace(/\.\d+Z$/, 'Z'),
        }
        await write({ ...request, status: { ...request.status, conditions: [...(request.status?.conditions ?? []), failed] } }, signal)
        return
      }
      const certificate = await grantCertificateRequest(ca(), pem, { usages, ...validityOf(expirationSeconds, maxDurationMs, now) })
      await write({ ...request, status: { ...request.status, certificate: Buffer.from(certificate).toString('base64') } }, signal)
    },
  })
}
