import type { Authenticator, Credentials, UserInfo } from '../auth.ts'

/** Whom a token stands for, and for which audiences it is good (absent: for those of the API server). */
export interface TokenIdentity {
  readonly user: UserInfo
  readonly audiences?: readonly string[] | undefined
}

/** Tells whom bearer tokens of one kind stand for. */
export interface TokenAuthenticator {
  readonly name: string
  /**
   * `audiences` are those that the asker wants; absent means the API server itself. `annotate` adds a note to the audit event of the request.
   * Undefined: not a token of mine. Throws a StatusError `Unauthorized` when it is mine and bad.
   */
  authenticateToken(
    token: string,
    audiences: readonly string[] | undefined,
    signal: AbortSignal,
    annotate?: (key: string, value: string) => void,
  ): Promise<TokenIdentity | undefined>
}

/** The token of an `Authorization: Bearer` header or of a WebSocket's protocol list; undefined when there is none. */
export function bearerToken({ headers }: Credentials): string | undefined {
  const { authorization } = headers
  const text = typeof authorization === 'string' ? authorization : authorization?.[0]
  // As upstream: one space, and what follows a second one is nothing.
  const match = /^bearer ([^ ]+)/i.exec((text ?? '').trim())
  if (match !== null) return match[1]
  const protocols = headers['sec-websocket-protocol']
  const prefix = 'base64url.bearer.authorization.k8s.io.'
  for (const protocol of (typeof protocols === 'string' ? protocols : (protocols?.join(',') ?? '')).split(',')) {
    const name = protocol.trim()
    if (name.startsWith(prefix)) return Buffer.from(name.slice(prefix.length), 'base64url').toString()
  }
  return undefined
}

/** Authenticates requests by their bearer token. */
export function bearerAuthenticator(tokens: TokenAuthenticator): Authenticator {
  return {
    name: tokens.name,
    async authenticate(credentials, signal) {
      const token = bearerToken(credentials)
      return token === undefined ? undefined : tokens.authenticateToken(token, undefined, signal, credentials.annotate)
    },
  }
}
