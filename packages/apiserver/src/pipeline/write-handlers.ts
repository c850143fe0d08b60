import { badRequest, type KubernetesObject } from '@k3s/api'
import { decodeBody } from '../codec.ts'
import { copyJson } from '../json.ts'
import { createObject } from '../registry/create-object.ts'
import { toStored } from '../registry/served-resource.ts'
import { updateObject } from '../registry/update-object.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { fieldTracking } from './field-tracking.ts'
import { parseWriteOptions, scopeOf, storageOf, type ResourceRequest } from './resource-request.ts'

/** POST to a collection. */
export async function handleCreate(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  const storage = storageOf(request)
  const options = parseWriteOptions(request, 'CreateOptions')
  const decoded = await readObject(request, options)
  checkNamespace(decoded, info.namespace, served.type.namespaced)
  const scope = scopeOf(core, request, options)
  const object = await createObject(core.registry, {
    storage,
    object: toStored(served, decoded),
    scope,
    ...fieldTracking(request, options, new Date(core.clock.now())).ofCreate(),
  })
  return { type: 'stored', code: 201, served, object }
}

/** PUT of an object or of its status. */
export async function handleUpdate(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  const storage = storageOf(request)
  const options = parseWriteOptions(request, 'UpdateOptions')
  const decoded = await readObject(request, options)
  checkNames(decoded, info.name, info.namespace, served.type.namespaced)
  const scope = scopeOf(core, request, options)
  const tracking = fieldTracking(request, options, new Date(core.clock.now()))
  const canCreate = info.subresource === '' && storage.strategy.allowCreateOnUpdate === true && (decoded.metadata.uid ?? '') === ''
  const result = await updateObject(core.registry, {
    storage,
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    scope,
    // Each try needs a copy of its own: rules change it.
    produce: () => toStored(served, copyJson(decoded)),
    ...tracking.ofUpdate(),
    ...(canCreate
      ? {
          create: () => ({
            object: toStored(served, copyJson({ ...decoded, metadata: { ...decoded.metadata, resourceVersion: undefined } })),
            ...tracking.ofCreate(),
          }),
        }
      : {}),
  })
  return { type: 'stored', code: result.isCreated ? 201 : 200, served, object: result.object }
}

/** The body of a request as an object of the resource. */
export async function readObject(
  { call, served, info }: ResourceRequest,
  options: { readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore' },
): Promise<KubernetesObject> {
  const body = (await call.readBody()) ?? { bytes: Buffer.alloc(0), contentType: '' }
  const subresource = served.info.subresources.find(({ name }) => name === info.subresource)
  const expected = subresource ?? served.type
  return decodeBody(body, expected, {
    fieldValidation: options.fieldValidation,
    warn: (message) => call.warn(message),
    coerce: served.custom?.coerce,
  })
}

/** A create may leave the namespace out, but not name another. What is in no namespace forgets one that was given, as upstream. */
export function checkNamespace({ metadata }: KubernetesObject, namespace: string, isNamespaced: boolean): void {
  const own = metadata.namespace ?? ''
  if (!isNamespaced) {
    delete metadata.namespace
    return
  }
  if (namespace === '') throw badRequest('an empty namespace may not be set during creation')
  if (own !== '' && own !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
}

function checkNames({ metadata }: KubernetesObject, name: string, namespace: string, isNamespaced: boolean): void {
  if (metadata.name !== name) {
    if (metadata.name === '') throw badRequest('resource name may not be empty')
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`)
  }
  const own = metadata.namespace ?? ''
  if (own !== '' && own !== namespace)
    throw badRequest(`the namespace of the object (${own}) does not match the namespace on the request (${namespace})`)
  if (isNamespaced) metadata.namespace = namespace
}
