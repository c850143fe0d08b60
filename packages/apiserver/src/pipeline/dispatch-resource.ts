import { badRequest, StatusError, type ResourceType } from '@k3s/api'
import { negotiate, notAcceptable } from '../http/negotiate.ts'
import { headerOf } from './api-call.ts'
import { isConnectSubresource } from './connect-handlers.ts'
import { methodNotAllowed, pathNotFound } from '../errors.ts'
import { deprecationOf } from '../registry/resource-facts.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { answerComponentStatuses, isComponentStatus } from './component-statuses.ts'
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
  const warns = deprecation !== undefined && (served.custom !== undefined || (info.subresource === '' && servesVerb(served, info.verb)))
  if (warns) request.call.warn(deprecation)
  checkAccept(request)
  if (isComponentStatus(served.type) && (info.verb === 'get' || info.verb === 'list')) return answerComponentStatuses(core, request)
  if (info.subresource !== '') {
    if (served.type.namespaced && info.namespace === '') throw pathNotFound()
    return handleSubresource(core, request)
  }
  if (served.storage === undefined && info.name !== '' && ['get', 'update', 'patch', 'delete'].includes(info.verb)) throw pathNotFound()
  if (!servesVerb(served, info.verb) || request.call.method === 'HEAD') throw methodNotAllowed()
  if (info.name === '' && (info.verb === 'update' || info.verb === 'patch')) throw methodNotAllowed()
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
      if (info.name !== '' || (served.type.namespaced && info.namespace === '')) throw methodNotAllowed()
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
      throw methodNotAllowed()
  }
}

/** While its definition is being deleted a custom resource does not announce writes, but still answers them. */
function servesVerb({ info, custom }: ServedResource, verb: string): boolean {
  return info.verbs.includes(verb) || (custom?.isTerminating === true && ['create', 'update', 'patch'].includes(verb))
}

/** What cannot be answered as the client wants is refused before anything is done. */
function checkAccept({ call, info, served }: ResourceRequest): void {
  const accept = headerOf(call, 'accept')
  if (accept === undefined || accept === 'application/json' || isConnectSubresource(info.subresource)) return
  const isList = info.name === '' && (info.verb === 'list' || info.verb === 'watch' || info.verb === 'deletecollection')
  const { representation, as = '', mediaType } = negotiate(accept, { transformable: true, isList })
  if (info.verb === 'watch' && mediaType === 'application/yaml')
    throw notAcceptable(['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'])
  if (representation === 'partial' && (as === 'PartialObjectMetadataList') !== isList && info.verb !== 'watch')
    throw notThatForm(as, isList, served.type)
  const include = call.query.get('includeObject') ?? ''
  if (representation === 'table' && !['', 'None', 'Metadata', 'Object'].includes(include))
    throw badRequest(
      `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(include)}: must be 'Metadata', 'Object', 'None', or empty`,
    )
}

/** Upstream names its own Go type. */
function notThatForm(as: string, isList: boolean, { group, kind }: ResourceType): StatusError {
  const internal = group === '' || group === 'events.k8s.io' ? 'core' : (group.split('.')[0] ?? '')
  return new StatusError(
    'NotAcceptable',
    `you requested ${as}, but the requested object is ${isList ? 'a' : 'not a'} list (*${internal}.${kind}${isList ? 'List' : ''})`,
  )
}
