import type { Counter, MetricsRegistry } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import { notAnswered } from '../errors.ts'
import type { RequestInfo } from '../http/request-info.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import { AuditedRequest, type AuditEventOptions } from './audit-event.ts'
import { decideAudit, type AuditPolicy } from './policy.ts'

/** Where audit events go. */
export interface AuditSink {
  /** By which metrics call it; default `log`. */
  readonly name?: string | undefined
  /** A request whose first event it does not take is not served. */
  readonly isStrict?: boolean | undefined
  /** Takes one event, a line of JSON without its end. False: it was dropped. Never throws, never rejects. What it does later than at once, the request waits for. */
  write(event: string): Written
}

/** Whether an event was taken, or will have been. */
export type Written = boolean | Promise<boolean>

export interface AuditOptions {
  readonly policy: AuditPolicy
  readonly sinks: readonly AuditSink[]
}

const nobody: UserInfo = { name: '', groups: [] }

/** Tells sinks of the requests that a policy wants to hear of. */
export class Auditor {
  readonly #options: AuditOptions
  readonly #now: () => number
  readonly #events: Counter
  readonly #errors: Counter
  readonly #rejected: Counter

  constructor(options: AuditOptions, metrics: MetricsRegistry, now: () => number) {
    this.#options = options
    this.#now = now
    this.#events = metrics.counter({ name: 'apiserver_audit_event_total', help: 'Audit events that were made' })
    this.#errors = metrics.counter({ name: 'apiserver_audit_error_total', help: 'Audit events that were lost', labels: ['plugin'] })
    this.#rejected = metrics.counter({
      name: 'apiserver_audit_requests_rejected_total',
      help: 'Requests that were not served because their audit event was lost',
    })
  }

  /**
   * Begins the story of a request of a known user; undefined when nothing of it is logged. `notes` are annotations from before.
   * Waits for sinks that want it; throws an internal error when a strict one does not take the first event.
   */
  async begin(call: ApiCall, info: RequestInfo, user: UserInfo, notes?: ReadonlyMap<string, string>): Promise<AuditedRequest | undefined> {
    const options = this.#about(call, info, user, notes)
    if (options === undefined) return undefined
    const story = new AuditedRequest(options)
    if (await story.received()) return story
    call.signal.throwIfAborted()
    this.#rejected.inc()
    throw notAnswered(call.origin?.uri ?? call.path, 'failed to store audit event')
  }

  /** Tells of a request whose credentials nobody knows. As upstream it is one event, at the stage `ResponseStarted`. */
  async unauthenticated(call: ApiCall, info: RequestInfo, refusal: unknown, notes?: ReadonlyMap<string, string>): Promise<void> {
    const options = this.#about(call, info, nobody, notes)
    if (options !== undefined) await new AuditedRequest(options).refused(refusal)
  }

  #about(call: ApiCall, info: RequestInfo, user: UserInfo, notes?: ReadonlyMap<string, string>): AuditEventOptions | undefined {
    const decision = decideAudit(this.#options.policy, info, user)
    if (decision.level === 'None') return undefined
    return {
      call,
      info,
      user,
      notes,
      decision,
      now: this.#now,
      emit: (event) => this.#emit(event, call.signal),
    }
  }

  /** False when a strict sink has not taken it. Who waits no more is not kept waiting. */
  #emit(event: string, signal: AbortSignal): Written {
    this.#events.inc()
    const waited: Promise<boolean>[] = []
    let isTaken = true
    for (const sink of this.#options.sinks) {
      const count = (written: boolean): boolean => {
        if (!written) this.#errors.inc({ plugin: sink.name ?? 'log' })
        return written || sink.isStrict !== true
      }
      const written = sink.write(event)
      if (written instanceof Promise) waited.push(written.then(count))
      else isTaken = count(written) && isTaken
    }
    if (waited.length === 0) return isTaken
    const all = Promise.all(waited).then((taken) => isTaken && taken.every(Boolean))
    return unlessAborted(all, signal)
  }
}

/** False as soon as the signal aborts; `work` never rejects. */
function unlessAborted(work: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = (): void => resolve(false)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    void work.then((taken) => {
      signal.removeEventListener('abort', stop)
      resolve(taken)
    })
  })
}
