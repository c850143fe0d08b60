import type { ExtraDocument } from '../../api-server.ts'
import type { ServiceAccountTokens } from './service-account-tokens.ts'

/** Where others find the keys that verify service account tokens. */
export const jwksPath = '/openid/v1/jwks'
export const discoveryPath = '/.well-known/openid-configuration'

// Upstream's: keys are replaced slowly.
const cached = { 'cache-control': 'public, max-age=3600' }

/** Answers for {@link jwksPath} and {@link discoveryPath}; undefined for other paths. `baseUrl` is where clients reach the server; a JWKS address of its own wins. */
export function issuerDocument(
  tokens: ServiceAccountTokens,
  path: string,
  options: { readonly baseUrl: string; readonly jwksUri?: string | undefined },
): ExtraDocument | undefined {
  if (path === jwksPath) {
    const keys = tokens.keys.map(({ id, algorithm, publicKey }) => ({
      use: 'sig',
      kid: id,
      alg: algorithm,
      ...publicKey.export({ format: 'jwk' }),
    }))
    return { contentType: 'application/jwk-set+json', body: JSON.stringify({ keys }), headers: cached }
  }
  if (path !== discoveryPath) return undefined
  const algorithms = [...new Set(tokens.keys.map(({ algorithm }) => algorithm))].toSorted()
  return {
    contentType: 'application/json',
    body: JSON.stringify({
      issuer: tokens.issuer,
      jwks_uri: options.jwksUri ?? new URL(jwksPath, options.baseUrl).href,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: algorithms,
    }),
    headers: cached,
  }
}
