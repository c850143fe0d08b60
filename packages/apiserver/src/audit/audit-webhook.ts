import { noLogger, noMetrics, systemClock, type Clock, type Counter, type Logger, type MetricsRegistry } from '@k3s/lifecycle'
import type { AuditSink } from './auditor.ts'
import { sendEvents, type SendOptions } from './send-events.ts'

/** How events are put together and how often they are sent. */
export interface AuditBatches {
  /** Events that may wait; more are dropped, and counted. */
  readonly bufferSize: number
  /** Events in one request. */
  readonly maxSize: number
  /** Milliseconds that an event waits for others. */
  readonly maxWaitMs: number
  /** Requests a second, and how many may come at once after a rest; undefined: as many as there are. */
  readonly throttle: { readonly perSecond: number; readonly burst: number } | undefined
}

/** Upstream's defaults for `--audit-webhook-batch-*`. */
export const defaultAuditBatches: AuditBatches = {
  bufferSize: 10_000,
  maxSize: 400,
  maxWaitMs: 30_000,
  throttle: { perSecond: 10, burst: 15 },
}

export interface AuditWebhookOptions extends SendOptions {
  readonly batches?: AuditBatches | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
}

// Unlike upstream, which has no bound: a server that does not answer fills the buffer, not the memory.
const maxRequests = 16

/** Sends audit events to a server in batches, and a failed batch up to four times more. What finds the buffer full is dropped. Closing it sends what waits. */
export class AuditWebhook implements AuditSink, AsyncDisposable {
  /** As upstream counts what its buffer has no room for. */
  readonly name = 'buffered'
  readonly #options: AuditWebhookOptions
  readonly #batches: AuditBatches
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #lost: Counter
  readonly #waiting: string[] = []
  readonly #requests = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #wake = (): void => {}
  #tokens: number
  #filledAt: number

  constructor(options: AuditWebhookOptions) {
    const { batches = defaultAuditBatches, clock = systemClock, logger = noLogger, metrics = noMetrics } = options
    this.#options = options
    this.#batches = batches
    this.#clock = clock
    this.#logger = logger
    this.#lost = metrics.counter({ name: 'apiserver_audit_error_total', help: 'Audit events that were lost', labels: ['plugin'] })
    this.#tokens = batches.throttle?.burst ?? 0
    this.#filledAt = clock.monotonic()
    this.#running = this.#run()
  }

  write(event: string): boolean {
    if (this.#closing.signal.aborted || this.#waiting.length >= this.#batches.bufferSize) return false
    this.#waiting.push(event)
    if (this.#waiting.length >= this.#batches.maxSize) this.#wake()
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#running
    await this.#options.hook[Symbol.asyncDispose]()
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted || this.#waiting.length > 0) {
      await this.#batchIsDue()
      const events = this.#waiting.splice(0, this.#batches.maxSize)
      if (events.length === 0) continue
      await this.#mayRequest()
      while (this.#requests.size >= maxRequests) await Promise.race(this.#requests)
      const request: Promise<void> = this.#send(events).finally(() => this.#requests.delete(request))
      this.#requests.add(request)
    }
    await Promise.all(this.#requests)
  }

  /** Until a batch is full, its first event has waited long enough, or nothing more comes. */
  async #batchIsDue(): Promise<void> {
    const { maxSize, maxWaitMs } = this.#batches
    if (this.#waiting.length >= maxSize) return
    const full = new AbortController()
    this.#wake = () => full.abort()
    await this.#sleep(maxWaitMs, AbortSignal.any([full.signal, this.#closing.signal]))
  }

  async #mayRequest(): Promise<void> {
    const { throttle } = this.#batches
    if (throttle === undefined) return
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(throttle.burst, this.#tokens + ((now - this.#filledAt) / 1000) * throttle.perSecond)
    this.#filledAt = now
    this.#tokens--
    if (this.#tokens < 0) await this.#sleep((-this.#tokens / throttle.perSecond) * 1000, this.#closing.signal)
  }

  /** An abort ends it early. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(ms, signal)
    } catch {
      // aborted: that is what is waited for
    }
  }

  /** Never rejects. */
  async #send(events: readonly string[]): Promise<void> {
    try {
      await sendEvents(events, this.#options, this.#closing.signal)
    } catch (error) {
      this.#lost.inc({ plugin: 'webhook' }, events.length)
      this.#logger.error({ err: error, events: events.length }, 'Audit events cannot be sent')
    }
  }
}
