import type { AccessAttributes, Authorizer, Decision } from './auth.ts'

/** The group that may do everything. */
export const mastersGroup = 'system:masters'

/** Allows members of `system:masters` everything; has no opinion on others. */
export const mastersAuthorizer: Authorizer = {
  name: 'SystemMasters',
  authorize: ({ user }): Decision =>
    user.groups.includes(mastersGroup) ? { decision: 'allow', reason: '' } : { decision: 'noOpinion', reason: '' },
}

/** Asks one after the other until one allows or denies; the reasons of those without an opinion are joined. */
export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    name: 'Union',
    async authorize(attributes: AccessAttributes): Promise<Decision> {
      const reasons: string[] = []
      for (const authorizer of authorizers) {
        const answer = authorizer.authorize(attributes)
        const decision = answer instanceof Promise ? await answer : answer
        if (decision.reason !== '') reasons.push(decision.reason)
        if (decision.decision !== 'noOpinion') return { decision: decision.decision, reason: reasons.join('\n') }
      }
      return { decision: 'noOpinion', reason: reasons.join('\n') }
    },
  }
}
