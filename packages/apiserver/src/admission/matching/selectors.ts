import { notFound } from '@k3s/api'
import { namespaces } from '@k3s/api/types/core/v1'
import type { LabelSelector } from '@k3s/api/types/meta/v1'
import { isEmptySelector, selectorMatches } from '../../resources/shared/label-selector.ts'
import type { Attributes } from './attributes.ts'

/** Objects in no namespace are always selected. Throws NotFound when the namespace is missing. */
export function selectsNamespace(selector: LabelSelector | undefined, attributes: Attributes): boolean {
  const { namespace, resource, operation, subresource, request } = attributes
  const isNamespace = resource.resource === 'namespaces'
  if ((namespace === '' && !isNamespace) || selector === undefined || isEmptySelector(selector)) return true
  if (isNamespace && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE'))
    return selectorMatches(selector, request.object?.metadata.labels)
  const found = request.scope.objects.get(namespaces, '', namespace)
  if (found === undefined) throw notFound(namespaces, namespace)
  return selectorMatches(selector, found.metadata.labels)
}

/** By the labels of the object or of that which it replaces. */
export function selectsObject(selector: LabelSelector | undefined, { request }: Pick<Attributes, 'request'>): boolean {
  if (selector === undefined || isEmptySelector(selector)) return true
  return [request.object, request.oldObject].some(
    (object) => object?.metadata !== undefined && selectorMatches(selector, object.metadata.labels),
  )
}
