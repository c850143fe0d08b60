import { authorizerValue, resourceCheckValue, type AccessChecker, type Value } from '@k3s/cel'
import type { KubernetesObject } from '@k3s/api'
import type { Namespace } from '@k3s/api/types/core/v1'
import type { Attributes } from '../matching/attributes.ts'
import type { VersionedObjects } from '../matching/object-versions.ts'
import type { Match } from '../matching/rules.ts'
import type { RequestTarget } from '../../off-loop/heavy-contract.ts'
import { dynamicValue } from './values.ts'

/** What expressions know of a request, as JSON values. */
export interface Facts {
  readonly object: unknown
  readonly oldObject: unknown
  readonly params: unknown
  readonly request: unknown
  readonly namespaceObject: unknown
}

export function factsOf({
  attributes,
  match,
  objects,
  params,
  namespace,
}: {
  readonly attributes: Attributes
  readonly match: Match
  readonly objects: VersionedObjects
  readonly params?: KubernetesObject | undefined
  readonly namespace?: Namespace | undefined
}): Facts {
  const { object = null, oldObject = null } = objects
  return { object, oldObject, params: params ?? null, request: requestOf(attributes, match), namespaceObject: shownNamespace(namespace) }
}

export function targetOf({ resource, subresource, namespace, name }: Attributes): RequestTarget {
  return { group: resource.group, resource: resource.resource, subresource, namespace, name }
}

/** The variables of expressions. `access` absent: they know no authorizer. */
export function valuesOf(facts: Facts, access: AccessChecker | undefined, target: RequestTarget): Record<string, Value> {
  const values: Record<string, Value> = {
    object: dynamicValue(facts.object),
    oldObject: dynamicValue(facts.oldObject),
    params: dynamicValue(facts.params),
    request: dynamicValue(facts.request),
    namespaceObject: dynamicValue(facts.namespaceObject),
  }
  if (access !== undefined) {
    values['authorizer'] = authorizerValue(access)
    values['authorizer.requestResource'] = resourceCheckValue(access, target)
  }
  return values
}

/** The parts of an AdmissionReview's request but for its objects. What is empty is left out, where upstream leaves it out. */
export function requestOf(attributes: Attributes, { resource, kind }: Match): Record<string, unknown> {
  const { subresource, user, namespace, name } = attributes
  const unlessEmpty = (field: string, value: string): Record<string, string> => (value === '' ? {} : { [field]: value })
  return {
    kind,
    resource,
    ...unlessEmpty('subResource', subresource),
    requestKind: attributes.kind,
    requestResource: attributes.resource,
    ...unlessEmpty('requestSubResource', subresource),
    ...unlessEmpty('name', name),
    ...unlessEmpty('namespace', namespace),
    operation: attributes.operation,
    userInfo: {
      ...unlessEmpty('username', user.name),
      ...unlessEmpty('uid', user.uid ?? ''),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(Object.keys(user.extra ?? {}).length === 0 ? {} : { extra: user.extra }),
    },
    dryRun: attributes.isDryRun,
    options: attributes.options ?? null,
  }
}

function shownNamespace(namespace: Namespace | undefined): unknown {
  if (namespace === undefined) return null
  const { metadata, spec, status } = namespace
  const { ownerReferences: _owners, managedFields: _managed, ...shown } = metadata
  return { metadata: shown, spec, status }
}
