import { StatusError } from '@k3s/api'
import type { AccessAttributes, Authorizer } from '../auth/auth.ts'
import { decide, mastersGroup } from '../auth/authorizers.ts'
import { escapeHtml } from '../errors.ts'

/** Told how a request was decided, and why; nothing was when somebody could not be asked. */
export type DecisionNote = (decision: 'allow' | 'forbid' | undefined, reason: string) => void

export interface AuthorizeOptions {
  readonly note?: DecisionNote | undefined
  /** Ends the waiting for others' answers. */
  readonly signal?: AbortSignal | undefined
  /** What to throw when somebody could not be asked and nobody decided; default: what is forbidden. */
  readonly undecidedAs?: ((why: string) => StatusError) | undefined
}

/** Asks each authorizer in turn until one decides; `system:masters` may do everything. Throws Forbidden in upstream's words. */
export async function authorize(
  authorizers: readonly Authorizer[],
  attributes: AccessAttributes,
  { note, signal, undecidedAs }: AuthorizeOptions = {},
): Promise<void> {
  if (attributes.user.groups.includes(mastersGroup)) {
    note?.('allow', '')
    return
  }
  const answer = decide(authorizers, attributes, signal)
  const { decision, reason, error } = answer instanceof Promise ? await answer : answer
  if (decision === 'allow') {
    note?.('allow', reason)
    return
  }
  if (error !== undefined && undecidedAs !== undefined) {
    note?.(undefined, 'internal error')
    throw undecidedAs(error)
  }
  note?.('forbid', reason)
  throw forbiddenRequest(attributes, reason)
}

/** `pods "a" is forbidden: User "x" cannot get resource "pods" in API group "" in the namespace "default"`. */
export function forbiddenRequest(attributes: AccessAttributes, reason: string): StatusError {
  const { user, verb, group, subresource, namespace, name } = attributes
  const why = (text: string): string => (reason === '' ? text : `${text}: ${reason}`)
  if (!attributes.isResource)
    return new StatusError(
      'Forbidden',
      why(`forbidden: ${escapeHtml(`User ${JSON.stringify(user.name)} cannot ${verb} path ${JSON.stringify(attributes.path)}`)}`),
      { details: {} },
    )
  const resource = subresource === '' ? attributes.resource : `${attributes.resource}/${subresource}`
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`
  const qualified = group === '' ? attributes.resource : `${attributes.resource}.${group}`
  const subject = name === '' ? `${qualified} is forbidden` : `${qualified} ${JSON.stringify(name)} is forbidden`
  const what = `User ${JSON.stringify(user.name)} cannot ${verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(group)} ${where}`
  return new StatusError('Forbidden', why(`${subject}: ${escapeHtml(what)}`), {
    details: { ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), kind: attributes.resource },
  })
}
