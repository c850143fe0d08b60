import {
  apiVersionOf,
  deducedSchema,
  groupResourceOf,
  updateManagedFields,
  type FieldSet,
  type JsonObject,
  type KubernetesObject,
  type ManagedWrite,
  type ResourceType,
} from '@k3s/api'
import { isObject } from '../json.ts'
import { toServed, type ResourceStorage } from '../registry/served-resource.ts'
import { storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'

/** Fields that a request on a custom resource cannot set, and so does not own by it; undefined where the schema says it. */
export function resetFieldsOf(storage: ResourceStorage, subresource: string): FieldSet | undefined {
  if (storage.view === undefined) return builtInResetFields(storage.resource.type, subresource)
  if (subresource === 'status') return { 'f:metadata': {}, 'f:spec': {} }
  return storage.hasPlainStatus === true ? {} : { 'f:status': {} }
}

/** Of the built-in kinds few differ from what the schema says. */
function builtInResetFields(type: ResourceType, subresource: string): FieldSet | undefined {
  const name = groupResourceOf(type)
  // Its labels stay as they are when the status is written.
  if (name === 'deployments.apps' && subresource === 'status') return { 'f:spec': {}, 'f:metadata': { 'f:labels': {} } }
  if (name === 'namespaces' && subresource === 'finalize') return { 'f:status': {} }
  if (name !== 'certificatesigningrequests.certificates.k8s.io') return undefined
  if (subresource === 'status') return { 'f:spec': {}, 'f:status': { 'f:conditions': {} } }
  return { 'f:spec': {}, 'f:status': subresource === 'approval' ? { 'f:certificate': {} } : {} }
}

/** Records the owner of what is answered and not stored, in place, as if it were created; whoever asks may say something of the status. */
export function trackAnswer(object: KubernetesObject, write: Omit<ManagedWrite, 'resetFields'>): void {
  const { status, ...asked } = object as unknown as JsonObject // an API object is a JSON object
  const said = saidOf(status)
  const next = said === undefined ? asked : { ...asked, status: said }
  const { managedFields } = (updateManagedFields({ ...write, next, previous: undefined, resetFields: {} }) as unknown as KubernetesObject)
    .metadata
  if (managedFields !== undefined) object.metadata.managedFields = managedFields
}

/** A value without what is empty; undefined for one that is. */
function saidOf(value: unknown): unknown {
  if (!isObject(value)) return value === false || value === '' ? undefined : value
  const said = Object.entries(value).flatMap(([name, inner]) => {
    const part = saidOf(inner)
    return part === undefined ? [] : [[name, part] as const]
  })
  return said.length === 0 ? undefined : Object.fromEntries(said)
}

/** Hooks for the registry that keep `metadata.managedFields`. */
export interface FieldTracking {
  ofCreate(): { track(object: KubernetesObject): void }
  ofUpdate(): { track(object: KubernetesObject, previous: KubernetesObject): void }
}

/** Records the request's manager as owner of what the request sets, in the version of the request. */
export function fieldTracking(
  request: Pick<ResourceRequest, 'served'> & { readonly info: Pick<ResourceRequest['info'], 'subresource'> },
  options: Pick<WriteOptions, 'fieldManager'>,
  now: Date,
): FieldTracking {
  const storage = storageOf(request)
  const { served } = request
  const isConverted = served.conversion !== undefined
  const write = {
    schema: (isConverted ? served.schema : undefined) ?? storage.mergeSchema ?? storage.schema ?? deducedSchema,
    manager: options.fieldManager,
    apiVersion: apiVersionOf(isConverted ? served.type : storage.resource.type),
    subresource: request.info.subresource,
    resetFields: resetFieldsOf(storage, request.info.subresource),
    now,
  }
  const track = (object: KubernetesObject, previous: KubernetesObject | undefined): void => {
    // API objects are JSON objects.
    const next = updateManagedFields({
      ...write,
      next: toServed(served, object) as unknown as JsonObject,
      previous: (previous === undefined ? undefined : toServed(served, previous)) as unknown as JsonObject | undefined,
    })
    const { managedFields } = (next as unknown as KubernetesObject).metadata
    if (managedFields === undefined) delete object.metadata.managedFields
    else object.metadata.managedFields = managedFields
  }
  return { ofCreate: () => ({ track: (object) => track(object, undefined) }), ofUpdate: () => ({ track }) }
}
