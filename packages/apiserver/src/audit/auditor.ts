import type { Counter, MetricsRegistry } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import type { RequestInfo } from '../http/request-info.ts'
import type { ApiCall } from '../pipeline/api-call.ts'
import { AuditedRequest, type AuditEventOptions } from './audit-event.ts'
import { decideAudit, type AuditPolicy } from './policy.ts'

/** Where audit events go. */
export interface AuditSink {
  /** By which metrics call it; default `log`. */
  readonly name?: string | undefined
  /** Takes one event, a line of JSON without its end. False: it was dropped. Never throws, never blocks. */
  write(event: string): boolean
}

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

  constructor(options: AuditOptions, metrics: MetricsRegistry, now: () => number) {
    this.#options = options
    this.#now = now
    this.#events = metrics.counter({ name: 'apiserver_audit_event_total', help: 'Audit events that were made' })
    this.#errors = metrics.counter({ name: 'apiserver_audit_error_total', help: 'Audit events that were lost', labels: ['plugin'] })
  }

  /** Begins the story of a request of a known user; undefined when nothing of it is logged. `notes` are annotations from before. */
  begin(call: ApiCall, info: RequestInfo, user: UserInfo, notes?: ReadonlyMap<string, string>): AuditedRequest | undefined {
    const options = this.#about(call, info, user, notes)
    return options === undefined ? undefined : new AuditedRequest(options)
  }

  /** Tells of a request whose credentials nobody knows. As upstream it is one event, at the stage `ResponseStarted`. */
  unauthenticated(call: ApiCall, info: RequestInfo, refusal: unknown, notes?: ReadonlyMap<string, string>): void {
    const options = this.#about(call, info, nobody, notes)
    if (options !== undefined) AuditedRequest.refused(options, refusal)
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
      emit: (event) => {
        this.#events.inc()
        for (const sink of this.#options.sinks) if (!sink.write(event)) this.#errors.inc({ plugin: sink.name ?? 'log' })
      },
    }
  }
}
