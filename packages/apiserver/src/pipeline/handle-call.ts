import type { Aggregator } from '../aggregation/aggregator.ts'
import type { Authorizer, UserInfo } from '../auth/auth.ts'
import { pathNotFound } from '../errors.ts'
import { parseRequestInfo, type RequestInfo } from '../http/request-info.ts'
import type { Answer } from './answer.ts'
import type { ApiCall } from './api-call.ts'
import type { ApiCore } from './api-core.ts'
import { authorize } from './authorize.ts'
import { dispatchResource } from './dispatch-resource.ts'
import type { InFlightLimiter } from './in-flight-limiter.ts'

/** Answers requests on paths that are no resources; undefined: not mine. */
export type NonResourceHandler = (call: ApiCall, info: RequestInfo) => Promise<Answer | undefined> | Answer | undefined

/** Answers requests on resources that another server serves; undefined: not mine. */
export interface CallPipeline {
  readonly core: ApiCore
  readonly authorizers: readonly Authorizer[]
  readonly limiter: InFlightLimiter
  readonly nonResource: readonly NonResourceHandler[]
  /** Passes on what another server answers. */
  readonly aggregator?: Aggregator | undefined
}

/** Authorizes and answers a request of a known user. Throws StatusErrors. */
export async function handleCall(
  pipeline: CallPipeline,
  call: ApiCall,
  user: UserInfo,
): Promise<{ readonly answer: Answer; readonly info: RequestInfo }> {
  const info = parseRequestInfo(call.method, call.path, call.query)
  const release = pipeline.limiter.enter(info, user)
  try {
    await authorize(pipeline.authorizers, {
      user,
      verb: info.verb,
      isResource: info.isResource,
      group: info.group,
      version: info.version,
      resource: info.resource,
      subresource: info.subresource,
      namespace: info.namespace,
      name: info.name,
      path: call.path,
      fieldSelector: info.fieldSelector,
      labelSelector: info.labelSelector,
    })
    return { answer: await answerOf(pipeline, call, info, user), info }
  } finally {
    release()
  }
}

async function answerOf(pipeline: CallPipeline, call: ApiCall, info: RequestInfo, user: UserInfo): Promise<Answer> {
  const passedOn = pipeline.aggregator?.answer(call, user)
  if (passedOn !== undefined) return passedOn
  if (info.isResource) {
    const served = pipeline.core.table.find(info)
    if (served !== undefined) {
      await served.custom?.open(call.signal)
      return dispatchResource(pipeline.core, { call, info, user, served })
    }
  }
  for (const handler of pipeline.nonResource) {
    const answer = await handler(call, info)
    if (answer !== undefined) return answer
  }
  throw pathNotFound()
}
