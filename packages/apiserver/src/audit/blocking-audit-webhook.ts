import { noLogger, type Logger } from '@k3s/lifecycle'
import type { AuditSink } from './auditor.ts'
import { sendEvents, type SendOptions } from './send-events.ts'

export interface BlockingAuditWebhookOptions extends SendOptions {
  /** Requests whose first event cannot be sent are not served; default false. */
  readonly isStrict?: boolean | undefined
  readonly logger?: Logger | undefined
}

/** Sends each audit event by itself, and up to four times more when that fails; requests wait for it. Closing it ends the waiting for another try. */
export class BlockingAuditWebhook implements AuditSink, AsyncDisposable {
  readonly name = 'webhook'
  readonly isStrict: boolean
  readonly #options: BlockingAuditWebhookOptions
  readonly #sending = new Set<Promise<boolean>>()
  readonly #closing = new AbortController()

  constructor(options: BlockingAuditWebhookOptions) {
    this.#options = options
    this.isStrict = options.isStrict ?? false
  }

  write(event: string): Promise<boolean> {
    const sending = this.#send(event)
    this.#sending.add(sending)
    void sending.then(() => this.#sending.delete(sending)) // it never rejects
    return sending
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#sending)
    await this.#options.hook[Symbol.asyncDispose]()
  }

  async #send(event: string): Promise<boolean> {
    try {
      await sendEvents([event], this.#options, this.#closing.signal)
      return true
    } catch (error) {
      ;(this.#options.logger ?? noLogger).error({ err: error }, 'Audit event cannot be sent')
      return false
    }
  }
}
