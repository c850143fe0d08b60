import type { Clock, Counter, Histogram, MetricsRegistry } from '@k3s/lifecycle'

/** How a call of a webhook ended. */
export type CallEnd =
  | { readonly kind: 'allowed' }
  /** The webhook said no, with this code. */
  | { readonly kind: 'refused'; readonly code: number }
  /** It gave no answer that makes sense; the request goes on if that is ignored. */
  | { readonly kind: 'failed'; readonly isIgnored: boolean }
  /** What it wanted cannot be done. */
  | { readonly kind: 'broken' }

export type WebhookType = 'admit' | 'validating'

const buckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25]
// Codes above are counted as this one, as upstream: they are the webhook's to choose.
const maxCode = 600
const unavailable = 503

/** Counts calls of webhooks, under upstream's names. */
export class WebhookMetrics {
  readonly #clock: Clock
  readonly #durations: Histogram
  readonly #requests: Counter
  readonly #rejections: Counter
  readonly #failedOpen: Counter

  constructor(metrics: MetricsRegistry, clock: Clock) {
    this.#clock = clock
    this.#durations = metrics.histogram({
      name: 'apiserver_admission_webhook_admission_duration_seconds',
      help: 'Time that calls of an admission webhook took, in seconds',
      labels: ['name', 'type', 'operation', 'rejected'],
      buckets,
    })
    this.#requests = metrics.counter({
      name: 'apiserver_admission_webhook_request_total',
      help: 'Calls of an admission webhook',
      labels: ['name', 'type', 'operation', 'code', 'rejected'],
    })
    this.#rejections = metrics.counter({
      name: 'apiserver_admission_webhook_rejection_count',
      help: 'Requests that were refused because of an admission webhook',
      labels: ['name', 'type', 'operation', 'error_type', 'rejection_code'],
    })
    this.#failedOpen = metrics.counter({
      name: 'apiserver_admission_webhook_fail_open_count',
      help: 'Requests that went on without an admission webhook that failed',
      labels: ['name', 'type'],
    })
  }

  /** Starts the time of a call; the answer ends it. */
  start(name: string, type: WebhookType, operation: string): (end: CallEnd) => void {
    const began = this.#clock.now()
    return (end) => {
      const { code, error, rejectionCode } = labelsOf(end)
      const rejected = error === undefined ? 'false' : 'true'
      this.#durations.observe((this.#clock.now() - began) / 1000, { name, type, operation, rejected })
      this.#requests.inc({ name, type, operation, code, rejected })
      if (error !== undefined) this.#rejections.inc({ name, type, operation, error_type: error, rejection_code: rejectionCode })
      if (end.kind === 'failed' && end.isIgnored) this.#failedOpen.inc({ name, type })
    }
  }
}

function labelsOf(end: CallEnd): { readonly code: number; readonly error: string | undefined; readonly rejectionCode: number } {
  switch (end.kind) {
    case 'allowed':
      return { code: 200, error: undefined, rejectionCode: 0 }
    case 'refused': {
      const code = Math.min(end.code, maxCode)
      return { code, error: 'no_error', rejectionCode: code }
    }
    case 'failed':
      return { code: unavailable, error: end.isIgnored ? undefined : 'calling_webhook_error', rejectionCode: unavailable }
    case 'broken':
      return { code: 0, error: 'apiserver_internal_error', rejectionCode: 0 }
  }
}
