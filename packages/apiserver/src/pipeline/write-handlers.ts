import { badRequest, type KubernetesObject } from '@k3s/api'
import type { FieldValidation, RequestBody } from '../codec.ts'
import { createObject } from '../registry/create-object.ts'
import { toStored } from '../registry/served-resource.ts'
import { updateObject } from '../registry/update-object.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { fieldTracking } from './field-tracking.ts'
import { decodeRequest, heavyWriteOf } from './heavy-request.ts'
import { parseWriteOptions, scopeOf, storageOf, type ResourceRequest } from './resource-request.ts'

/** POST to a collection. */
export async function handleCreate(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  const storage = storageOf(request)
  const options = parseWriteOptions(request, 'CreateOptions')
  const body = await readBodyOf(request)
  const decoded = await decodeRead(core, request, body, options)
  checkNamespace(decoded, info.namespace, served.type.namespaced)
  const scope = scopeOf(core, request, options)
  const heavy = heavyWriteOf(core, request, options, body)
  const object = await createObject(core.registry, {
    storage,
    object: toStored(served, decoded),
    scope,
    heavy,
    source: sourceOf(served, body),
    ...fieldTracking(request, options, new Date(core.clock.now())).ofCreate(),
  })
  return { type: 'stored', code: 201, served, object }
}

/** PUT of an object or of its status. */
export async function handleUpdate(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  const storage = storageOf(request)
  const options = parseWriteOptions(request, 'UpdateOptions')
  const body = await readBodyOf(request)
  const decode = async (how: ReadOptions): Promise<KubernetesObject> => {
    const decoded = await decodeRead(core, request, body, how)
    checkNames(decoded, info.name, info.namespace, served.type.namespaced)
    return decoded
  }
  let first: KubernetesObject | undefined = await decode(options)
  // Each try needs one of its own: rules change it.
  const fresh = async (): Promise<KubernetesObject> => {
    const own = first
    first = undefined
    return own ?? decode({ fieldValidation: 'Ignore' })
  }
  const scope = scopeOf(core, request, options)
  const tracking = fieldTracking(request, options, new Date(core.clock.now()))
  const heavy = heavyWriteOf(core, request, options, body)
  const canCreate = info.subresource === '' && storage.strategy.allowCreateOnUpdate === true && (first.metadata.uid ?? '') === ''
  const result = await updateObject(core.registry, {
    storage,
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    scope,
    heavy,
    source: sourceOf(served, body),
    produce: async () => toStored(served, await fresh()),
    ...tracking.ofUpdate(),
    ...(canCreate
      ? {
          create: async () => {
            const object = await fresh()
            delete object.metadata.resourceVersion
            return { object: toStored(served, object), heavy, ...tracking.ofCreate() }
          },
        }
      : {}),
  })
  return { type: 'stored', code: result.isCreated ? 201 : 200, served, object: result.object }
}

/** The text of a custom resource, whose numbers may be longer than those of built-in kinds. */
export function sourceOf({ custom }: Pick<ResourceRequest['served'], 'custom'>, body: RequestBody): Uint8Array | undefined {
  return custom !== undefined && 'bytes' in body ? body.bytes : undefined
}

interface ReadOptions {
  readonly fieldValidation: FieldValidation
}

/** The body of a request as an object of the resource. */
export async function readObject(core: ApiCore, request: ResourceRequest, options: ReadOptions): Promise<KubernetesObject> {
  return decodeRead(core, request, await readBodyOf(request), options)
}

async function readBodyOf({ call }: ResourceRequest): Promise<RequestBody> {
  return (await call.readBody()) ?? { bytes: Buffer.alloc(0), contentType: '' }
}

function decodeRead(
  core: ApiCore,
  { call, served, info }: ResourceRequest,
  body: RequestBody,
  { fieldValidation }: ReadOptions,
): Promise<KubernetesObject> {
  const subresource = served.info.subresources.find(({ name }) => name === info.subresource)
  const expected = subresource ?? served.type
  const warn = (message: string): void => call.warn(message)
  return decodeRequest(core, body, expected, { fieldValidation, warn, coerce: served.custom?.coerce, signal: call.signal, served })
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
