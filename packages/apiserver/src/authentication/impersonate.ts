import { badRequest, hasReason } from '@k3s/api'
import type { AccessAttributes, Authorizer, Credentials, UserInfo } from '../auth/auth.ts'
import { authorize, forbiddenRequest } from '../pipeline/authorize.ts'
import type { ActingUser } from '../pipeline/handle-call.ts'
import { dns1123Subdomain } from '../validation/names.ts'
import { extraOf, firstValue, valuesOf } from './header-values.ts'

const extraPrefix = 'impersonate-extra-'
const serviceAccountPattern = /^system:serviceaccount:([^:]+):([^:]+)$/
const nodePrefix = 'system:node:'
const nodeNameKey = 'authentication.kubernetes.io/node-name'
const nodeKeysKey = 'authentication.kubernetes.io/associated-node-keys'
const authenticationGroup = { group: 'authentication.k8s.io', version: 'v1' }
const coreGroup = { group: '', version: 'v1' }

/** Whom a request wants to be. */
interface Wanted {
  readonly name: string
  readonly uid: string | undefined
  readonly groups: readonly string[]
  readonly extra: UserInfo['extra']
}

/** Who asks, by what right, and for what. */
interface Impersonation {
  readonly requestor: UserInfo
  readonly wanted: Wanted
  readonly authorizers: readonly Authorizer[]
  /** What the request does, of the requestor. */
  readonly request: AccessAttributes
}

/** One of the ways to be allowed: undefined when it is not for such a user. Throws Forbidden. */
type Mode = (impersonation: Impersonation) => Promise<ActingUser> | undefined

/** True for requests that {@link impersonate} has something to say of. */
export function asksToBe(headers: Credentials['headers']): boolean {
  for (const name in headers) if (name.startsWith('impersonate-')) return true
  return false
}

/**
 * The user as whom the request wants to act, after checking that its own user may: by the right to be them in such a request
 * (`impersonate-on:MODE:VERB` and `impersonate:MODE`), or in all (`impersonate`). Undefined when it asks for nothing. Throws Forbidden and BadRequest.
 */
export async function impersonate(
  requestor: UserInfo,
  headers: Credentials['headers'],
  { authorizers, request }: { readonly authorizers: readonly Authorizer[]; readonly request: Omit<AccessAttributes, 'user'> },
): Promise<ActingUser | undefined> {
  const wanted = {
    name: firstValue(headers, ['impersonate-user']),
    uid: firstValue(headers, ['impersonate-uid']),
    groups: valuesOf(headers, 'impersonate-group'),
    extra: extraOf(headers, [extraPrefix]),
  }
  const { name } = wanted
  if (name === undefined) {
    if (wanted.groups.length > 0 || wanted.uid !== undefined || wanted.extra !== undefined)
      throw badRequest(`requested ${goUser(wanted)} without impersonating a user name`)
    return undefined
  }
  const impersonation: Impersonation = { requestor, wanted: { ...wanted, name }, authorizers, request: { ...request, user: requestor } }
  let refusal: unknown
  for (const mode of modes) {
    try {
      const user = await mode(impersonation)
      if (user !== undefined) return user
    } catch (error) {
      if (!hasReason(error, 'Forbidden')) throw error
      refusal ??= error
    }
  }
  throw refusal
}

const isNamedOnly = ({ uid, groups, extra }: Wanted): boolean => uid === undefined && groups.length === 0 && extra === undefined

function nodeNameOf(name: string): string | undefined {
  if (!name.startsWith(nodePrefix)) return undefined
  const node = name.slice(nodePrefix.length)
  return dns1123Subdomain(node).length === 0 ? node : undefined
}

/** The node on which the pod runs whose service account asks may be impersonated by the right to any such node. */
const associatedNode: Mode = (given) => {
  const { requestor, wanted } = given
  const node = nodeNameOf(wanted.name)
  const own = requestor.extra?.[nodeNameKey] ?? []
  if (node === undefined || !isNamedOnly(wanted) || !serviceAccountPattern.test(requestor.name) || own.length !== 1 || own[0] !== node)
    return undefined
  const asked = { ...requestor, extra: { [nodeKeysKey]: Object.keys(requestor.extra ?? {}).toSorted() } }
  return constrained({ ...given, requestor: asked }, 'associated-node', '*')
}

const arbitraryNode: Mode = (given) =>
  nodeNameOf(given.wanted.name) !== undefined && isNamedOnly(given.wanted) ? constrained(given, 'arbitrary-node') : undefined

const serviceAccount: Mode = (given) =>
  serviceAccountPattern.test(given.wanted.name) && isNamedOnly(given.wanted) ? constrained(given, 'serviceaccount') : undefined

const userInfo: Mode = (given) =>
  nodeNameOf(given.wanted.name) === undefined && !serviceAccountPattern.test(given.wanted.name)
    ? constrained(given, 'user-info')
    : undefined

const legacy: Mode = (given) => allowed(given, { verb: 'impersonate', isConstrained: false })

// In this order the first refusal is what the client is told.
const modes: readonly Mode[] = [associatedNode, arbitraryNode, serviceAccount, userInfo, legacy]

async function constrained(given: Impersonation, mode: string, nodeName?: string): Promise<ActingUser> {
  const { authorizers, request, requestor } = given
  await authorize(authorizers, { ...request, user: requestor, verb: `impersonate-on:${mode}:${request.verb}` })
  return allowed(given, { verb: `impersonate:${mode}`, isConstrained: true, nodeName })
}

interface Rights {
  readonly verb: string
  readonly isConstrained: boolean
  /** Asked for in place of the node's own name. */
  readonly nodeName?: string | undefined
}

/** Asks for the right to every part of the wanted user. */
async function allowed({ requestor, wanted, authorizers }: Impersonation, rights: Rights): Promise<ActingUser> {
  const { verb, isConstrained } = rights
  const nameGroup = isConstrained ? authenticationGroup : coreGroup
  const attributes = (what: Partial<AccessAttributes>): AccessAttributes => ({
    ...authenticationGroup,
    user: requestor,
    verb,
    isResource: true,
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    path: '',
    ...what,
  })
  const may = (what: Partial<AccessAttributes>): Promise<void> => authorize(authorizers, attributes(what))
  const { name, uid, groups, extra } = wanted
  const account = serviceAccountPattern.exec(name)
  const node = isConstrained ? nodeNameOf(name) : undefined
  let actual: readonly string[] = groups
  if (account !== null) {
    const [, namespace = '', accountName = ''] = account
    if (groups.length === 0) actual = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
    await may({ ...nameGroup, resource: 'serviceaccounts', namespace, name: accountName })
  } else if (node !== undefined) {
    actual = ['system:nodes']
    await may({ ...nameGroup, resource: 'nodes', name: rights.nodeName ?? node })
  } else await may({ ...nameGroup, resource: 'users', name })
  if (uid !== undefined) await may({ resource: 'uids', name: uid })
  const groupAttributes = { ...nameGroup, resource: 'groups' }
  if (isConstrained && groups.includes(''))
    throw forbiddenRequest(attributes(groupAttributes), 'impersonating the empty string group is not allowed')
  if (isConstrained && groups.includes('system:masters')) {
    const masters = attributes({ ...groupAttributes, name: 'system:masters' })
    throw forbiddenRequest(masters, 'impersonating the system:masters group is not allowed')
  }
  for (const group of groups) await may({ ...groupAttributes, name: group })
  const problem = isConstrained ? extraProblem(extra ?? {}) : undefined
  if (problem !== undefined) throw forbiddenRequest(attributes({ resource: 'userextras' }), problem)
  for (const [key, values] of Object.entries(extra ?? {}))
    for (const value of values) await may({ resource: 'userextras', subresource: key, name: value })
  const automatic = name === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated'
  const isComplete = actual.includes(automatic) || actual.includes('system:unauthenticated')
  const user: UserInfo = { name, uid, extra, groups: isComplete ? actual : [...actual, automatic] }
  return { user, ...(isConstrained ? { constraint: verb } : {}) }
}

function extraProblem(extra: Readonly<Record<string, readonly string[]>>): string | undefined {
  for (const [key, values] of Object.entries(extra)) {
    if (key === '') return 'impersonating the empty string key in extra is not allowed'
    const slash = key.indexOf('/')
    if (slash <= 0 || slash === key.length - 1 || dns1123Subdomain(key.slice(0, slash)).length > 0)
      return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${JSON.stringify(key)}: must be a domain-prefixed path (such as "acme.io/foo")`
    if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`
    if (values.length === 0) return 'impersonating empty values in extra is not allowed'
    if (values.includes('')) return 'impersonating the empty string value in extra is not allowed'
  }
  return undefined
}

/** As Go prints it: the message is the only place where clients see it. */
function goUser({ uid = '', groups, extra }: Omit<Wanted, 'name'>): string {
  const list = (values: readonly string[]): string =>
    `[]string${values.length === 0 ? '(nil)' : `{${values.map((value) => JSON.stringify(value)).join(', ')}}`}`
  const entries = Object.entries(extra ?? {}).map(
    ([key, values]) => `${JSON.stringify(key)}:[]string{${values.map((value) => JSON.stringify(value)).join(', ')}}`,
  )
  const map = `map[string][]string${entries.length === 0 ? '(nil)' : `{${entries.join(', ')}}`}`
  return `&user.DefaultInfo{Name:"", UID:${JSON.stringify(uid)}, Groups:${list(groups)}, Extra:${map}}`
}
