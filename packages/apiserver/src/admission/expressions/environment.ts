import { dyn, Environment, listOf, mapOf, opaque, simple, type CelType, type ObjectType } from '@k3s/cel'
import { formats } from '../../custom-resources/schema/compile-rules.ts'

/** What the expressions of one place may use besides `object`, `oldObject`, `request` and `namespaceObject`. */
export interface EnvironmentChoice {
  readonly hasParams: boolean
  readonly hasAuthorizer: boolean
  readonly makesPatches?: boolean | undefined
  /** Types of the fields of `variables`; absent: there is no such variable. */
  readonly variables?: ReadonlyMap<string, CelType> | undefined
  /** Types that are known, for checks ahead of any request. */
  readonly types?: { readonly object?: CelType | undefined; readonly params?: CelType | undefined } | undefined
}

const text = simple('string')
const object = (name: string, fields: Readonly<Record<string, CelType>>): ObjectType => ({
  kind: 'object',
  name: `kubernetes.${name}`,
  fields: new Map(Object.entries(fields)),
})

const kindType = object('GroupVersionKind', { group: text, version: text, kind: text })
const resourceType = object('GroupVersionResource', { group: text, version: text, resource: text })

const requestType = object('AdmissionRequest', {
  kind: kindType,
  resource: resourceType,
  subResource: text,
  requestKind: kindType,
  requestResource: resourceType,
  requestSubResource: text,
  name: text,
  namespace: text,
  operation: text,
  userInfo: object('UserInfo', { username: text, uid: text, groups: listOf(text), extra: mapOf(text, listOf(text)) }),
  dryRun: simple('bool'),
  options: dyn,
})

// As upstream names them, `UID` among them.
const namespaceType = object('Namespace', {
  metadata: object('NamespaceMetadata', {
    name: text,
    generateName: text,
    namespace: text,
    labels: mapOf(text, text),
    annotations: mapOf(text, text),
    UID: text,
    creationTimestamp: simple('timestamp'),
    deletionGracePeriodSeconds: simple('int'),
    deletionTimestamp: simple('timestamp'),
    generation: simple('int'),
    resourceVersion: text,
    finalizers: listOf(text),
  }),
  spec: object('NamespaceSpec', { finalizers: listOf(text) }),
  status: object('NamespaceStatus', {
    conditions: listOf(
      object('NamespaceCondition', { status: text, type: text, lastTransitionTime: simple('timestamp'), message: text, reason: text }),
    ),
    phase: text,
  }),
})

/** What expressions of webhooks and policies may use. */
export function admissionEnvironment(choice: EnvironmentChoice): Environment {
  const { hasParams, hasAuthorizer, variables, types } = choice
  const known: Record<string, CelType> = {
    object: types?.object ?? dyn,
    oldObject: types?.object ?? dyn,
    namespaceObject: namespaceType,
    request: requestType,
  }
  if (hasParams) known['params'] = types?.params ?? dyn
  if (hasAuthorizer) {
    known['authorizer'] = opaque('kubernetes.authorization.Authorizer')
    // Checks ahead of requests know the authorizer alone.
    if (types === undefined) known['authorizer.requestResource'] = opaque('kubernetes.authorization.ResourceCheck')
  }
  if (variables !== undefined) known['variables'] = { kind: 'object', name: 'kubernetes.variables', fields: variables }
  return new Environment({ variables: known, formats, makesPatches: choice.makesPatches })
}

/** How later expressions see a variable: parts of objects and types of libraries are not known of it. */
export function variableType(type: CelType | undefined): CelType {
  if (type === undefined) return dyn
  switch (type.kind) {
    case 'object':
    case 'opaque':
    case 'type':
    case 'param':
      return dyn
    case 'list':
      return listOf(variableType(type.of))
    case 'map':
      return mapOf(variableType(type.key), variableType(type.value))
    default:
      return type
  }
}
