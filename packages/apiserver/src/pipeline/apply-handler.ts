import {
  apiVersionOf,
  applyPatch,
  badRequest,
  conflict,
  deducedSchema,
  StatusError,
  type JsonObject,
  type KubernetesObject,
} from '@k3s/api'
import { decodePatched, type FieldValidation } from '../codec.ts'
import { isObject } from '../json.ts'
import { readLarge } from '../off-loop/heavy-work.ts'
import { toServed, toStored, type ResourceStorage, type ServedResource } from '../registry/served-resource.ts'
import { updateObject } from '../registry/update-object.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import type { PatchDocument } from './apply-patch.ts'
import { resetFieldsOf } from './field-tracking.ts'
import { heavyWriteOf } from './heavy-request.ts'
import type { OpenPatch } from './patch-handler.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { sourceOf } from './write-handlers.ts'
import { scopeOf, storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'

/** Server-side apply: merges by ownership of fields, and creates the object when there is none. The document is the applied configuration. */
export async function handleApply(
  core: ApiCore,
  request: ResourceRequest,
  { body, read }: OpenPatch,
  options: WriteOptions,
): Promise<Answer> {
  const { info, served, call } = request
  const storage = storageOf(request)
  const heavy = heavyWriteOf(core, request, options, body)
  const warn = (message: string): void => call.warn(message)
  // What it is worth is told before anything is looked up.
  if (heavy?.isHeavyBody !== true) configurationOf(read(), info)
  const merge = async (current: CachedObject | undefined): Promise<KubernetesObject> => {
    const { fieldManager, force, fieldValidation } = options
    const nowMs = core.clock.now()
    if (!('bytes' in body) || heavy === undefined || !(current === undefined ? heavy.isHeavyBody : heavy.isHeavy(current)))
      return mergeApplied({ served, storage, info, warn }, read(), current?.object, {
        fieldManager,
        force,
        fieldValidation,
        now: new Date(nowMs),
      })
    const { name, namespace, subresource } = info
    const how = { at: { name, namespace }, subresource, fieldManager, force, fieldValidation, nowMs }
    const { json, warnings } = await heavy.run('apply', { ...how, body, current }, call.signal)
    for (const warning of warnings) warn(warning)
    return readLarge(json)
  }
  const result = await updateObject(core.registry, {
    storage,
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    scope: scopeOf(core, request, options),
    allowsMissingVersion: true,
    heavy: heavy?.untracked,
    source: sourceOf(served, body),
    produce: merge,
    ...(info.subresource === '' ? { create: async () => ({ object: await merge(undefined), heavy: heavy?.untracked }) } : {}),
  })
  return { type: 'stored', code: result.isCreated ? 201 : 200, served, object: result.object }
}

/** What an applied configuration needs to know of its request. */
export interface ApplyRequest {
  readonly served: ServedResource
  readonly storage: ResourceStorage
  readonly info: { readonly name: string; readonly namespace: string; readonly subresource: string }
  warn(message: string): void
}

export interface ApplyOptions {
  readonly fieldManager: string
  readonly force: boolean | undefined
  readonly fieldValidation: FieldValidation
  readonly now: Date
}

/** The stored object with an applied configuration; what it makes when there is none. Throws StatusErrors. */
export function mergeApplied(
  request: ApplyRequest,
  document: PatchDocument,
  stored: KubernetesObject | undefined,
  options: ApplyOptions,
): KubernetesObject {
  const { served, storage, info } = request
  const patch = configurationOf(document, info)
  const { resourceVersion, uid } = metadataOf(patch)
  const hasVersion = typeof resourceVersion === 'string' && resourceVersion !== ''
  if (stored === undefined) {
    if (hasVersion) throw conflict(served.type, info.name, 'resourceVersion cannot be set on a nonexistent object')
    if (typeof uid === 'string' && uid !== '')
      throw conflict(served.type, info.name, `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`)
  }
  const live = stored === undefined ? undefined : toServed(served, stored)
  const { object } = applyPatch({
    schema: storage.mergeSchema ?? served.schema ?? deducedSchema,
    manager: options.fieldManager,
    apiVersion: apiVersionOf(served.type),
    subresource: info.subresource,
    resetFields: resetFieldsOf(storage, info.subresource),
    now: options.now,
    live: live as unknown as JsonObject | undefined, // an API object is a JSON object
    patch,
    force: options.force,
  })
  // As upstream: what is wrong with owners is told before what is wrong with the text.
  checkDuplicates(document, request, options)
  const merged = decodePatched(object, served.type, {
    fieldValidation: 'Ignore',
    warn: () => {},
    coerce: served.custom?.coerce,
    refuse: (why) => unconvertible(request, patch, why),
  })
  if (!hasVersion) delete merged.metadata.resourceVersion
  return toStored(served, merged)
}

function unconvertible({ served: { type } }: ApplyRequest, patch: JsonObject, why: string): StatusError {
  const { namespace = '', name = '' } = metadataOf(patch)
  const kind = `${type.group}/${type.version}, Kind=${type.kind}`
  const what = `failed to convert new object (${String(namespace)}/${String(name)}; ${kind}) to proper version`
  return new StatusError('', `${what}: unable to convert unstructured object to ${kind}: ${why}`, { code: 500 })
}

/** Of an applied document only keys that stand twice are told: unknown fields are refused by its schema. */
function checkDuplicates({ fieldErrors }: PatchDocument, request: ApplyRequest, { fieldValidation }: ApplyOptions): void {
  if (fieldErrors.length === 0 || fieldValidation === 'Ignore') return
  const messages = fieldErrors.map((error) => `error converting YAML to JSON: ${error}`)
  if (fieldValidation === 'Strict') throw badRequest(`error strict decoding YAML: ${messages.join(', ')}`)
  for (const message of messages) request.warn(message)
}

function metadataOf(patch: JsonObject): JsonObject {
  return isObject(patch['metadata']) ? patch['metadata'] : {}
}

/** The configuration with the name of the path; it may leave out name and namespace but not contradict them. */
function configurationOf({ value: patch }: PatchDocument, info: Pick<ApplyRequest['info'], 'name' | 'namespace'>): JsonObject {
  if (!isObject(patch)) throw badRequest('error decoding patch: the configuration must be an object')
  const metadata = metadataOf(patch)
  const { name, namespace } = metadata
  if (name !== undefined && typeof name !== 'string') throw badRequest('metadata.name must be a string')
  if (namespace !== undefined && typeof namespace !== 'string') throw badRequest('metadata.namespace must be a string')
  if (name !== undefined && name !== info.name)
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`)
  if (namespace !== undefined && namespace !== '' && namespace !== info.namespace)
    throw badRequest(`the namespace of the object (${namespace}) does not match the namespace on the request (${info.namespace})`)
  return { ...patch, metadata: { ...metadata, name: info.name } }
}
