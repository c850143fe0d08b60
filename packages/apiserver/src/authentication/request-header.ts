import type { Authenticator, Credentials } from '../auth/auth.ts'
import { ClientCertificateVerifier, subjectValues, type CertificateBundle } from './client-certificate.ts'

/** How a front proxy names the user for whom it asks; upstream's `--requestheader-*`. */
export interface RequestHeaderOptions {
  /** CAs of the proxies' client certificates. */
  readonly clientCa: CertificateBundle
  /** Common names that proxies may have; empty: any. */
  readonly allowedNames: readonly string[]
  /** Lower case, in order of preference. */
  readonly usernameHeaders: readonly string[]
  readonly groupHeaders: readonly string[]
  readonly uidHeaders?: readonly string[] | undefined
  readonly extraHeaderPrefixes: readonly string[]
}

/** Believes the headers of a request whose client certificate is a front proxy's. */
export function requestHeaderAuthenticator(options: RequestHeaderOptions, now: () => number = () => Date.now()): Authenticator {
  const verifier = new ClientCertificateVerifier(options.clientCa, now)
  return {
    name: 'requestheader',
    authenticate({ headers, clientCertificate }: Credentials) {
      if (clientCertificate === undefined) return Promise.resolve(undefined)
      const name = firstOf(headers, options.usernameHeaders)
      if (name === undefined) return Promise.resolve(undefined)
      const certificate = verifier.verify(clientCertificate)
      if (certificate === undefined) return Promise.resolve(undefined)
      const common = subjectValues(certificate, 'CN')[0] ?? ''
      if (options.allowedNames.length > 0 && !options.allowedNames.includes(common)) return Promise.resolve(undefined)
      return Promise.resolve({
        user: {
          name,
          uid: firstOf(headers, options.uidHeaders ?? []),
          groups: options.groupHeaders.flatMap((header) => allOf(headers[header])),
          extra: extraOf(headers, options.extraHeaderPrefixes),
        },
      })
    },
  }
}

type Headers = Credentials['headers']

function allOf(value: Headers[string]): readonly string[] {
  return value === undefined ? [] : typeof value === 'string' ? splitJoined(value) : value
}

/** Node joins repeated headers with commas; group names have none. */
function splitJoined(value: string): readonly string[] {
  return value.split(',').map((part) => part.trim())
}

function firstOf(headers: Headers, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = headers[name]
    const first = typeof value === 'string' ? value : value?.[0]
    if (first !== undefined && first !== '') return first
  }
  return undefined
}

/** Extra attributes: the header's name behind the prefix is the key, percent-decoded and in lower case. */
export function extraOf(headers: Headers, prefixes: readonly string[]): Readonly<Record<string, readonly string[]>> | undefined {
  const extra: Record<string, readonly string[]> = {}
  for (const [header, value] of Object.entries(headers)) {
    const prefix = prefixes.find((candidate) => header.startsWith(candidate))
    if (prefix === undefined) continue
    extra[decodeKey(header.slice(prefix.length))] = allOf(value)
  }
  return Object.keys(extra).length === 0 ? undefined : extra
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // as upstream: a key that cannot be decoded is taken as it is
  }
}
