import type { StatusError } from '@k3s/api'
import type { Aggregator } from '../aggregation/aggregator.ts'
import type { Auditor } from '../audit/auditor.ts'
import type { AccessAttributes, Authorizer, UserInfo } from '../auth/auth.ts'
import { pathNotFound, pathNotServed, notAnswered } from '../errors.ts'
import type { FlowControl } from '../flow-control/flow-control.ts'
import type { MaxInFlight } from '../flow-control/max-in-flight.ts'
import { parseRequestInfo, type RequestInfo } from '../http/request-info.ts'
import type { Answer } from './answer.ts'
import type { ApiCall } from './api-call.ts'
import type { ApiCore } from './api-core.ts'
import { authorize, type DecisionNote } from './authorize.ts'
import { dispatchResource } from './dispatch-resource.ts'

/** Answers requests on paths that are no resources; undefined: not mine. */
export type NonResourceHandler = (call: ApiCall, info: RequestInfo) => Promise<Answer | undefined> | Answer | undefined

export interface CallPipeline {
  readonly core: ApiCore
  readonly authorizers: readonly Authorizer[]
  readonly flowControl: FlowControl
  /** Present: it decides in place of flow control. */
  readonly maxInFlight?: MaxInFlight | undefined
  readonly nonResource: readonly NonResourceHandler[]
  /** Absent: nothing is audited. */
  readonly auditor?: Auditor | undefined
  /** Passes on what another server answers. */
  readonly aggregator?: Aggregator | undefined
}

/** As whom a request acts that asks to be somebody else. */
export interface ActingUser {
  readonly user: UserInfo
  /** The verb by which that is allowed; absent for the right to be them in all. */
  readonly constraint?: string | undefined
}

export interface CallOptions {
  /** As whom the request acts; undefined: as its own user. Throws Forbidden and BadRequest. */
  readonly become?: ((info: RequestInfo) => Promise<ActingUser | undefined>) | undefined
  /** Annotations of the audit event that authentication made. */
  readonly notes?: ReadonlyMap<string, string> | undefined
}

/** Authorizes and answers a request of a known user. Throws StatusErrors. */
export async function handleCall(
  pipeline: CallPipeline,
  call: ApiCall,
  user: UserInfo,
  { become, notes }: CallOptions = {},
): Promise<{ readonly answer: Answer; readonly info: RequestInfo; readonly user: UserInfo }> {
  const info = parseRequestInfo(call.method, call.path, call.query)
  const story = pipeline.auditor === undefined ? undefined : await pipeline.auditor.begin(call, info, user, notes)
  if (story === undefined) {
    const actor = (await become?.(info))?.user ?? user
    return { answer: await handleParsed(pipeline, call, { info, user: actor }), info, user: actor }
  }
  try {
    const acting = await become?.(info)
    if (acting !== undefined) story.impersonates(acting.user, acting.constraint)
    const actor = acting?.user ?? user
    const note: DecisionNote = (decision, reason) => {
      if (decision !== undefined) story.annotate('authorization.k8s.io/decision', decision)
      story.annotate('authorization.k8s.io/reason', reason)
    }
    const answer = await handleParsed(pipeline, story.call, { info, user: actor, note })
    await story.answered(answer)
    return { answer, info, user: actor }
  } catch (error) {
    await story.failed(error)
    throw error
  }
}

interface ParsedRequest {
  readonly info: RequestInfo
  readonly user: UserInfo
  readonly note?: DecisionNote | undefined
}

async function handleParsed(pipeline: CallPipeline, call: ApiCall, { info, user, note }: ParsedRequest): Promise<Answer> {
  // Who runs at once is not made to wait for a promise.
  const entry = pipeline.maxInFlight === undefined ? pipeline.flowControl.admit(info, user, call) : pipeline.maxInFlight.admit(info, user)
  const release = typeof entry === 'function' ? entry : await entry
  try {
    const undecidedAs = (why: string): StatusError => notAnswered(call.origin?.uri ?? call.path, why)
    await authorize(pipeline.authorizers, { ...attributesOf(info), user }, { note, undecidedAs, signal: call.signal })
    return await answerOf(pipeline, call, info, user)
  } finally {
    release()
  }
}

/** What a request wants to do, for authorizers. */
export function attributesOf(info: RequestInfo): Omit<AccessAttributes, 'user'> {
  const { verb, isResource, group, version, resource, subresource, namespace, name, fieldSelector, labelSelector } = info
  return {
    verb,
    isResource,
    group,
    version,
    resource,
    subresource,
    namespace,
    name,
    path: decoded(info.path),
    fieldSelector,
    labelSelector,
  }
}

function decoded(path: string): string {
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path // nothing is served there
  }
}

async function answerOf(pipeline: CallPipeline, call: ApiCall, info: RequestInfo, user: UserInfo): Promise<Answer> {
  const passedOn = pipeline.aggregator?.answer(call, user)
  if (passedOn !== undefined) return passedOn
  if (info.isResource) {
    const served = pipeline.core.table.find(info)
    if (served !== undefined) {
      if (served.custom !== undefined) await served.custom.open(call.signal)
      return dispatchResource(pipeline.core, { call, info, user, served })
    }
  }
  for (const handler of pipeline.nonResource) {
    const answer = await handler(call, info)
    if (answer !== undefined) return answer
  }
  throw isBelowServedGroup(pipeline, info) ? pathNotFound() : pathNotServed()
}

/** Where upstream answers with Statuses: below `/api` and the groups that are served. */
function isBelowServedGroup({ core }: CallPipeline, { path }: RequestInfo): boolean {
  const [, root, group = ''] = path.split('/')
  if (root === 'api') return true
  return root === 'apis' && core.table.groups.some((served) => served.group === group)
}
