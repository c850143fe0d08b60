import type { CertificateRequestInfo } from '@k3s/pki'
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '@k3s/api/types/certificates/v1'
import { leastOf } from '@k3s/lifecycle'

/** Signers that Kubernetes brings itself. */
export const signerNames = [
  'kubernetes.io/kube-apiserver-client',
  'kubernetes.io/kube-apiserver-client-kubelet',
  'kubernetes.io/kubelet-serving',
  'kubernetes.io/legacy-unknown',
] as const

/** One of {@link signerNames}. */
export type SignerName = (typeof signerNames)[number]

export function isSignerName(name: string): name is SignerName {
  return signerNames.some((known) => known === name)
}

const nodeGroup = 'system:nodes'
const nodePrefix = 'system:node:'

/** Go prints lists of words so. */
const listed = (words: readonly string[]): string => `[${words.toSorted().join(' ')}]`

const isOneOf = (usages: readonly string[], sets: readonly (readonly string[])[]): boolean => {
  const asked = new Set(usages)
  return sets.some((set) => set.length === asked.size && set.every((usage) => asked.has(usage)))
}

function usagesProblem(usages: readonly string[], auth: 'client auth' | 'server auth'): string | undefined {
  const whole = ['digital signature', 'key encipherment', auth]
  return isOneOf(usages, [whole, ['digital signature', auth]]) ? undefined : `usages did not match ${listed(whole)}`
}

function subjectProblem({ organizations }: CertificateRequestInfo): string | undefined {
  return organizations.length === 1 && organizations[0] === nodeGroup ? undefined : `subject organization is not ${nodeGroup}`
}

function nameProblem({ commonName }: CertificateRequestInfo): string | undefined {
  return commonName.startsWith(nodePrefix) ? undefined : `subject common name does not begin with ${nodePrefix}`
}

/** Why a request is not a kubelet's for a client certificate; undefined: it is. */
export function kubeletClientProblem(request: CertificateRequestInfo, usages: readonly string[]): string | undefined {
  const notAllowed = (what: string): string => `${what} subjectAltNames are not allowed`
  return (
    subjectProblem(request) ??
    (request.dnsNames.length > 0 ? notAllowed('DNS') : undefined) ??
    (request.emailAddresses.length > 0 ? notAllowed('Email') : undefined) ??
    (request.ipAddresses.length > 0 ? notAllowed('IP') : undefined) ??
    (request.uris.length > 0 ? notAllowed('URI') : undefined) ??
    nameProblem(request) ??
    usagesProblem(usages, 'client auth')
  )
}

function kubeletServingProblem(request: CertificateRequestInfo, usages: readonly string[]): string | undefined {
  return (
    subjectProblem(request) ??
    (request.dnsNames.length === 0 && request.ipAddresses.length === 0 ? 'DNS or IP subjectAltName is required' : undefined) ??
    (request.emailAddresses.length > 0 ? 'Email subjectAltNames are not allowed' : undefined) ??
    (request.uris.length > 0 ? 'URI subjectAltNames are not allowed' : undefined) ??
    usagesProblem(usages, 'server auth') ??
    nameProblem(request)
  )
}

function clientUsagesProblem(usages: readonly string[]): string | undefined {
  const odd = usages.find((usage) => !['digital signature', 'key encipherment', 'client auth'].includes(usage))
  if (odd !== undefined) return `invalid usage for client certificate: ${odd}`
  return usages.includes('client auth') ? undefined : 'missing required usage for client certificate: client auth'
}

/** Why a signer will not sign an approved request; undefined: it will. */
export function signerProblem(signer: SignerName, request: CertificateRequestInfo, usages: readonly string[]): string | undefined {
  switch (signer) {
    case 'kubernetes.io/kube-apiserver-client':
      return clientUsagesProblem(usages)
    case 'kubernetes.io/kube-apiserver-client-kubelet':
      return kubeletClientProblem(request, usages)
    case 'kubernetes.io/kubelet-serving':
      return kubeletServingProblem(request, usages)
    case 'kubernetes.io/legacy-unknown':
      return undefined
  }
}

// Clocks of clients may be behind; of certificates that live shorter than this, the end is not moved with the beginning.
const backdateMs = 5 * 60_000
const shortMs = 8 * 60 * 60_000
const minMs = 10 * 60_000

/** When a certificate begins and ends. `maxMs` is the longest that the signer gives. */
export function validityOf(
  expirationSeconds: number | undefined,
  maxMs: number,
  nowMs: number,
): { readonly notBefore: Date; readonly notAfter: Date } {
  const asked = expirationSeconds === undefined ? maxMs : expirationSeconds * 1000
  const lifetimeMs = asked > maxMs ? maxMs : expirationSeconds === undefined ? asked : Math.max(minMs, asked)
  const end = nowMs + lifetimeMs - (lifetimeMs < shortMs ? 0 : backdateMs)
  return { notBefore: new Date(nowMs - backdateMs), notAfter: new Date(end) }
}

/** The conditions of one type. */
export function conditionsOf(request: CertificateSigningRequest, type: string): readonly CertificateSigningRequestCondition[] {
  return (request.status?.conditions ?? []).filter((condition) => condition.type === type)
}

/** Approved, not denied, not failed, and without a certificate. */
export function isToBeSigned(request: CertificateSigningRequest): boolean {
  const isTrue = ({ status }: CertificateSigningRequestCondition): boolean => status === '' || status === 'True'
  return (
    !request.status?.certificate &&
    conditionsOf(request, 'Approved').length > 0 &&
    conditionsOf(request, 'Denied').length === 0 &&
    !conditionsOf(request, 'Failed').some(isTrue)
  )
}

const hourMs = 60 * 60_000
const pendingMs = 24 * hourMs
const settledMs = hourMs

/**
 * When a request may be deleted, in milliseconds since the epoch: an hour after it was granted, denied or failed, a day after it was made or approved and
 * nobody did more, and when its certificate has ended. Undefined: not by time alone. `certificateEndMs` is the end of the granted certificate.
 */
export function endOf(request: CertificateSigningRequest, certificateEndMs: number | undefined): number | undefined {
  const { conditions = [], certificate } = request.status ?? {}
  const after = (time: string | undefined, delay: number): number => {
    const at = Date.parse(time ?? '')
    return Number.isNaN(at) ? Number.POSITIVE_INFINITY : at + delay
  }
  const updated = (type: string, delay: number): number[] =>
    conditionsOf(request, type).map(({ lastUpdateTime }) => after(lastUpdateTime, delay))
  const isApproved = conditionsOf(request, 'Approved').length > 0
  const ends = [
    ...(conditions.length === 0 ? [after(request.metadata.creationTimestamp, pendingMs)] : []),
    ...updated('Denied', settledMs),
    ...updated('Failed', settledMs),
    ...updated('Approved', certificate ? settledMs : pendingMs),
    ...(isApproved && certificate && certificateEndMs !== undefined ? [certificateEndMs] : []),
  ]
  const end = leastOf(ends)
  return Number.isFinite(end) ? end : undefined
}
