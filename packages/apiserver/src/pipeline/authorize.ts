import { StatusError } from '@k3s/api'
import type { AccessAttributes, Authorizer } from '../auth/auth.ts'

const privilegedGroup = 'system:masters'

/** Told how a request was decided, and why. */
export type DecisionNote = (decision: 'allow' | 'forbid', reason: string) => void

/** Asks each authorizer in turn until one decides; `system:masters` may do everything. Throws Forbidden in upstream's words. */
export async function authorize(authorizers: readonly Authorizer[], attributes: AccessAttributes, note?: DecisionNote): Promise<void> {
  if (attributes.user.groups.includes(privilegedGroup)) {
    note?.('allow', '')
    return
  }
  const reasons: string[] = []
  for (const authorizer of authorizers) {
    const { decision, reason } = await authorizer.authorize(attributes)
    if (decision === 'allow') {
      note?.('allow', reason)
      return
    }
    if (reason !== '') reasons.push(reason)
    if (decision === 'deny') break
  }
  note?.('forbid', reasons.join(', '))
  throw forbiddenRequest(attributes, reasons.join(', '))
}

/** `pods "a" is forbidden: User "x" cannot get resource "pods" in API group "" in the namespace "default"`. */
export function forbiddenRequest(attributes: AccessAttributes, reason: string): StatusError {
  const { user, verb, group, subresource, namespace, name } = attributes
  const why = (text: string): string => (reason === '' ? text : `${text}: ${reason}`)
  if (!attributes.isResource)
    return new StatusError(
      'Forbidden',
      why(`forbidden: User ${JSON.stringify(user.name)} cannot ${verb} path ${JSON.stringify(attributes.path)}`),
      { details: {} },
    )
  const resource = subresource === '' ? attributes.resource : `${attributes.resource}/${subresource}`
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`
  const qualified = group === '' ? attributes.resource : `${attributes.resource}.${group}`
  const subject = name === '' ? `${qualified} is forbidden` : `${qualified} ${JSON.stringify(name)} is forbidden`
  return new StatusError(
    'Forbidden',
    why(
      `${subject}: User ${JSON.stringify(user.name)} cannot ${verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(group)} ${where}`,
    ),
    { details: { ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), kind: attributes.resource } },
  )
}
