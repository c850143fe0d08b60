import type { AccessCheck, AccessChecker, AccessDecision } from '@k3s/cel'
import type { AccessAttributes, Authorizer, Decision, UserInfo } from '../../auth/auth.ts'

/** Thrown out of an evaluation that must wait: when `known` has resolved, it is to be done again. */
export class PendingAccess extends Error {
  override readonly name = 'PendingAccess'
  readonly known: Promise<void>
  constructor(known: Promise<void>) {
    super('the authorizer has not decided yet')
    this.known = known
  }
}

/** Asks the authorizer for expressions, each thing once: an expression is evaluated at once, an authorizer may take its time. Made for one request. */
export function accessChecker(authorizer: Authorizer, user: UserInfo): AccessChecker {
  const decided = new Map<string, AccessDecision>()
  return (check) => {
    const key = JSON.stringify(check)
    const known = decided.get(key)
    if (known !== undefined) return known
    const remember = (decision: AccessDecision): AccessDecision => {
      decided.set(key, decision)
      return decision
    }
    const asked = ask(authorizer, attributesOf(check, user))
    if (!(asked instanceof Promise)) return remember(asked)
    throw new PendingAccess(asked.then((decision) => void remember(decision)))
  }
}

function ask(authorizer: Authorizer, attributes: AccessAttributes): AccessDecision | Promise<AccessDecision> {
  try {
    const decision = authorizer.authorize(attributes)
    return decision instanceof Promise ? decision.then(decisionOf, failed) : decisionOf(decision)
  } catch (error) {
    return failed(error)
  }
}

const decisionOf = ({ decision, reason, error }: Decision): AccessDecision => ({ isAllowed: decision === 'allow', reason, error })

const failed = (error: unknown): AccessDecision => ({
  isAllowed: false,
  reason: '',
  error: error instanceof Error ? error.message : String(error),
})

function attributesOf(check: AccessCheck, user: UserInfo): AccessAttributes {
  const { serviceAccount, path, fieldSelector, labelSelector, ...target } = check
  return {
    ...target,
    user: serviceAccount === undefined ? user : serviceAccountUser(serviceAccount),
    isResource: path === '',
    version: path === '' ? '*' : '',
    path,
    ...(fieldSelector === '' ? {} : { fieldSelector }),
    ...(labelSelector === '' ? {} : { labelSelector }),
  }
}

function serviceAccountUser({ namespace, name }: { readonly namespace: string; readonly name: string }): UserInfo {
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  }
}
