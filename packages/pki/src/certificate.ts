// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs the polyfill to be there first
import 'reflect-metadata'
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

/** A certificate (chain) and its key, PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface Subject {
  readonly commonName: string
  /** Kubernetes reads them as groups. */
  readonly organizations?: readonly string[] | undefined
}

export interface LeafOptions extends Subject {
  /** DNS names and IP addresses, told apart by form. */
  readonly sans?: readonly string[] | undefined
  readonly usages: readonly ('client' | 'server')[]
  /** Default 365, as K3s. */
  readonly days?: number | undefined
  /** Private key PEM to use again; absent: a new one is made. */
  readonly key?: string | undefined
}

/** How CAs sign. */
export const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const algorithm = signingAlgorithm
const caDays = 3650
const leafDays = 365
// Machines whose clock is a little behind must accept what was just signed.
const backdateMs = 60_000
const dayMs = 86_400_000

const usageOids = { client: x509.ExtendedKeyUsage.clientAuth, server: x509.ExtendedKeyUsage.serverAuth } as const

x509.cryptoProvider.set(webcrypto)

const escapeName = (value: string): string => value.replace(/[\\",+;<>=#]/g, (character) => `\\${character}`)

function distinguishedName({ commonName, organizations = [] }: Subject): string {
  return [...organizations.map((organization) => `O=${escapeName(organization)}`), `CN=${escapeName(commonName)}`].join(', ')
}

/** A CA's private key, ready to sign. */
export async function importPrivate(key: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' })
  return await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign'])
}

async function importPublic(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'spki', format: 'der' })
  return await webcrypto.subtle.importKey('spki', der, algorithm, true, ['verify'])
}

/** A new ECDSA P-256 private key, PKCS#8 PEM. */
export async function generateKey(): Promise<string> {
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey))
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** A random serial number, in hexadecimal. */
export const serialNumber = (): string => {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0] ?? 0) & 0x7f // a serial number is positive
  return bytes.toString('hex')
}

/** A self-signed certificate authority, ECDSA P-256, valid for ten years. */
export async function createCa(commonName: string): Promise<KeyPair> {
  const key = await generateKey()
  const privateKey = await importPrivate(key)
  const publicKey = await importPublic(createPublicKey(key))
  const now = Date.now()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: distinguishedName({ commonName }),
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + caDays * dayMs),
    signingAlgorithm: algorithm,
    keys: { privateKey, publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.keyCertSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return { cert: `${certificate.toString('pem')}\n`, key }
}

function alternativeNames(sans: readonly string[] = []): x509.Extension[] {
  const names = sans.map((san) => ({ type: isIP(san) === 0 ? ('dns' as const) : ('ip' as const), value: san }))
  return names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]
}

async function sign(ca: KeyPair, publicKey: webcrypto.CryptoKey, options: Omit<LeafOptions, 'key'>): Promise<string> {
  const issuer = new x509.X509Certificate(firstPem(ca.cert))
  const now = Date.now()
  const notAfter = Math.min(now + (options.days ?? leafDays) * dayMs, issuer.notAfter.getTime())
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: distinguishedName(options),
    issuer: issuer.subject,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(notAfter),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: await importPrivate(ca.key),
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
      new x509.ExtendedKeyUsageExtension(options.usages.map((usage) => usageOids[usage])),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...alternativeNames(options.sans),
    ],
  })
  // The chain lets a client that has only the root verify a certificate of an intermediate CA.
  return `${certificate.toString('pem')}\n${ca.cert.trimEnd()}\n`
}

/** A certificate signed by `ca`, with the CA's own certificate(s) behind it. Never outlives the CA. */
export async function issueCertificate(ca: KeyPair, options: LeafOptions): Promise<KeyPair> {
  const key = options.key ?? (await generateKey())
  return { cert: await sign(ca, await importPublic(createPublicKey(key)), options), key }
}

/** A PKCS#10 request, DER, for the key; its names are proposals that the signer may replace. */
export async function createCertificateRequest(
  key: string,
  subject: Subject & { readonly sans?: readonly string[] | undefined },
): Promise<Uint8Array> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: distinguishedName(subject),
    keys: { privateKey: await importPrivate(key), publicKey: await importPublic(createPublicKey(key)) },
    signingAlgorithm: algorithm,
    extensions: alternativeNames(subject.sans),
  })
  return new Uint8Array(request.rawData)
}

/**
 * Signs the public key of a DER or PEM certificate request under the names of `options`; the request's own names are ignored.
 * Throws when the request is damaged or its signature does not fit its key.
 */
export async function signCertificateRequest(
  ca: KeyPair,
  request: Uint8Array | string,
  options: Omit<LeafOptions, 'key'>,
): Promise<string> {
  let parsed: x509.Pkcs10CertificateRequest
  try {
    parsed = new x509.Pkcs10CertificateRequest(typeof request === 'string' ? request : new Uint8Array(request))
    if (!(await parsed.verify())) throw new Error('the signature does not match the key')
  } catch (cause) {
    throw new Error(`Cannot sign certificate request: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
  return sign(ca, await parsed.publicKey.export(), options)
}

/** The certificates of a PEM bundle, one PEM text each. */
export function splitPem(bundle: string): readonly string[] {
  return bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
}

/** The first certificate of a PEM bundle. Throws when there is none. */
export function firstPem(bundle: string): string {
  const first = splitPem(bundle)[0]
  if (first === undefined) throw new Error('Cannot read certificate: no PEM block "CERTIFICATE" found')
  return first
}

/** What matters of a certificate. */
export interface CertificateInfo {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly sans: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Reads the first certificate of a PEM bundle or a DER one. Throws when it is damaged. */
export function readCertificate(certificate: string | Uint8Array): CertificateInfo {
  const parsed = new X509Certificate(typeof certificate === 'string' ? firstPem(certificate) : certificate)
  const subject = parsed.subject.split('\n').map((line) => {
    const equals = line.indexOf('=')
    return { type: line.slice(0, equals), value: line.slice(equals + 1).replace(/\\(.)/g, '$1') }
  })
  return {
    commonName: subject.find(({ type }) => type === 'CN')?.value ?? '',
    organizations: subject.filter(({ type }) => type === 'O').map(({ value }) => value),
    sans: (parsed.subjectAltName ?? '')
      .split(', ')
      .filter((san) => san !== '')
      .map((san) => san.slice(san.indexOf(':') + 1).replace(/^"|"$/g, '')),
    notBefore: parsed.validFromDate,
    notAfter: parsed.validToDate,
  }
}

/** True when `key` is the private key of the first certificate of `cert`, and one of `cas` (PEM bundle) signed it. */
export function isSignedBy(pair: KeyPair, cas: string): boolean {
  try {
    const certificate = new X509Certificate(firstPem(pair.cert))
    return (
      certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
      splitPem(cas).some((ca) => certificate.verify(new X509Certificate(ca).publicKey))
    )
  } catch {
    return false // damaged PEM is as good as no certificate: the caller makes a new one
  }
}

/** True when the certificate ends within `withinDays` (K3s renews at 120 days) or has not begun. */
export function needsRenewal(cert: string, withinDays: number, nowMs: number = Date.now()): boolean {
  const { notBefore, notAfter } = readCertificate(cert)
  return notBefore.getTime() > nowMs || notAfter.getTime() - nowMs < withinDays * dayMs
}
