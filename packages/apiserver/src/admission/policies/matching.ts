import type { MatchResources } from '@k3s/api/types/admissionregistration/v1'
import { namespaces, type Namespace } from '@k3s/api/types/core/v1'
import { groupResourceOf, notFound } from '@k3s/api'
import type { AdmissionRequest } from '../admission.ts'
import { isConfiguration, type Attributes } from '../matching/attributes.ts'
import type { Catalog } from '../matching/catalog.ts'
import { matchResourceRules, type Match } from '../matching/rules.ts'
import { selectsNamespace, selectsObject } from '../matching/selectors.ts'

/** What a policy or a binding makes of a request; undefined: it is not about it. Throws an Error when that cannot be said. */
export function matchOf(constraints: MatchResources, attributes: Attributes, catalog: Catalog): Match | undefined {
  const match = matchResourceRules(constraints, attributes, catalog)
  if (match === undefined || !selectsObject(constraints.objectSelector, attributes)) return undefined
  return selectsNamespace(constraints.namespaceSelector, attributes) ? match : undefined
}

/** As {@link matchOf}, of a binding: one that says nothing is about everything its policy is about. */
export function bindingMatches(constraints: MatchResources | undefined, attributes: Attributes, catalog: Catalog): boolean {
  return constraints === undefined || matchOf(constraints, attributes, catalog) !== undefined
}

// A mistake in a policy about these would keep everybody from asking what they may do.
const reviews: ReadonlySet<string> = new Set([
  'selfsubjectreviews.authentication.k8s.io',
  'tokenreviews.authentication.k8s.io',
  'localsubjectaccessreviews.authorization.k8s.io',
  'selfsubjectaccessreviews.authorization.k8s.io',
  'selfsubjectrulesreviews.authorization.k8s.io',
  'subjectaccessreviews.authorization.k8s.io',
])

/** Requests that no policy is about. */
export function isExempt(request: AdmissionRequest): boolean {
  return isConfiguration(request) || reviews.has(groupResourceOf(request.type))
}

/** What expressions see as `namespaceObject`; undefined for what is in no namespace. Throws NotFound. */
export function namespaceOf({ kind, namespace, request }: Attributes): Namespace | undefined {
  if (namespace === '' || (kind.group === '' && kind.kind === 'Namespace')) return undefined
  const found = request.scope.objects.get(namespaces, '', namespace)
  if (found === undefined) throw notFound(namespaces, namespace)
  return found
}
