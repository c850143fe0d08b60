import type { ResourceType } from '@k3s/api'
import type { Clock } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import type { HeavyWork } from '../off-loop/heavy-work.ts'
import type { ObjectReader, RequestScope } from './strategy.ts'

/** A request that writes: what rules may know of it, and what the registry needs besides. */
export interface WriteScope extends RequestScope {
  readonly signal: AbortSignal
  /** Who owns the fields that this request sets. */
  readonly fieldManager: string
  /** Admission was done by the caller, or the server itself writes. */
  readonly skipsAdmission?: boolean | undefined
  /** Strategies were applied by the caller: the object is written as it is. */
  readonly skipsRules?: boolean | undefined
}

/** RFC 3339 with whole seconds, as metav1.Time is written. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

export interface ScopeOptions {
  readonly user: UserInfo
  readonly namespace: string
  readonly dryRun?: boolean | undefined
  readonly clock: Clock
  readonly objects: ObjectReader
  readonly warn?: ((message: string) => void) | undefined
  readonly signal: AbortSignal
  readonly fieldManager: string
  readonly requested?: ResourceType | undefined
  readonly query?: URLSearchParams | undefined
  readonly annotate?: ((key: string, value: string) => void) | undefined
  readonly work?: HeavyWork | undefined
  readonly skipsAdmission?: boolean | undefined
  readonly skipsRules?: boolean | undefined
}

export function writeScope(options: ScopeOptions): WriteScope {
  const nowMs = options.clock.now()
  return {
    user: options.user,
    namespace: options.namespace,
    dryRun: options.dryRun ?? false,
    // A deletion has no use for it.
    get now() {
      return formatTime(nowMs)
    },
    objects: options.objects,
    warn: options.warn ?? (() => {}),
    signal: options.signal,
    fieldManager: options.fieldManager,
    requested: options.requested,
    query: options.query,
    ...(options.annotate === undefined ? {} : { annotate: options.annotate }),
    work: options.work,
    skipsAdmission: options.skipsAdmission,
    skipsRules: options.skipsRules,
  }
}
