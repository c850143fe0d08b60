import { one } from '../costs.ts'
import { overload, type Overload } from '../overload.ts'
import { EvaluationError, Opaque, type Value } from '../values.ts'
import { asString } from './arguments.ts'

/** What an expression asks leave for. Of a question about a path, `resource` is empty; of one about a resource, `path`. */
export interface AccessCheck {
  /** Asked for instead of for the one who makes the request. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string } | undefined
  readonly verb: string
  readonly path: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** Empty for none. */
  readonly fieldSelector: string
  readonly labelSelector: string
}

export interface AccessDecision {
  readonly isAllowed: boolean
  readonly reason: string
  /** Why there is no decision. */
  readonly error?: string | undefined
}

/** Answers at once. What it throws ends the evaluation and comes out of `Program.evaluate`: who must wait for an answer throws, waits and evaluates again. */
export type AccessChecker = (check: AccessCheck) => AccessDecision

type Target = Omit<AccessCheck, 'verb'>

interface Asked {
  readonly checker: AccessChecker
  readonly target: Target
}

const prefix = 'kubernetes.authorization.'
const unnamed: Target = {
  serviceAccount: undefined,
  path: '',
  group: '',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
  fieldSelector: '',
  labelSelector: '',
}
// As upstream: no more than two questions in one expression.
const checkCost = 350_000
const selectorCharacterCost = 0.1
const listCost = 10

const make = (kind: string, content: Asked | AccessDecision): Opaque =>
  new Opaque(prefix + kind, content, { equals: (other) => other === content })

/** The value of a variable of the type `kubernetes.authorization.Authorizer`. */
export function authorizerValue(checker: AccessChecker): Value {
  return make('Authorizer', { checker, target: unnamed })
}

/** The value of a variable of the type `kubernetes.authorization.ResourceCheck`. */
export function resourceCheckValue(
  checker: AccessChecker,
  target: Pick<AccessCheck, 'group' | 'resource' | 'subresource' | 'namespace' | 'name'>,
): Value {
  return make('ResourceCheck', { checker, target: { ...unnamed, ...target } })
}

function asked(value: Value | undefined): Asked {
  if (!(value instanceof Opaque) || !value.typeName.startsWith(prefix)) throw new EvaluationError('no such overload')
  return value.content as Asked // made above; decisions have functions of their own
}

function decisionOf(value: Value | undefined): AccessDecision {
  if (!(value instanceof Opaque) || value.typeName !== `${prefix}Decision`) throw new EvaluationError('no such overload')
  return value.content as AccessDecision // made below
}

/** The same question with one thing said in addition. */
function narrowed(value: Value | undefined, kind: string, more: Partial<Target>): Opaque {
  const { checker, target } = asked(value)
  return make(kind, { checker, target: { ...target, ...more } })
}

function mustSay(value: Value | undefined, what: string): string {
  const text = asString(value)
  if (text.trim() === '') throw new EvaluationError(`${what} must not be empty`)
  return text
}

const nameLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const maxLabel = 63
const maxName = 253

function serviceAccount(namespace: string, name: string): { readonly namespace: string; readonly name: string } {
  if (name.length > maxName || !name.split('.').every((label) => nameLabel.test(label)))
    throw new EvaluationError('Invalid service account name')
  if (namespace.length > maxLabel || !nameLabel.test(namespace)) throw new EvaluationError('Invalid service account namespace')
  return { namespace, name }
}

function check(value: Value | undefined, verb: Value | undefined): Opaque {
  const { checker, target } = asked(value)
  return make('Decision', checker({ ...target, verb: asString(verb) }))
}

const narrowing = (name: 'subresource' | 'namespace' | 'name'): Overload =>
  overload(
    `resourcecheck_${name} on kubernetes.authorization.ResourceCheck.${name}(string) kubernetes.authorization.ResourceCheck`,
    (a, b) => narrowed(a, 'ResourceCheck', { [name]: asString(b) }),
    one,
  )

const selecting = (name: 'fieldSelector' | 'labelSelector'): Overload =>
  overload(
    `authorizer_${name.toLowerCase()} on kubernetes.authorization.ResourceCheck.${name}(string) kubernetes.authorization.ResourceCheck`,
    (a, b) => narrowed(a, 'ResourceCheck', { [name]: asString(b) }),
    (args) => Math.ceil(asString(args[1]).length * selectorCharacterCost) + listCost,
  )

/** Kubernetes' library of authorization: `authorizer.group('').resource('pods').namespace('a').check('create').allowed()`. */
export const authorizerFunctions: readonly Overload[] = [
  overload(
    'authorizer_path on kubernetes.authorization.Authorizer.path(string) kubernetes.authorization.PathCheck',
    (a, b) => narrowed(a, 'PathCheck', { path: mustSay(b, 'path') }),
    one,
  ),
  overload(
    'authorizer_group on kubernetes.authorization.Authorizer.group(string) kubernetes.authorization.GroupCheck',
    (a, b) => narrowed(a, 'GroupCheck', { group: asString(b) }),
    one,
  ),
  overload(
    'authorizer_serviceaccount on kubernetes.authorization.Authorizer.serviceAccount(string, string) kubernetes.authorization.Authorizer',
    (a, b, c) => narrowed(a, 'Authorizer', { serviceAccount: serviceAccount(asString(b), asString(c)) }),
    one,
  ),
  overload(
    'groupcheck_resource on kubernetes.authorization.GroupCheck.resource(string) kubernetes.authorization.ResourceCheck',
    (a, b) => narrowed(a, 'ResourceCheck', { resource: mustSay(b, 'resource') }),
    one,
  ),
  narrowing('subresource'),
  narrowing('namespace'),
  narrowing('name'),
  selecting('fieldSelector'),
  selecting('labelSelector'),
  ...['PathCheck', 'ResourceCheck'].map((kind) =>
    overload(
      `${kind.toLowerCase()}_check on kubernetes.authorization.${kind}.check(string) kubernetes.authorization.Decision`,
      check,
      () => checkCost,
    ),
  ),
  overload('decision_errored on kubernetes.authorization.Decision.errored() bool', (a) => decisionOf(a).error !== undefined, one),
  overload('decision_error on kubernetes.authorization.Decision.error() string', (a) => decisionOf(a).error ?? '', one),
  overload('decision_allowed on kubernetes.authorization.Decision.allowed() bool', (a) => decisionOf(a).isAllowed, one),
  overload('decision_reason on kubernetes.authorization.Decision.reason() string', (a) => decisionOf(a).reason, one),
]
