import { joinErrors } from '../errors.ts'
import type { AccessAttributes, Authorizer, Decision } from './auth.ts'

/** The group that may do everything. */
export const mastersGroup = 'system:masters'

/** Allows members of `system:masters` everything; has no opinion on others. */
export const mastersAuthorizer: Authorizer = {
  name: 'SystemMasters',
  authorize: ({ user }): Decision =>
    user.groups.includes(mastersGroup) ? { decision: 'allow', reason: '' } : { decision: 'noOpinion', reason: '' },
}

/** Allows everything. */
export const allowingAuthorizer: Authorizer = {
  name: 'AlwaysAllow',
  authorize: (): Decision => ({ decision: 'allow', reason: '' }),
}

/** Allows nothing, and leaves it to those after it. */
export const refusingAuthorizer: Authorizer = {
  name: 'AlwaysDeny',
  authorize: (): Decision => ({ decision: 'noOpinion', reason: 'Everything is forbidden.' }),
}

/** What those without an opinion had to say. */
interface Remarks {
  readonly reasons: readonly string[]
  readonly errors: readonly string[]
}

/** Asks one after the other until one allows or denies: the answer is that one's. What those without an opinion say is joined. Waits only for those who take their time. */
export function decide(
  authorizers: readonly Authorizer[],
  attributes: AccessAttributes,
  signal?: AbortSignal,
  said: Remarks = { reasons: [], errors: [] },
): Decision | Promise<Decision> {
  const reasons = [...said.reasons]
  const errors = [...said.errors]
  const note = ({ reason, error }: Decision): void => {
    if (reason !== '') reasons.push(reason)
    if (error !== undefined) errors.push(error)
  }
  for (const [index, authorizer] of authorizers.entries()) {
    const answer = authorizer.authorize(attributes, signal)
    if (answer instanceof Promise)
      return answer.then((decision) => {
        if (decision.decision !== 'noOpinion') return decision
        note(decision)
        return decide(authorizers.slice(index + 1), attributes, signal, { reasons, errors })
      })
    if (answer.decision !== 'noOpinion') return answer
    note(answer)
  }
  const reason = reasons.join('\n')
  return errors.length === 0 ? { decision: 'noOpinion', reason } : { decision: 'noOpinion', reason, error: joinErrors(errors) }
}

/** Several authorizers as one: see {@link decide}. The list may change. */
export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return { name: 'Union', authorize: (attributes, signal) => decide(authorizers, attributes, signal) }
}
