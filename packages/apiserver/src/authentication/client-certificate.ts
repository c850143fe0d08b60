import { X509Certificate } from 'node:crypto'
import type { Authenticator, Credentials, UserInfo } from '../auth/auth.ts'
import { unauthorized } from './authenticate.ts'

/** PEM text with one or more CA certificates; read again for every new connection, so that rotated CAs count at once, and for open ones after a second. */
export type CertificateBundle = () => string

// Certificates seen lately: verifying a signature costs about 0.1 ms, and clients open many connections with the same one.
const maxRemembered = 1024
// It may be a file.
const maxBundleAgeMs = 1000

/** What was found out about one certificate. */
interface Verified {
  /** Undefined: none of the CAs signed it. */
  readonly certificate: X509Certificate | undefined
  readonly validFrom: number
  readonly validTo: number
}

/** Checks client certificates against CAs that may change while the server runs. */
export class ClientCertificateVerifier {
  readonly #bundle: CertificateBundle
  readonly #now: () => number
  #text = ''
  #readAt = Number.NEGATIVE_INFINITY
  #authorities: readonly X509Certificate[] = []
  #seen = new Map<string, Verified>()
  /** By the bytes that a connection has. */
  #ofConnections = new WeakMap<Uint8Array, Verified>()

  constructor(bundle: CertificateBundle, now: () => number) {
    this.#bundle = bundle
    this.#now = now
  }

  /**
   * The parsed certificate when one of the CAs signed it, directly, for client use; undefined when it is not theirs. Throws Unauthorized when it has expired.
   * A connection gives the same array each time, which is known the quickest.
   */
  verify(der: Uint8Array): X509Certificate | undefined {
    const now = this.#now()
    if (!this.#ofConnections.has(der) || now - this.#readAt > maxBundleAgeMs || now < this.#readAt) this.#readBundle(now)
    let verified = this.#ofConnections.get(der)
    if (verified === undefined) this.#ofConnections.set(der, (verified = this.#verified(der)))
    if (verified.certificate === undefined) return undefined
    if (now > verified.validTo || now < verified.validFrom) throw unauthorized(new Error('Client certificate is outside its validity'))
    return verified.certificate
  }

  #readBundle(now: number): void {
    this.#readAt = now
    const text = this.#bundle()
    if (text === this.#text) return
    this.#text = text
    this.#authorities = parseCertificates(text)
    this.#seen = new Map()
    this.#ofConnections = new WeakMap()
  }

  #verified(der: Uint8Array): Verified {
    const fingerprint = Buffer.from(der).toString('base64')
    let verified = this.#seen.get(fingerprint)
    if (verified === undefined) {
      const parsed = new X509Certificate(der)
      verified = {
        certificate: this.#authorities.some((authority) => isSignedBy(parsed, authority)) ? parsed : undefined,
        validFrom: parsed.validFromDate.getTime(),
        validTo: parsed.validToDate.getTime(),
      }
      if (this.#seen.size >= maxRemembered) this.#seen.clear()
      this.#seen.set(fingerprint, verified)
    }
    return verified
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
  const users = new WeakMap<X509Certificate, Promise<{ readonly user: UserInfo } | undefined>>()
  return {
    name: 'x509',
    authenticate({ clientCertificate }: Credentials) {
      if (clientCertificate === undefined) return Promise.resolve(undefined)
      const certificate = verifier.verify(clientCertificate)
      // As upstream: who shows a certificate that is not ours is not taken for anonymous, unless it has other credentials too.
      if (certificate === undefined) throw unauthorized(new Error('Client certificate is not signed by a client CA for client use'))
      let user = users.get(certificate)
      if (user === undefined) users.set(certificate, (user = Promise.resolve(userOf(certificate))))
      return user
    },
  }
}

/** Undefined for a certificate without a name. */
function userOf(certificate: X509Certificate): { readonly user: UserInfo } | undefined {
  const name = subjectValues(certificate, 'CN')[0]
  if (name === undefined || name === '') return undefined
  return { user: { name, groups: [...subjectValues(certificate, 'O')], extra: credentialExtra(certificate) } }
}

/** Upstream tells which certificate was used, for audit. */
function credentialExtra(certificate: X509Certificate): Readonly<Record<string, readonly string[]>> {
  const id = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
  return { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${id}`] }
}
