import { apiVersionOf, type KubernetesObject } from '@k3s/api'
import type { AdmissionRequest } from '../admission/admission.ts'
import { methodNotAllowed } from '../errors.ts'
import { admit, validateAdmission } from '../registry/registry-context.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { trackAnswer } from './field-tracking.ts'
import { parseWriteOptions, scopeOf, type ResourceRequest } from './resource-request.ts'
import { checkNamespace, readObject } from './write-handlers.ts'

// Upstream keeps no owners of fields for what only tells who asks.
const untracked = new Set(['selfsubjectreviews', 'selfsubjectrulesreviews'])

/** Answers name the owners of fields as if the review were stored. */
function track({ served }: ResourceRequest, object: KubernetesObject, by: { readonly manager: string; readonly now: Date }): void {
  if (served.schema === undefined || untracked.has(served.type.resource)) return
  trackAnswer(object, { ...by, schema: served.schema, apiVersion: apiVersionOf(served.type) })
}

/** POST of an object that is answered and not stored. */
export async function handleReview(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { served, info, call } = request
  const { strategy } = served
  if (strategy.review === undefined) throw methodNotAllowed()
  const options = parseWriteOptions(request, 'CreateOptions')
  const object = await readObject(core, request, options)
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
  track(request, object, { manager: options.fieldManager, now: new Date(core.clock.now()) })
  await admit(core.registry, admission)
  await validateAdmission(core.registry, admission)
  const { metadata, ...answer } = await strategy.review(object, scope, call.signal)
  const { name, ...rest } = metadata
  // Nothing is stored, and so nothing needs a name.
  return { type: 'object', code: 201, object: { ...answer, metadata: { ...(name === '' ? {} : { name }), ...rest } } }
}
