import { forbidden, type KubernetesObject, type ResourceType, type StatusError } from '@k3s/api'
import type { AdmissionRequest } from './admission.ts'

/** The refusal of a request: `pods "a" is forbidden: WHY`. A generated name stands with its prefix. */
export function refusal(request: AdmissionRequest, why: string): StatusError {
  const { metadata } = request.object ?? {}
  return forbidden(request.type, request.name || metadata?.name || metadata?.generateName || 'Unknown', why)
}

/** Whether a request is about objects of a resource (in any version) or one of its subresources. */
export function isFor(request: AdmissionRequest, type: ResourceType, subresource = ''): boolean {
  return request.subresource === subresource && isOf(request, type)
}

function isOf({ type: { resource, group } }: AdmissionRequest, type: ResourceType): boolean {
  return resource === type.resource && group === type.group
}

/** The object of a create or update of `type`; undefined when the request is something else. */
export function objectOf<T extends KubernetesObject>(
  request: AdmissionRequest,
  type: ResourceType<T>,
  operations: readonly AdmissionRequest['operation'][],
  subresource = '',
): T | undefined {
  if (!operations.includes(request.operation) || !isFor(request, type, subresource)) return undefined
  // The resource of the request decides the type of its object.
  return request.object as T | undefined
}

/** The object before an update or delete of `type`. */
export function oldObjectOf<T extends KubernetesObject>(request: AdmissionRequest, type: ResourceType<T>): T | undefined {
  // As above.
  return isOf(request, type) ? (request.oldObject as T | undefined) : undefined
}
