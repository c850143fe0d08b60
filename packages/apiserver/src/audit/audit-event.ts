import { randomUUID } from 'node:crypto'
import { decodeProtobuf, isProtobuf, schemaOf } from '@k3s/api'
import { parse } from 'yaml'
import type { UserInfo } from '../auth/auth.ts'
import { mediaTypeOf, type RequestBody } from '../codec.ts'
import { isUnforeseen, toStatusError } from '../errors.ts'
import type { RequestInfo } from '../http/request-info.ts'
import type { Answer } from '../pipeline/answer.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import { apiVersionOfServed, toServed } from '../registry/served-resource.ts'
import type { Written } from './auditor.ts'
import type { AuditDecision, AuditStage } from './policy.ts'

export interface AuditEventOptions {
  readonly call: ApiCall
  readonly info: RequestInfo
  /** Who asks; a user without a name is not told. */
  readonly user: UserInfo
  /** Annotations from before the story begins. */
  readonly notes?: ReadonlyMap<string, string> | undefined
  readonly decision: AuditDecision
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Takes one event as JSON, without a line end; false when a request must not go on without it. Never rejects. */
  readonly emit: (event: string) => Written
}

// Upstream's bound on user agents.
const maxUserAgentLength = 1024

/** The story of one request, told stage by stage in events of audit.k8s.io/v1. */
export class AuditedRequest {
  readonly #options: AuditEventOptions
  readonly #received: number
  readonly #auditId: string
  readonly #annotations: Record<string, string>
  #impersonated: { readonly user: UserInfo; readonly constraint: string | undefined } | undefined
  #body: RequestBody | undefined
  #requestObject: unknown
  #isComplete = false

  constructor(options: AuditEventOptions) {
    this.#options = options
    this.#received = options.now()
    this.#auditId = options.call.origin?.auditId ?? randomUUID()
    this.#annotations = Object.fromEntries(options.notes ?? [])
  }

  /** The first event; false when the request must not go on. */
  received(): Written {
    return this.#emit('RequestReceived')
  }

  /** The whole story of a request whose credentials nobody knows. */
  refused(refusal: unknown): Written {
    const status = toStatusError(refusal).toStatus()
    return this.#emit('ResponseStarted', { code: status.code ?? 401, status })
  }

  /** The request acts as somebody else from here on; `constraint` is the verb by which that is allowed, unless by the right to be them in all. */
  impersonates(user: UserInfo, constraint: string | undefined): void {
    this.#impersonated = { user, constraint }
  }

  /** The call as handlers are to see it: what they read and note is noted here. */
  get call(): ApiCall {
    const { call } = this.#options
    return {
      ...call,
      annotate: (key, value) => this.annotate(key, value),
      readBody: async () => {
        this.#body = await call.readBody()
        return this.#body
      },
    }
  }

  /** The first value of a key stays, as upstream. */
  annotate(key: string, value: string): void {
    if (!Object.hasOwn(this.#annotations, key)) this.#annotations[key] = value
  }

  /** The request was answered; streams go on. The answer is to wait for what it gives. */
  answered(answer: Answer): Written {
    switch (answer.type) {
      case 'watch':
        answer.watch.onClose(() => void this.#complete({ code: 200 }))
        return this.#emit('ResponseStarted', { code: 200 })
      case 'connect': {
        const isUpgrade = this.#options.call.headers['upgrade'] !== undefined
        if (!isUpgrade) return this.#complete({ code: 200 })
        this.#options.call.signal.addEventListener('abort', () => void this.#complete({ code: 101 }), { once: true })
        return this.#emit('ResponseStarted', { code: 101 })
      }
      case 'list':
        return this.#complete({ code: 200, object: () => listOf(answer) })
      case 'stored':
        return this.#complete({ code: answer.code, object: () => toServed(answer.served, answer.object.object) })
      case 'object':
        return this.#complete({ code: answer.code, object: () => answer.object })
      case 'bytes':
        return this.#complete({ code: answer.code })
    }
  }

  /** The answer is to wait for what it gives. */
  failed(error: unknown): Written {
    if (isUnforeseen(error)) {
      const message = `APIServer panic'd: ${error instanceof Error ? error.message : String(error)}`
      return this.#complete({ code: 500, status: { message, reason: 'InternalError' } }, 'Panic')
    }
    const status = toStatusError(error).toStatus()
    return this.#complete({ code: status.code ?? 500, status, object: () => status })
  }

  #complete(response: Response, stage: AuditStage = 'ResponseComplete'): Written {
    if (this.#isComplete) return true
    this.#isComplete = true
    return this.#emit(stage, response)
  }

  #emit(stage: AuditStage, response?: Response): Written {
    const { call, info, user, decision, now, emit } = this.#options
    if (decision.omitStages.has(stage)) return true
    const { level } = decision
    const isDone = stage === 'ResponseComplete' || stage === 'Panic'
    const requestObject = isDone && level !== 'Metadata' ? this.#readObject() : undefined
    const responseObject = isDone && level === 'RequestResponse' ? response?.object?.() : undefined
    return emit(
      JSON.stringify({
        kind: 'Event',
        apiVersion: 'audit.k8s.io/v1',
        level,
        auditID: this.#auditId,
        stage,
        requestURI: call.origin?.uri ?? uriOf(call),
        verb: info.verb,
        user: user.name === '' ? {} : wireUser(user),
        impersonatedUser: this.#impersonated === undefined ? undefined : wireUser(this.#impersonated.user),
        authenticationMetadata:
          this.#impersonated?.constraint === undefined ? undefined : { impersonationConstraint: this.#impersonated.constraint },
        sourceIPs: call.origin?.sourceIps ?? ['127.0.0.1'],
        userAgent: shorten(textOf(call.headers['user-agent']) ?? call.userAgent),
        objectRef: info.isResource ? refOf(info, requestObject, responseObject ?? (isDone ? response?.object?.() : undefined)) : undefined,
        responseStatus: response === undefined ? undefined : statusOf(response),
        requestObject: trim(requestObject, decision.omitManagedFields),
        responseObject: trim(responseObject, decision.omitManagedFields),
        requestReceivedTimestamp: microTime(this.#received),
        stageTimestamp: microTime(now()),
        annotations: Object.keys(this.#annotations).length === 0 ? undefined : this.#annotations,
      }),
    )
  }

  #readObject(): unknown {
    if (this.#requestObject === undefined && this.#body !== undefined) this.#requestObject = objectOf(this.#body)
    return this.#requestObject
  }
}

const wireUser = ({ name, uid, groups, extra }: UserInfo): object => ({ username: name, uid, groups, extra })

interface Response {
  readonly code: number
  /** Of a failure. */
  readonly status?: object | undefined
  /** Made only when it is logged. */
  readonly object?: (() => unknown) | undefined
}

/** The body as JSON; undefined for one that cannot be read. */
function objectOf(body: RequestBody): unknown {
  if ('object' in body) return body.object
  try {
    if (isProtobuf(body.bytes)) return decodeProtobuf(body.bytes, ({ apiVersion, kind }) => schemaOf(apiVersion, kind))
    const text = body.bytes.toString('utf8')
    return mediaTypeOf(body.contentType).includes('yaml') ? parse(text) : JSON.parse(text)
  } catch {
    return undefined // the client is told; there is nothing to log
  }
}

function listOf({ served, page }: Extract<Answer, { type: 'list' }>): object {
  return {
    kind: `${served.type.kind}List`,
    apiVersion: apiVersionOfServed(served),
    metadata: { resourceVersion: String(page.revision) },
    items: page.items.map((item) => toServed(served, item.object)),
  }
}

function statusOf({ code, status }: Response): object {
  if (status === undefined) return { metadata: {}, code }
  const { message, reason, details } = status as { readonly message?: string; readonly reason?: string; readonly details?: object } // a Status
  return { metadata: {}, status: 'Failure', message, reason, details, code }
}

interface Named {
  readonly metadata?:
    | {
        readonly name?: string | undefined
        readonly namespace?: string | undefined
        readonly uid?: string | undefined
        readonly resourceVersion?: string | undefined
      }
    | undefined
}

/** What the request was about; a create learns the name from its object. */
function refOf(info: RequestInfo, request: unknown, response: unknown): object {
  const own = (isNamed(request) ? request.metadata : undefined) ?? {}
  const made = info.verb === 'create' && isNamed(response) ? response.metadata : undefined
  return {
    resource: info.resource,
    namespace: orAbsent(info.namespace),
    name: orAbsent(info.name) ?? orAbsent(made?.name) ?? orAbsent(own.name),
    uid: orAbsent(own.uid),
    apiGroup: orAbsent(info.group),
    apiVersion: orAbsent(info.version),
    resourceVersion: orAbsent(own.resourceVersion),
    subresource: orAbsent(info.subresource),
  }
}

const orAbsent = (text: string | undefined): string | undefined => (text === '' ? undefined : text)

function isNamed(value: unknown): value is Named {
  return typeof value === 'object' && value !== null && 'metadata' in value
}

/** Without managed fields, when they are not wanted. */
function trim(value: unknown, omitsManagedFields: boolean): unknown {
  if (!omitsManagedFields || typeof value !== 'object' || value === null) return value
  if ('items' in value && Array.isArray(value.items)) return { ...value, items: value.items.map((item) => trim(item, true)) }
  if (!isNamed(value)) return value
  return { ...value, metadata: { ...value.metadata, managedFields: undefined } }
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0]
}

function shorten(agent: string): string {
  return agent.length > maxUserAgentLength ? `${agent.slice(0, maxUserAgentLength)}...TRUNCATED` : agent
}

function uriOf({ path, query }: ApiCall): string {
  const text = query.toString()
  return text === '' ? path : `${path}?${text}`
}

/** RFC 3339 with microseconds, as metav1.MicroTime is written. */
function microTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`
}
