import { apiVersionOf, applyPatch, badRequest, conflict, deducedSchema, type JsonObject, type KubernetesObject } from '@k3s/api'
import { decodePatched } from '../codec.ts'
import { isObject } from '../json.ts'
import { toServed, toStored } from '../registry/served-resource.ts'
import { updateObject } from '../registry/update-object.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import type { PatchDocument } from './apply-patch.ts'
import { resetFieldsOf } from './field-tracking.ts'
import { scopeOf, storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'

/** Server-side apply: merges by ownership of fields, and creates the object when there is none. The document is the applied configuration. */
export async function handleApply(
  core: ApiCore,
  request: ResourceRequest,
  document: PatchDocument,
  options: WriteOptions,
): Promise<Answer> {
  const { info, served } = request
  const { value } = document
  const storage = storageOf(request)
  if (!isObject(value)) throw badRequest('error decoding patch: the configuration must be an object')
  const patch = named(value, request)
  const patchVersion = metadataOf(patch)['resourceVersion']
  const hasVersion = typeof patchVersion === 'string' && patchVersion !== ''
  const merge = (live: KubernetesObject | undefined): KubernetesObject => {
    const { object } = applyPatch({
      schema: storage.mergeSchema ?? served.schema ?? deducedSchema,
      manager: options.fieldManager,
      apiVersion: apiVersionOf(served.type),
      subresource: info.subresource,
      resetFields: resetFieldsOf(storage, info.subresource),
      now: new Date(core.clock.now()),
      live: live as unknown as JsonObject | undefined, // an API object is a JSON object
      patch,
      force: options.force,
    })
    // As upstream: what is wrong with owners is told before what is wrong with the text.
    checkDuplicates(document, request, options)
    const merged = decodePatched(object, served.type, { fieldValidation: 'Ignore', warn: () => {}, coerce: served.custom?.coerce })
    if (!hasVersion) delete merged.metadata.resourceVersion
    return toStored(served, merged)
  }
  const result = await updateObject(core.registry, {
    storage,
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    scope: scopeOf(core, request, options),
    allowsMissingVersion: true,
    produce: (current) => merge(toServed(served, current.object)),
    ...(info.subresource !== ''
      ? {}
      : {
          create: () => {
            if (hasVersion) throw conflict(served.type, info.name, 'resourceVersion cannot be set on a nonexistent object')
            const { uid } = metadataOf(patch)
            if (typeof uid === 'string' && uid !== '')
              throw conflict(
                served.type,
                info.name,
                `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
              )
            return { object: merge(undefined) }
          },
        }),
  })
  return { type: 'stored', code: result.isCreated ? 201 : 200, served, object: result.object }
}

/** Of an applied document only keys that stand twice are told: unknown fields are refused by its schema. */
function checkDuplicates({ fieldErrors }: PatchDocument, { call }: ResourceRequest, { fieldValidation }: WriteOptions): void {
  if (fieldErrors.length === 0 || fieldValidation === 'Ignore') return
  const messages = fieldErrors.map((error) => `error converting YAML to JSON: ${error}`)
  if (fieldValidation === 'Strict') throw badRequest(`error strict decoding YAML: ${messages.join(', ')}`)
  for (const message of messages) call.warn(message)
}

function metadataOf(patch: JsonObject): JsonObject {
  return isObject(patch['metadata']) ? patch['metadata'] : {}
}

/** The configuration with the name of the path; it may leave out name and namespace but not contradict them. */
function named(patch: JsonObject, { info }: ResourceRequest): JsonObject {
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
