import { StatusError } from '@k3s/api'
import { decodeJwt, errors, jwtVerify } from 'jose'
import type { Clock } from '@k3s/lifecycle'
import type { TokenAuthenticator } from '../token-authenticator.ts'
import { claimsMapper } from './claims.ts'
import type { JwtAuthenticatorConfig } from './configuration.ts'
import { fetchOverHttps, IssuerKeys, type FetchDocument } from './issuer-keys.ts'

/** What upstream's library takes: signatures that only the issuer can make. */
export const signingAlgorithms: readonly string[] = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']

export interface OidcOptions {
  readonly clock: Pick<Clock, 'now'>
  /** Default: over HTTPS. */
  readonly fetch?: FetchDocument | undefined
}

/** Believes ID tokens of one issuer. The issuer is asked for its keys when its first token comes. Throws a TypeError for bad expressions. */
export function oidcAuthenticator(config: JwtAuthenticatorConfig, { clock, fetch = fetchOverHttps }: OidcOptions): TokenAuthenticator {
  const { url, discoveryURL, certificateAuthority, audiences } = config.issuer
  const userOf = claimsMapper(config)
  const keys = new IssuerKeys({ url, discoveryURL, ca: certificateAuthority, fetch, clock })
  return {
    name: 'OIDC',
    async authenticateToken(token) {
      if (issuerOf(token) !== url) return undefined
      try {
        const { payload } = await jwtVerify(token, keys.get, {
          issuer: url,
          audience: [...audiences],
          algorithms: [...(config.signingAlgorithms ?? signingAlgorithms)],
          currentDate: new Date(clock.now()),
          requiredClaims: ['exp'],
        })
        return { user: userOf(payload) }
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause)
        const message = cause instanceof errors.JOSEError ? `oidc: verify token: ${why}` : why
        throw new StatusError('Unauthorized', message, { cause })
      }
    },
  }
}

/** What the token says of its issuer, unverified; undefined when it is no JWT. */
function issuerOf(token: string): string | undefined {
  if (token.split('.').length !== 3) return undefined
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined // somebody else's kind of token
  }
}
