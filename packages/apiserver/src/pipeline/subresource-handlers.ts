import { apiVersionOf, badRequest, hasReason, notFound, schemaOf, type JsonObject, type KubernetesObject } from '@k3s/api'
import { decodePatched } from '../codec.ts'
import type { AdmissionRequest } from '../admission/admission.ts'
import { methodNotAllowed, pathNotFound } from '../errors.ts'
import { admit, validateAdmission } from '../registry/registry-context.ts'
import type { WriteScope } from '../registry/write-scope.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import type { Subresource, SubresourceRequest } from '../registry/strategy.ts'
import { connectSubresource, isConnectSubresource } from './connect-handlers.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { applyPatch, namedVersion } from './apply-patch.ts'
import { trackAnswer } from './field-tracking.ts'
import { decodeRequest } from './heavy-request.ts'
import { handlePatch, readPatchOf } from './patch-handler.ts'
import { handleGet } from './read-handlers.ts'
import { parseWriteOptions, scopeOf, type ResourceRequest } from './resource-request.ts'
import { handleScale } from './scale-handler.ts'
import { handleUpdate } from './write-handlers.ts'

/** Requests below an object: `status`, `scale`, `log`, … */
export async function handleSubresource(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { served, info } = request
  const known = served.info.subresources.find(({ name }) => name === info.subresource)
  if (known === undefined || info.name === '') throw served.custom === undefined ? pathNotFound() : notFound(served.type, info.name)
  if (isConnectSubresource(info.subresource)) return connectSubresource(core, request)
  if (!known.verbs.includes(info.verb)) throw methodNotAllowed()
  const own = served.strategy.subresources?.[info.subresource]
  if (own !== undefined) return handleOwn(core, request, own)
  if (info.subresource === 'scale') return handleScale(core, request)
  switch (info.verb) {
    case 'get':
      return handleGet(core, request)
    case 'update':
      return handleUpdate(core, request)
    case 'patch':
      return handlePatch(core, request)
    default:
      throw methodNotAllowed()
  }
}

/** A subresource with a handler of its own. A patch is a read, a change and an update, as upstream has it. */
async function handleOwn(core: ApiCore, request: ResourceRequest, subresource: Subresource): Promise<Answer> {
  const { info, call } = request
  const verb = ownVerb(info.verb)
  if (verb === undefined || !subresource.verbs.some((allowed) => allowed === verb)) throw methodNotAllowed()
  const options = parseWriteOptions(request, verb === 'patch' ? 'PatchOptions' : verb === 'create' ? 'CreateOptions' : 'UpdateOptions')
  const scope = scopeOf(core, request, options)
  const ask = async (asked: SubresourceRequest['verb'], body: KubernetesObject | undefined): Promise<KubernetesObject> => {
    await checkAdmission(core, request, { verb: asked, body, scope })
    return subresource.handle({
      verb: asked,
      name: info.name,
      body,
      query: call.query,
      scope,
      signal: call.signal,
      operations: core.operations,
    })
  }
  if (verb === 'get') return ownAnswer(200, await ask('get', undefined))
  if (verb === 'patch') return ownAnswer(200, await patchOwn(request, subresource, ask))
  const body = await call.readBody()
  const decoded =
    body === undefined
      ? undefined
      : await decodeRequest(core, body, subresource, {
          fieldValidation: options.fieldValidation,
          warn: (message) => call.warn(message),
          signal: call.signal,
        })
  if (decoded !== undefined && verb === 'create') {
    checkBodyName(request, decoded)
    const schema = schemaOf(apiVersionOf(subresource), subresource.kind)
    const write = { manager: options.fieldManager, apiVersion: apiVersionOf(subresource), subresource: info.subresource }
    if (schema !== undefined) trackAnswer(decoded, { ...write, schema, now: new Date(core.clock.now()) })
  }
  return ownAnswer(verb === 'create' ? 201 : 200, await ask(verb, decoded))
}

function ownAnswer(code: number, object: KubernetesObject): Answer {
  return { type: 'object', code, object, schema: schemaOf(object.apiVersion ?? '', object.kind ?? '') }
}

// As upstream: a patch that names no version is tried again when somebody else wrote in between.
const maxPatchTries = 5

async function patchOwn(
  request: ResourceRequest,
  subresource: Subresource,
  ask: (verb: SubresourceRequest['verb'], body: KubernetesObject | undefined) => Promise<KubernetesObject>,
): Promise<KubernetesObject> {
  const { call } = request
  const document = await readPatchOf(request)
  const kind = { apiVersion: apiVersionOf(subresource), kind: subresource.kind }
  for (let tries = 1; ; tries++) {
    const present = await ask('get', undefined)
    // An API object is a JSON object; an applied subresource replaces what it names.
    const asJson = present as unknown as JsonObject
    const patched =
      document.kind === 'apply' ? applyPatch({ ...document, kind: 'merge' }, asJson, kind) : applyPatch(document, asJson, kind)
    const object = decodePatched(patched, subresource, { fieldValidation: 'Warn', warn: (message) => call.warn(message) })
    try {
      return await ask('update', object)
    } catch (error) {
      if (!hasReason(error, 'Conflict') || namedVersion(document) !== '' || tries >= maxPatchTries) throw error
    }
  }
}

/** Bodies of subresources pass admission as creates and updates; reads do not. */
async function checkAdmission(
  core: ApiCore,
  { info, served }: ResourceRequest,
  asked: { readonly verb: SubresourceRequest['verb']; readonly body: KubernetesObject | undefined; readonly scope: WriteScope },
): Promise<void> {
  if (asked.verb === 'get') return
  const { storage } = served
  const admission: AdmissionRequest = {
    operation: asked.verb === 'create' ? 'CREATE' : 'UPDATE',
    type: served.type,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    object: asked.body,
    oldObject:
      asked.verb === 'create' || storage === undefined
        ? undefined
        : storage.cache.objects.get(relativeKey(storage.resource, info.namespace, info.name))?.object,
    scope: asked.scope,
  }
  await admit(core.registry, admission)
  await validateAdmission(core.registry, admission)
}

/** Bindings and evictions must say themselves what they are about. */
const selfNamed = new Set(['binding', 'eviction'])

/** A body that names another object than the path is a mistake; one that names none gets the name of the path. */
function checkBodyName({ info, served }: ResourceRequest, object: KubernetesObject): void {
  if (selfNamed.has(info.subresource) && object.metadata.name !== info.name)
    throw badRequest(`name in URL does not match name in ${object.kind ?? ''} object`)
  if (object.metadata.name === '') object.metadata.name = info.name
  if ((object.metadata.namespace ?? '') === '' && served.type.namespaced) object.metadata.namespace = info.namespace
  if (object.metadata.name !== info.name) throw notFound(served.type, info.name)
}

function ownVerb(verb: string): SubresourceRequest['verb'] | undefined {
  return verb === 'get' || verb === 'create' || verb === 'update' || verb === 'patch' || verb === 'delete' ? verb : undefined
}
