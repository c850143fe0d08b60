import { badRequest, isStatusError } from '@k3s/api'
import {
  type SelfSubjectReview,
  selfsubjectreviews,
  type TokenReview,
  tokenreviews,
  type UserInfo as WireUser,
} from '@k3s/api/types/authentication/v1'
import type { UserInfo } from '../../auth/auth.ts'
import type { TokenAuthenticator } from '../../auth/tokens/token-authenticator.ts'
import type { ResourceStrategy } from '../../registry/strategy.ts'

function wireUser(user: UserInfo): WireUser {
  const extra = Object.fromEntries(Object.entries(user.extra ?? {}).map(([key, values]) => [key, [...values]]))
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  }
}

const authenticated = (user: UserInfo): UserInfo =>
  user.groups.includes('system:authenticated') ? user : { ...user, groups: [...user.groups, 'system:authenticated'] }

/** Tells whom a bearer token stands for. `audiences` are the API server's own. */
export function tokenReviewStrategy(
  authenticators: readonly TokenAuthenticator[],
  audiences: readonly string[],
): ResourceStrategy<TokenReview> {
  return {
    type: tokenreviews,
    async review(review, scope, signal) {
      const { token } = review.spec
      if (!token) throw badRequest('token is required for TokenReview in authentication')
      const wanted = (review.spec.audiences ?? []).length === 0 ? audiences : (review.spec.audiences ?? [])
      const errors: string[] = []
      for (const authenticator of authenticators) {
        try {
          const identity = await authenticator.authenticateToken(token, wanted, signal, scope.annotate)
          if (identity === undefined) continue
          // Tokens that name no audience are for the API server.
          const shared = (identity.audiences ?? audiences).filter((audience) => wanted.includes(audience))
          if (wanted.length > 0 && shared.length === 0) continue
          return { ...review, status: { authenticated: true, user: wireUser(authenticated(identity.user)), audiences: shared } }
        } catch (error) {
          if (!isStatusError(error)) throw error
          errors.push(error.message) // another one may still know the token
        }
      }
      const [first = 'invalid bearer token', ...others] = errors
      const error = others.length === 0 ? first : `[${[first, ...others].join(', ')}]`
      // As upstream: what the asker says of a user stays.
      return { ...review, status: { error, user: review.status?.user ?? {} } }
    },
  }
}

/** Tells the asker who it is. */
export const selfSubjectReviewStrategy: ResourceStrategy<SelfSubjectReview> = {
  type: selfsubjectreviews,
  async review(review, scope) {
    return { ...review, metadata: { ...review.metadata, creationTimestamp: scope.now }, status: { userInfo: wireUser(scope.user) } }
  },
}
