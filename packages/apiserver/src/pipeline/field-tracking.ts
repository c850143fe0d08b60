import { apiVersionOf, deducedSchema, updateManagedFields, type JsonObject, type KubernetesObject } from '@k3s/api'
import { storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'

/** Hooks for the registry that keep `metadata.managedFields`. */
export interface FieldTracking {
  ofCreate(): { track(object: KubernetesObject): void }
  ofUpdate(): { track(object: KubernetesObject, previous: KubernetesObject): void }
}

/** Records the request's manager as owner of what the request sets. Versions that are not stored are recorded by the stored one's fields. */
export function fieldTracking(request: ResourceRequest, options: WriteOptions, now: Date): FieldTracking {
  const storage = storageOf(request)
  const write = {
    schema: storage.schema ?? deducedSchema,
    manager: options.fieldManager,
    apiVersion: apiVersionOf(storage.resource.type),
    subresource: request.info.subresource,
    now,
  }
  const track = (object: KubernetesObject, previous: KubernetesObject | undefined): void => {
    // API objects are JSON objects.
    const next = updateManagedFields({
      ...write,
      next: object as unknown as JsonObject,
      previous: previous as unknown as JsonObject | undefined,
    })
    const { managedFields } = (next as unknown as KubernetesObject).metadata
    if (managedFields === undefined) delete object.metadata.managedFields
    else object.metadata.managedFields = managedFields
  }
  return { ofCreate: () => ({ track: (object) => track(object, undefined) }), ofUpdate: () => ({ track }) }
}
