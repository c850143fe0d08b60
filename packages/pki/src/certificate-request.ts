import { constants, createPublicKey, verify, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { firstPem, importPrivate, serialNumber, signingAlgorithm, type KeyPair } from './certificate.ts'

/** What a certificate request asks for. Nothing of it is proved but that the asker has the key. */
export interface CertificateRequestInfo {
  /** The last one, when there are several. */
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
}

/** Names of usages as Kubernetes writes them. */
const keyUsages: Readonly<Record<string, x509.KeyUsageFlags>> = {
  signing: x509.KeyUsageFlags.digitalSignature,
  'digital signature': x509.KeyUsageFlags.digitalSignature,
  'content commitment': x509.KeyUsageFlags.nonRepudiation,
  'key encipherment': x509.KeyUsageFlags.keyEncipherment,
  'key agreement': x509.KeyUsageFlags.keyAgreement,
  'data encipherment': x509.KeyUsageFlags.dataEncipherment,
  'cert sign': x509.KeyUsageFlags.keyCertSign,
  'crl sign': x509.KeyUsageFlags.cRLSign,
  'encipher only': x509.KeyUsageFlags.encipherOnly,
  'decipher only': x509.KeyUsageFlags.decipherOnly,
}
const extendedUsages: Readonly<Record<string, string>> = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
}

// The parts of a subject that are passed on; others are dropped.
const subjectParts = ['C', 'O', 'OU', 'L', 'ST', '2.5.4.9', '2.5.4.17', '2.5.4.5'] as const

const requestPattern = /-----BEGIN CERTIFICATE REQUEST-----[\s\S]*?-----END CERTIFICATE REQUEST-----/

function parse(request: string | Uint8Array): x509.Pkcs10CertificateRequest {
  const pem = typeof request === 'string' ? requestPattern.exec(request)?.[0] : undefined
  if (typeof request === 'string' && pem === undefined) throw new Error('PEM block type must be CERTIFICATE REQUEST')
  return new x509.Pkcs10CertificateRequest(pem ?? new Uint8Array(request as Uint8Array)) // no text: bytes
}

function infoOf(request: x509.Pkcs10CertificateRequest): CertificateRequestInfo {
  const names = request.extensions.find((extension) => extension instanceof x509.SubjectAlternativeNameExtension)?.names.items ?? []
  const of = (type: x509.GeneralNameType): string[] => names.filter((name) => name.type === type).map(({ value }) => value)
  return {
    commonName: request.subjectName.getField('CN').at(-1) ?? '',
    organizations: request.subjectName.getField('O'),
    dnsNames: of('dns'),
    ipAddresses: of('ip'),
    emailAddresses: of('email'),
    uris: of('url'),
  }
}

/** Reads a request, in PEM or DER. Throws when it is none; its signature is not checked. */
export function readCertificateRequest(request: string | Uint8Array): CertificateRequestInfo {
  return infoOf(parse(request))
}

/** What a signer grants of a request. */
export interface GrantOptions {
  /** Kubernetes' names of usages: `client auth`, `digital signature`, … */
  readonly usages: readonly string[]
  readonly notBefore: Date
  /** Cut to the end of the CA. */
  readonly notAfter: Date
}

/**
 * A certificate with the names that the request asks for: whoever calls this has judged them. Of extensions only the alternative names are taken, and it
 * is never a CA. Gives the certificate alone, in PEM. Throws when the request is damaged or not signed by its key, for usages that are unknown, and
 * when the CA has expired.
 */
export async function grantCertificateRequest(ca: KeyPair, request: string | Uint8Array, options: GrantOptions): Promise<string> {
  const unknown = options.usages.filter((usage) => !Object.hasOwn(keyUsages, usage) && !Object.hasOwn(extendedUsages, usage))
  if (unknown.length > 0) throw new Error(`unrecognized usage values: ${unknown.map((usage) => JSON.stringify(usage)).join(' ')}`)
  const parsed = parse(request)
  if (!isSelfSigned(request)) throw new Error('unable to verify certificate request signature')
  const issuer = new x509.X509Certificate(firstPem(ca.cert))
  const end = issuer.notAfter.getTime()
  if (options.notBefore.getTime() >= end || Date.now() >= end)
    throw new Error(`the signer has expired: NotAfter=${issuer.notAfter.toISOString()}`)
  const info = infoOf(parsed)
  // Flags are bits to be joined, whatever an enum's type says.
  const flags = options.usages.reduce<number>((sum, usage) => sum | (keyUsages[usage] ?? 0), 0)
  const extended = [...new Set(options.usages.flatMap((usage) => extendedUsages[usage] ?? []))]
  const alternatives = [
    ...info.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...info.emailAddresses.map((value) => ({ type: 'email' as const, value })),
    ...info.ipAddresses.map((value) => ({ type: 'ip' as const, value })),
    ...info.uris.map((value) => ({ type: 'url' as const, value })),
  ]
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: subjectOf(parsed.subjectName, info.commonName),
    issuer: issuer.subject,
    notBefore: options.notBefore,
    notAfter: new Date(Math.min(options.notAfter.getTime(), end)),
    signingAlgorithm,
    publicKey: await parsed.publicKey.export(),
    signingKey: await importPrivate(ca.key),
    extensions: [
      // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- flags joined are a number
      ...(flags === 0 ? [] : [new x509.KeyUsagesExtension(flags, true)]),
      ...(extended.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(extended)]),
      new x509.BasicConstraintsExtension(false, undefined, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(alternatives.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternatives)]),
    ],
  })
  return `${certificate.toString('pem')}\n`
}

/** Values are taken from the parsed name and encoded anew: what was judged is what is signed. As plain text they would be unquoted on the way. */
function subjectOf(name: x509.Name, commonName: string): x509.Name {
  const parts = subjectParts.flatMap((part) => name.getField(part).map((value) => ({ [part]: [{ utf8String: value }] })))
  const own = [...parts, ...(commonName === '' ? [] : [{ CN: [{ utf8String: commonName }] }])]
  return new x509.Name(own)
}

/** When the first certificate of a PEM text ends, in milliseconds since the epoch; undefined when it cannot be read. */
export function certificateEnd(pem: string): number | undefined {
  try {
    return new X509Certificate(firstPem(pem)).validToDate.getTime()
  } catch {
    return undefined // no certificate has no end
  }
}

/** Whether a request is signed by the key that it is for. Throws when it is no request. */
export function isSelfSigned(request: string | Uint8Array): boolean {
  const parsed = parse(request)
  const raw = Buffer.from(parsed.rawData)
  const { name, hash } = parsed.signatureAlgorithm as { readonly name: string; readonly hash?: { readonly name: string } | undefined } // as WebCrypto names them
  const key = createPublicKey({ key: Buffer.from(parsed.publicKey.rawData), format: 'der', type: 'spki' })
  const options = name === 'RSA-PSS' ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO } : key
  return verify(hash?.name.replace('-', ''), firstMember(raw), options, Buffer.from(parsed.signature))
}

/** The first member of a DER sequence, with its header: what a request's signature is over. */
function firstMember(sequence: Buffer): Buffer {
  const start = headerBytes(sequence, 0)
  const header = headerBytes(sequence, start)
  // A length below 128 is in the byte behind the tag, a longer one in those after that.
  const content = header === 2 ? sequence.readUInt8(start + 1) : sequence.readUIntBE(start + 2, header - 2)
  return sequence.subarray(start, start + header + content)
}

function headerBytes(der: Buffer, at: number): number {
  const first = der.readUInt8(at + 1)
  return first < 0x80 ? 2 : 2 + (first & 0x7f)
}
