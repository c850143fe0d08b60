import { methodNotAllowed } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { parseWriteOptions, scopeOf, type ResourceRequest } from './resource-request.ts'
import { checkNamespace, readObject } from './write-handlers.ts'

/** POST of an object that is answered and not stored. */
export async function handleReview(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { served, info, call } = request
  const { strategy } = served
  if (strategy.review === undefined) throw methodNotAllowed(served.type, info.verb)
  const options = parseWriteOptions(request, 'CreateOptions')
  const object = await readObject(request, options)
  checkNamespace(object, info.namespace, served.type.namespaced)
  if (served.type.namespaced) object.metadata.namespace = info.namespace
  strategy.defaults?.(object)
  return { type: 'object', code: 201, object: await strategy.review(object, scopeOf(core, request, options), call.signal) }
}
