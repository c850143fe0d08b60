import { hash } from 'node:crypto'
import { hasReason, schemaOf } from '@k3s/api'
import {
  noLogger,
  noMetrics,
  systemClock,
  type Clock,
  type Counter,
  type Histogram,
  type Logger,
  type MetricsRegistry,
} from '@k3s/lifecycle'
import { isObject } from '../../json.ts'
import { isPassing, withRetries, type RemoteHook } from '../../remote-hooks/remote-hook.ts'
import type { AccessAttributes, Authorizer, Decision } from '../auth.ts'
import { accessReviewSpec, type AccessReviewSpec } from './access-review.ts'
import type { MatchConditions } from './match-conditions.ts'

export interface WebhookAuthorizerOptions {
  /** By which metrics call it. */
  readonly name: string
  /** Stays the caller's. */
  readonly hook: Pick<RemoteHook, 'post'>
  /** Of the SubjectAccessReviews that are sent. */
  readonly version: 'v1' | 'v1beta1'
  /** Milliseconds that a yes is believed; 0: asked every time. */
  readonly authorizedTtlMs: number
  /** The same for everything that is no yes. */
  readonly unauthorizedTtlMs: number
  /** What is taken for the answer of a server that cannot be asked. */
  readonly failurePolicy: 'NoOpinion' | 'Deny'
  /** Which requests it is asked about; absent: all. */
  readonly conditions?: MatchConditions | undefined
  readonly clock?: Clock | undefined
  readonly random?: (() => number) | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
}

// Half a second, growing: upstream's default of --authorization-webhook-retry-backoff.
const initialBackoffMs = 500
// Upstream's bounds on its cache, and on what of a request is worth a place in it.
const maxRemembered = 8192
const maxRememberedLength = 10_000
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

interface Answer {
  readonly isAllowed: boolean
  readonly isDenied: boolean
  readonly reason: string
}

const noOpinion: Decision = { decision: 'noOpinion', reason: '' }

/** Asks a server by SubjectAccessReview, and remembers what it answers for a while: the thousands of questions that were asked last. */
export class WebhookAuthorizer implements Authorizer {
  readonly name = 'Webhook'
  readonly #options: WebhookAuthorizerOptions
  readonly #clock: Clock
  readonly #metrics: WebhookMetrics
  /** The question that was asked last is last. */
  readonly #remembered = new Map<string, { readonly until: number; readonly answer: Answer }>()

  constructor(options: WebhookAuthorizerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#metrics = webhookMetrics(options.metrics ?? noMetrics)
  }

  authorize(attributes: AccessAttributes, signal?: AbortSignal): Decision | Promise<Decision> {
    const spec = accessReviewSpec(attributes)
    const matches = this.#matches(spec)
    if (matches !== true) return matches === false ? noOpinion : this.#failed(matches.error)
    const key = hash('sha256', JSON.stringify(spec), 'base64')
    const known = this.#recall(key)
    if (known !== undefined) return decisionOf(known)
    return this.#ask(spec, signal).then(
      (answer) => {
        if (isShort(attributes)) this.#remember(key, answer)
        return decisionOf(answer)
      },
      (error: unknown) => {
        if (this.#options.failurePolicy === 'NoOpinion' && signal?.aborted !== true)
          this.#metrics.failOpen.inc({ name: this.#options.name, result: resultOf(error, signal) })
        ;(this.#options.logger ?? noLogger).error({ name: this.#options.name, err: error }, 'Authorization webhook cannot be asked')
        return this.#failed(error instanceof Error ? error.message : String(error))
      },
    )
  }

  #matches(spec: AccessReviewSpec): boolean | { readonly error: string } {
    const { conditions, name } = this.#options
    if (conditions === undefined) return true
    const matches = conditions.hold(spec)
    if (matches === false) this.#metrics.exclusions.inc({ type: this.name, name })
    else if (matches !== true) this.#metrics.conditionErrors.inc({ type: this.name, name })
    return matches
  }

  #failed(error: string): Decision {
    return { decision: this.#options.failurePolicy === 'Deny' ? 'deny' : 'noOpinion', reason: '', error }
  }

  async #ask(spec: AccessReviewSpec, signal: AbortSignal = neverAborts): Promise<Answer> {
    const { hook, version, name, random = Math.random } = this.#options
    const review = reviewOf(spec, version)
    const attempt = async (): Promise<Answer> => {
      const begun = this.#clock.monotonic()
      let result = 'success'
      try {
        return answerOf(await hook.post(review, signal), version)
      } catch (error) {
        result = resultOf(error, signal)
        throw error
      } finally {
        this.#metrics.evaluations.inc({ name, result })
        this.#metrics.seconds.observe((this.#clock.monotonic() - begun) / 1000, { name, result })
      }
    }
    return withRetries(attempt, { initialDelayMs: initialBackoffMs, clock: this.#clock, random, shouldRetry: isPassing, signal })
  }

  #recall(key: string): Answer | undefined {
    const found = this.#remembered.get(key)
    if (found === undefined) return undefined
    this.#remembered.delete(key)
    if (this.#clock.monotonic() >= found.until) return undefined
    this.#remembered.set(key, found)
    return found.answer
  }

  #remember(key: string, answer: Answer): void {
    const ttlMs = answer.isAllowed ? this.#options.authorizedTtlMs : this.#options.unauthorizedTtlMs
    if (ttlMs <= 0) return
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size >= maxRemembered && oldest !== undefined) this.#remembered.delete(oldest)
    this.#remembered.set(key, { until: this.#clock.monotonic() + ttlMs, answer })
  }
}

const neverAborts = new AbortController().signal

/** As the version has it: `v1beta1` calls the groups `group`. */
function reviewOf(spec: AccessReviewSpec, version: 'v1' | 'v1beta1'): object {
  const named = Object.entries(spec).map(([name, value]): [string, unknown] => [
    name === 'groups' && version === 'v1beta1' ? 'group' : name,
    value,
  ])
  return { kind, apiVersion: `${group}/${version}`, metadata: {}, spec: Object.fromEntries(named), status: { allowed: false } }
}

const group = 'authorization.k8s.io'
const kind = 'SubjectAccessReview'

/** Throws an Error, in upstream's words where it has some for people, for what is no answer in the version that was asked in. */
function answerOf(answer: unknown, version: 'v1' | 'v1beta1'): Answer {
  const asked = `${group}/${version}`
  if (answer === undefined || answer === '') throw new Error('0-length response with status code: 200 and content type: application/json')
  if (!isObject(answer)) throw new Error(`couldn't get version/kind; json parse error: the answer is no ${kind}`)
  const { kind: foundKind = kind, apiVersion = asked, status = {} } = answer
  if (foundKind !== kind || apiVersion !== asked) throw new Error(otherKind(String(apiVersion), String(foundKind), version))
  if (!isObject(status)) throw new Error(`json: cannot unmarshal into Go struct field ${kind}.status of type ${version}.${kind}Status`)
  const flag = (name: string): boolean => {
    const value = status[name] ?? false
    if (typeof value === 'boolean') return value
    throw new Error(`json: cannot unmarshal ${typeof value} into Go struct field ${kind}Status.status.${name} of type bool`)
  }
  const { reason } = status
  return { isAllowed: flag('allowed'), isDenied: flag('denied'), reason: typeof reason === 'string' ? reason : '' }
}

function otherKind(apiVersion: string, found: string, version: string): string {
  const isKnown = schemaOf(apiVersion, found) !== undefined || (found === kind && apiVersion.startsWith(`${group}/`))
  return isKnown
    ? `converting (${apiVersion.slice(apiVersion.indexOf('/') + 1)}.${found}) to (${version}.${kind}): unknown conversion`
    : `no kind ${JSON.stringify(found)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`
}

function decisionOf({ isAllowed, isDenied, reason }: Answer): Decision {
  if (!isDenied) return { decision: isAllowed ? 'allow' : 'noOpinion', reason }
  if (!isAllowed) return { decision: 'deny', reason }
  return { decision: 'deny', reason, error: 'webhook subject access review returned both allow and deny response' }
}

/** What the asker chose the length of could fill the memory. */
function isShort({ namespace, verb, group, version, resource, subresource, name, path }: AccessAttributes): boolean {
  return [namespace, verb, group, version, resource, subresource, name, path].join('').length < maxRememberedLength
}

function resultOf(error: unknown, signal: AbortSignal | undefined): string {
  if (signal?.aborted === true) return 'canceled'
  return hasReason(error, 'Timeout') ? 'timeout' : 'error'
}

interface WebhookMetrics {
  readonly evaluations: Counter
  readonly seconds: Histogram
  readonly failOpen: Counter
  readonly exclusions: Counter
  readonly conditionErrors: Counter
}

function webhookMetrics(metrics: MetricsRegistry): WebhookMetrics {
  const prefix = 'apiserver_authorization_'
  const labels = ['name', 'result']
  const ofConditions = ['type', 'name']
  return {
    evaluations: metrics.counter({
      name: `${prefix}webhook_evaluations_total`,
      help: 'Requests to authorization webhooks',
      labels,
    }),
    seconds: metrics.histogram({
      name: `${prefix}webhook_duration_seconds`,
      help: 'How long they took',
      labels,
      buckets: durationBuckets,
    }),
    failOpen: metrics.counter({
      name: `${prefix}webhook_evaluations_fail_open_total`,
      help: 'Authorization webhooks that could not be asked and were passed over',
      labels,
    }),
    exclusions: metrics.counter({
      name: `${prefix}match_condition_exclusions_total`,
      help: 'Authorization webhooks that were passed over for their conditions',
      labels: ofConditions,
    }),
    conditionErrors: metrics.counter({
      name: `${prefix}match_condition_evaluation_errors_total`,
      help: 'Conditions of authorization webhooks that failed',
      labels: ofConditions,
    }),
  }
}
