import { StatusError } from '@k3s/api'
import type { Authenticator, Credentials, UserInfo } from '../auth/auth.ts'
import { bearerToken } from '../auth/tokens/token-authenticator.ts'

const authenticatedGroup = 'system:authenticated'
const unauthenticatedGroup = 'system:unauthenticated'

/** Who is nobody. */
export const anonymousUser: UserInfo = { name: 'system:anonymous', groups: [unauthenticatedGroup] }

/** 401 in upstream's words. */
export function unauthorized(cause?: unknown): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized', { cause })
}

/**
 * Asks each authenticator until one knows the credentials. When none does, the request is anonymous; when the one that does refuses them,
 * or when a bearer token was shown that nobody knows, it is Unauthorized.
 */
export async function authenticate(
  authenticators: readonly Authenticator[],
  credentials: Credentials,
  options: { readonly allowAnonymous: boolean; readonly signal: AbortSignal },
): Promise<UserInfo> {
  let refusal: unknown
  for (const authenticator of authenticators) {
    try {
      const found = await authenticator.authenticate(credentials, options.signal)
      if (found !== undefined) return withAuthenticatedGroup(found.user)
    } catch (error) {
      options.signal.throwIfAborted()
      refusal ??= error // another authenticator may still know them
    }
  }
  if (refusal !== undefined) throw unauthorized(refusal)
  // As upstream, who shows credentials of a kind that nobody here takes is anonymous; a token that nobody knows is not.
  if (bearerToken(credentials) !== undefined || !options.allowAnonymous) throw unauthorized()
  return anonymousUser
}

function withAuthenticatedGroup(user: UserInfo): UserInfo {
  if (user.groups.includes(authenticatedGroup) || user.groups.includes(unauthenticatedGroup)) return user
  return { ...user, groups: [...user.groups, authenticatedGroup] }
}
