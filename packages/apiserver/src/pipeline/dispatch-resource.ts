import { methodNotAllowed, pathNotFound } from '../errors.ts'
import { deprecationOf } from '../registry/resource-facts.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { handleDelete, handleDeleteCollection } from './delete-handlers.ts'
import { handlePatch } from './patch-handler.ts'
import { handleGet, handleList, handleWatch } from './read-handlers.ts'
import type { ResourceRequest } from './resource-request.ts'
import { handleReview } from './review-handler.ts'
import { handleSubresource } from './subresource-handlers.ts'
import { handleCreate, handleUpdate } from './write-handlers.ts'

/** Sends an authorized request on a resource to its handler. Throws StatusErrors. */
export async function dispatchResource(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  // Before anything else: the request was authorized for this namespace, and what is outside of it must not be reached. A namespace is in itself.
  const isItself = info.resource === 'namespaces' && info.name === info.namespace
  if (!served.type.namespaced && info.namespace !== '' && !isItself) throw pathNotFound()
  const deprecation = served.custom === undefined ? deprecationOf(served.type) : served.custom.warning
  if (deprecation !== undefined && (info.subresource === '' || served.custom !== undefined)) request.call.warn(deprecation)
  if (info.subresource !== '') {
    if (served.type.namespaced && info.namespace === '') throw pathNotFound()
    return handleSubresource(core, request)
  }
  if (!servesVerb(served, info.verb)) throw methodNotAllowed(served.type, info.verb)
  // Lists go over all namespaces; everything else on a namespaced resource happens in one.
  const needsNamespace = served.type.namespaced && info.verb !== 'list' && info.verb !== 'watch' && info.verb !== 'deletecollection'
  if (needsNamespace && info.namespace === '' && info.verb !== 'create') throw pathNotFound()
  switch (info.verb) {
    case 'get':
      return handleGet(core, request)
    case 'list':
      return handleList(core, request)
    case 'watch':
      return handleWatch(core, request)
    case 'create':
      if (info.name !== '') throw methodNotAllowed(served.type, 'create')
      return served.storage === undefined || served.strategy.review !== undefined
        ? handleReview(core, request)
        : handleCreate(core, request)
    case 'update':
      return handleUpdate(core, request)
    case 'patch':
      return handlePatch(core, request)
    case 'delete':
      return handleDelete(core, request)
    case 'deletecollection':
      return handleDeleteCollection(core, request)
    default:
      throw methodNotAllowed(served.type, info.verb)
  }
}

/** While its definition is being deleted a custom resource does not announce writes, but still answers them. */
function servesVerb({ info, custom }: ServedResource, verb: string): boolean {
  return info.verbs.includes(verb) || (custom?.isTerminating === true && ['create', 'update', 'patch'].includes(verb))
}
