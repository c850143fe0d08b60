import type { Clock, Logger } from '@k3s/lifecycle'
import type { Backend } from './backend.ts'

const maxSleepMs = 60_000
/** The longest sleep in a database that is shared: leases of a server that is gone are noticed within it. */
const maxSharedSleepMs = 10_000
/** Members of a database that is shared look at different moments, so that the first has done the work when the others look. */
const sharedSpreadMs = 250
/** After a failure, which the store has already reported to its callers. */
const retryMs = 1000
/** Leases revoked at once: the rest waits for the next round. */
const maxAtOnce = 100

/** The wall clock at the start, moved on by the monotonic clock: a jump of the wall clock expires no lease early and keeps none alive. */
export function steadyNow(clock: Clock): () => number {
  const offset = clock.now() - clock.monotonic()
  return () => Math.round(clock.monotonic() + offset)
}

/** Revokes leases when their deadlines have passed. */
export class LeaseExpiry {
  readonly #backend: Backend
  readonly #clock: Clock
  readonly #now: () => number
  readonly #logger: Logger
  readonly #revoke: (id: bigint, nowMs: number) => Promise<void>
  #failures = 0
  #wakeAtMs = Number.NEGATIVE_INFINITY
  #rearm = new AbortController()

  /** `revoke` deletes the lease and its keys unless it was renewed. */
  constructor(backend: Backend, clock: Clock, now: () => number, logger: Logger, revoke: (id: bigint, nowMs: number) => Promise<void>) {
    this.#backend = backend
    this.#clock = clock
    this.#now = now
    this.#logger = logger
    this.#revoke = revoke
  }

  /** Says that a lease now ends in `afterMs`. */
  arm(afterMs: number): void {
    if (this.#now() + afterMs < this.#wakeAtMs) this.#rearm.abort()
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#rearm = new AbortController()
      const sleepMs = await this.#revokeDue().catch((error: unknown) => {
        if (!signal.aborted && this.#failures++ === 0) this.#logger.warn({ err: error }, 'Expired leases could not be revoked')
        return retryMs
      })
      this.#wakeAtMs = this.#now() + sleepMs
      // The sleep is also ended by arm() and by the signal.
      await this.#clock.sleep(sleepMs, AbortSignal.any([signal, this.#rearm.signal])).catch(() => {})
      this.#wakeAtMs = Number.NEGATIVE_INFINITY
    }
  }

  /** Revokes what is due; how long to sleep then. */
  async #revokeDue(): Promise<number> {
    const nowMs = this.#now()
    // Until the answer is here, any grant may be the next to end.
    this.#wakeAtMs = Number.POSITIVE_INFINITY
    const { ids, nextDeadlineMs = Number.POSITIVE_INFINITY, ...due } = await this.#backend.dueLeases(nowMs, maxAtOnce)
    await Promise.all(ids.map((id) => this.#revoke(id, nowMs)))
    this.#failures = 0
    if (ids.length === maxAtOnce) return 0
    if (due.nowMs === undefined) return Math.min(maxSleepMs, Math.max(0, nextDeadlineMs - this.#now()))
    const passedMs = this.#now() - nowMs
    return Math.min(maxSharedSleepMs, Math.max(0, nextDeadlineMs - due.nowMs - passedMs) + Math.random() * sharedSpreadMs)
  }
}
