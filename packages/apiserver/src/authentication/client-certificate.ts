import { X509Certificate } from 'node:crypto'
import type { Authenticator, Credentials } from '../auth/auth.ts'
import { unauthorized } from './authenticate.ts'

/** PEM text with one or more CA certificates; read again for every handshake's first request, so that rotated CAs count at once. */
export type CertificateBundle = () => string

// Certificates seen lately: verifying a signature costs about 0.1 ms, and a connection sends the same one with every request.
const maxRemembered = 1024

/** Checks client certificates against CAs that may change while the server runs. */
export class ClientCertificateVerifier {
  readonly #bundle: CertificateBundle
  readonly #now: () => number
  #text = ''
  #authorities: readonly X509Certificate[] = []
  #seen = new Map<string, X509Certificate | undefined>()

  constructor(bundle: CertificateBundle, now: () => number) {
    this.#bundle = bundle
    this.#now = now
  }

  /** The parsed certificate when one of the CAs signed it, directly, for client use; undefined when it is not theirs. Throws Unauthorized when it has expired. */
  verify(der: Uint8Array): X509Certificate | undefined {
    const text = this.#bundle()
    if (text !== this.#text) {
      this.#text = text
      this.#authorities = parseCertificates(text)
      this.#seen = new Map()
    }
    const fingerprint = Buffer.from(der).toString('base64')
    let certificate = this.#seen.get(fingerprint)
    if (certificate === undefined && !this.#seen.has(fingerprint)) {
      const parsed = new X509Certificate(der)
      certificate = this.#authorities.some((authority) => isSignedBy(parsed, authority)) ? parsed : undefined
      if (this.#seen.size >= maxRemembered) this.#seen.clear()
      this.#seen.set(fingerprint, certificate)
    }
    if (certificate === undefined) return undefined
    const now = this.#now()
    if (now > certificate.validToDate.getTime() || now < certificate.validFromDate.getTime())
      throw unauthorized(new Error('Client certificate is outside its validity'))
    return certificate
  }
}

function isSignedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  const clientAuth = '1.3.6.1.5.5.7.3.2'
  const anyUse = '2.5.29.37.0'
  // keyUsage is node's (misleading) name for the extended key usage; absent means any.
  const uses = (certificate as { readonly keyUsage?: readonly string[] | undefined }).keyUsage // not in all releases of the types
  if (uses !== undefined && !uses.includes(clientAuth) && !uses.includes(anyUse)) return false
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
}

/** All certificates of a PEM text. */
export function parseCertificates(pem: string): readonly X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map((block) => new X509Certificate(block))
}

/** Values of one attribute of a subject, such as `CN` or `O`, in order. */
export function subjectValues(certificate: X509Certificate, attribute: string): readonly string[] {
  return certificate.subject
    .split('\n')
    .filter((line) => line.startsWith(`${attribute}=`))
    .map((line) => line.slice(attribute.length + 1).replace(/\\(.)/g, '$1'))
}

/** x509 authentication: the common name is the user, the organisations are its groups. */
export function clientCertificateAuthenticator(bundle: CertificateBundle, now: () => number = () => Date.now()): Authenticator {
  const verifier = new ClientCertificateVerifier(bundle, now)
  return {
    name: 'x509',
    authenticate({ clientCertificate }: Credentials) {
      if (clientCertificate === undefined) return Promise.resolve(undefined)
      const certificate = verifier.verify(clientCertificate)
      // As upstream: who shows a certificate that is not ours is not taken for anonymous, unless it has other credentials too.
      if (certificate === undefined) throw unauthorized(new Error('Client certificate is not signed by a client CA for client use'))
      const name = subjectValues(certificate, 'CN')[0]
      if (name === undefined || name === '') return Promise.resolve(undefined)
      return Promise.resolve({ user: { name, groups: [...subjectValues(certificate, 'O')], extra: credentialExtra(certificate) } })
    },
  }
}

/** Upstream tells which certificate was used, for audit. */
function credentialExtra(certificate: X509Certificate): Readonly<Record<string, readonly string[]>> {
  const id = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
  return { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${id}`] }
}
