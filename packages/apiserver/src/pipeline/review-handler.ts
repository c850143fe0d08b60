import type { AdmissionRequest } from '../admission/admission.ts'
import { methodNotAllowed } from '../errors.ts'
import { admit, validateAdmission } from '../registry/registry-context.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { parseWriteOptions, scopeOf, type ResourceRequest } from './resource-request.ts'
import { checkNamespace, readObject } from './write-handlers.ts'

/** POST of an object that is answered and not stored. */
export async function handleReview(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { served, info, call } = request
  const { strategy } = served
  if (strategy.review === undefined) throw methodNotAllowed()
  const options = parseWriteOptions(request, 'CreateOptions')
  const object = await readObject(request, options)
  checkNamespace(object, info.namespace, served.type.namespaced)
  if (served.type.namespaced) object.metadata.namespace = info.namespace
  strategy.defaults?.(object)
  const scope = scopeOf(core, request, options)
  const admission: AdmissionRequest = {
    operation: 'CREATE',
    type: served.type,
    subresource: '',
    namespace: info.namespace,
    name: object.metadata.name,
    object,
    oldObject: undefined,
    scope,
  }
  await admit(core.registry, admission)
  await validateAdmission(core.registry, admission)
  return { type: 'object', code: 201, object: await strategy.review(object, scope, call.signal) }
}
