import { apiVersionOf, badRequest, type JsonObject, type KubernetesObject } from '@k3s/api'
import { decodePatched, type FieldValidation, type RequestBody } from '../codec.ts'
import { isObject } from '../json.ts'
import { readLarge } from '../off-loop/heavy-work.ts'
import { toServed, toStored, toWire, type ServedResource } from '../registry/served-resource.ts'
import { updateObject } from '../registry/update-object.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { handleApply } from './apply-handler.ts'
import { applyPatch, namedVersion, patchKind, readPatch, type PatchDocument, type PatchKind } from './apply-patch.ts'
import { fieldTracking } from './field-tracking.ts'
import { checkNamespace, sourceOf } from './write-handlers.ts'
import { heavyDefinition, heavyWriteOf } from './heavy-request.ts'
import { parseWriteOptions, scopeOf, storageOf, type ResourceRequest } from './resource-request.ts'
import { headerOf } from './api-call.ts'

/** PATCH of an object or of its status. */
export async function handlePatch(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served, call } = request
  const warn = (message: string): void => call.warn(message)
  const { kind, body, read } = await openPatch(core, request)
  const options = parseWriteOptions(request, 'PatchOptions', kind === 'apply')
  if (kind === 'apply') return handleApply(core, request, { body, read }, options)
  const heavy = heavyWriteOf(core, request, options, body)
  const result = await updateObject(core.registry, {
    storage: storageOf(request),
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    scope: scopeOf(core, request, options),
    allowsMissingVersion: true,
    heavy,
    source: sourceOf(served, body),
    produce: async (current) => {
      if (!('bytes' in body) || heavy?.isHeavy(current) !== true)
        return patchObject({ served, info, warn }, read(), current.object, options.fieldValidation)
      const { name, namespace } = info
      const at = { name, namespace }
      const { fieldValidation } = options
      const { json, warnings } = await heavy.run('patch', { body, current, at, fieldValidation }, call.signal)
      for (const warning of warnings) warn(warning)
      return readLarge(json)
    },
    ...fieldTracking(request, options, new Date(core.clock.now())).ofUpdate(),
  })
  return { type: 'stored', code: 200, served, object: result.object }
}

/** A patch as it came. */
export interface OpenPatch {
  readonly body: RequestBody
  /** Reads it, once. Throws StatusErrors. */
  read(): PatchDocument
}

/** The patch of a request. One that is heavy is not read here unless it must be. */
async function openPatch(core: ApiCore, request: ResourceRequest): Promise<OpenPatch & { readonly kind: PatchKind }> {
  const { call, served } = request
  const body = await patchBody(call)
  const supports = { supportsStrategic: served.schema !== undefined }
  let document: PatchDocument | undefined
  const read = (): PatchDocument => (document ??= readPatch(body, supports))
  const definition = served.custom === undefined ? undefined : heavyDefinition(core, served)
  const isKnown = served.custom === undefined || definition !== undefined
  const isHeavy = isKnown && core.registry.heavy?.heavyBody(body, served.type, definition) !== undefined
  if (isHeavy) return { kind: patchKind(body, supports), body, read }
  return { kind: read().kind, body, read }
}

async function patchBody(call: ResourceRequest['call']): Promise<RequestBody> {
  return (await call.readBody()) ?? { bytes: Buffer.alloc(0), contentType: headerOf(call, 'content-type') ?? '' }
}

/** The patch document of a request. */
export async function readPatchOf({ call, served }: Pick<ResourceRequest, 'call' | 'served'>): Promise<PatchDocument> {
  return readPatch(await patchBody(call), { supportsStrategic: served.schema !== undefined })
}

/** What a patch needs to know of its request. */
export interface PatchRequest {
  readonly served: ServedResource
  readonly info: { readonly name: string; readonly namespace: string }
  warn(message: string): void
}

/** The patched object in the stored version; a version that the patch does not name is no precondition. Throws StatusErrors. */
export function patchObject(
  request: PatchRequest,
  document: PatchDocument,
  stored: KubernetesObject,
  fieldValidation: FieldValidation,
): KubernetesObject {
  const { served } = request
  const current = toServed(served, stored)
  const kind = { apiVersion: apiVersionOf(served.type), kind: served.type.kind }
  // A strategic patch knows the types of fields: null is none of a list.
  const shown = document.kind === 'strategic' ? current : toWire(served, current)
  const result = applyPatch(document, shown as unknown as JsonObject, kind) // an API object is a JSON object
  const object = decodePatched(result, served.type, {
    fieldValidation,
    warn: (message) => request.warn(message),
    coerce: served.custom?.coerce,
    patchErrors: document.fieldErrors,
    strategicPatch: document.kind === 'strategic' && isObject(document.value) ? document.value : undefined,
  })
  if (namedVersion(document) === '' && object.metadata.resourceVersion === current.metadata.resourceVersion)
    delete object.metadata.resourceVersion
  if (object.metadata.name !== request.info.name)
    throw badRequest(`the name of the object (${object.metadata.name}) does not match the name on the URL (${request.info.name})`)
  checkNamespace(object, request.info.namespace, served.type.namespaced)
  return toStored(served, object)
}
