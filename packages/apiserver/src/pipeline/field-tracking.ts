import { apiVersionOf, deducedSchema, updateManagedFields, type FieldSet, type JsonObject, type KubernetesObject } from '@k3s/api'
import type { ResourceStorage } from '../registry/served-resource.ts'
import { storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'

/** Fields that a request on a custom resource cannot set, and so does not own by it; undefined where the schema says it. */
export function resetFieldsOf(storage: ResourceStorage, subresource: string): FieldSet | undefined {
  if (storage.view === undefined) return undefined
  if (subresource === 'status') return { 'f:metadata': {}, 'f:spec': {} }
  return storage.hasPlainStatus === true ? {} : { 'f:status': {} }
}

/** Hooks for the registry that keep `metadata.managedFields`. */
export interface FieldTracking {
  ofCreate(): { track(object: KubernetesObject): void }
  ofUpdate(): { track(object: KubernetesObject, previous: KubernetesObject): void }
}

/** Records the request's manager as owner of what the request sets. Versions that are not stored are recorded by the stored one's fields. */
export function fieldTracking(request: ResourceRequest, options: WriteOptions, now: Date): FieldTracking {
  const storage = storageOf(request)
  const write = {
    schema: storage.mergeSchema ?? storage.schema ?? deducedSchema,
    manager: options.fieldManager,
    apiVersion: apiVersionOf(storage.resource.type),
    subresource: request.info.subresource,
    resetFields: resetFieldsOf(storage, request.info.subresource),
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
