import { apiVersionOf, badRequest, type JsonObject, type KubernetesObject } from '@k3s/api'
import { decodePatched } from '../codec.ts'
import { toServed, toStored } from '../registry/served-resource.ts'
import { updateObject } from '../registry/update-object.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { handleApply } from './apply-handler.ts'
import { applyPatch, namedVersion, readPatch, type PatchDocument } from './apply-patch.ts'
import { fieldTracking } from './field-tracking.ts'
import { checkNamespace } from './write-handlers.ts'
import { parseWriteOptions, scopeOf, storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'
import { headerOf } from './api-call.ts'

/** PATCH of an object or of its status. */
export async function handlePatch(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  const document = await readPatchOf(request)
  const options = parseWriteOptions(request, 'PatchOptions', document.kind === 'apply')
  if (document.kind === 'apply') return handleApply(core, request, document, options)
  const result = await updateObject(core.registry, {
    storage: storageOf(request),
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    scope: scopeOf(core, request, options),
    allowsMissingVersion: true,
    produce: (current) => toStored(served, patched(request, document, toServed(served, current.object), options)),
    ...fieldTracking(request, options, new Date(core.clock.now())).ofUpdate(),
  })
  return { type: 'stored', code: 200, served, object: result.object }
}

/** The patch document of a request. */
export async function readPatchOf({ call, served }: Pick<ResourceRequest, 'call' | 'served'>): Promise<PatchDocument> {
  const body = (await call.readBody()) ?? { bytes: Buffer.alloc(0), contentType: headerOf(call, 'content-type') ?? '' }
  return readPatch(body, { supportsStrategic: served.schema !== undefined })
}

/** The patched object in the served version; a version that the patch does not name is no precondition. */
function patched(request: ResourceRequest, document: PatchDocument, current: KubernetesObject, options: WriteOptions): KubernetesObject {
  const { served, call } = request
  const kind = { apiVersion: apiVersionOf(served.type), kind: served.type.kind }
  const result = applyPatch(document, current as unknown as JsonObject, kind) // an API object is a JSON object
  const object = decodePatched(result, served.type, {
    fieldValidation: options.fieldValidation,
    warn: (message) => call.warn(message),
    coerce: served.custom?.coerce,
    patchErrors: document.fieldErrors,
  })
  if (namedVersion(document) === '' && object.metadata.resourceVersion === current.metadata.resourceVersion)
    delete object.metadata.resourceVersion
  if (object.metadata.name !== request.info.name)
    throw badRequest(`the name of the object (${object.metadata.name}) does not match the name on the URL (${request.info.name})`)
  checkNamespace(object, request.info.namespace, served.type.namespaced)
  return object
}
