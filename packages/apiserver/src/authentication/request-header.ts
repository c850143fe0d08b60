import type { Authenticator, Credentials } from '../auth/auth.ts'
import { extraOf, firstValue, valuesOf } from './header-values.ts'
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
      const name = firstValue(headers, options.usernameHeaders)
      if (name === undefined) return Promise.resolve(undefined)
      const certificate = verifier.verify(clientCertificate)
      if (certificate === undefined) return Promise.resolve(undefined)
      const common = subjectValues(certificate, 'CN')[0] ?? ''
      if (options.allowedNames.length > 0 && !options.allowedNames.includes(common)) return Promise.resolve(undefined)
      return Promise.resolve({
        user: {
          name,
          uid: firstValue(headers, options.uidHeaders ?? []),
          groups: options.groupHeaders.flatMap((header) => valuesOf(headers, header)),
          extra: extraOf(headers, options.extraHeaderPrefixes),
        },
      })
    },
  }
}
