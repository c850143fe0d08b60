import type { Clock } from '@k3s/lifecycle'

interface Entry {
  delayMs: number
  readonly since: number
}

export interface KeyedBackoffOptions {
  readonly clock: Clock
  readonly initialMs: number
  readonly maxMs: number
  /** After so long without a failure a key starts anew. */
  readonly resetMs: number
}

/** Growing delays by key: each failure doubles its key's delay. */
export class KeyedBackoff {
  readonly #options: KeyedBackoffOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: KeyedBackoffOptions) {
    this.#options = options
  }

  /** Delay in milliseconds that the key has now; 0 for an unknown one. */
  delayOf(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0
  }

  /** Milliseconds that are left of the key's delay when it is counted from `fromMs`; 0 when it may go on. */
  remaining(key: string, fromMs: number): number {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#isStale(entry, fromMs)) return 0
    return Math.max(0, fromMs + entry.delayMs - this.#options.clock.now())
  }

  /** Counts one more try; `fromMs` is when the one before ended. */
  next(key: string, fromMs: number): void {
    const { clock, initialMs, maxMs } = this.#options
    const entry = this.#entries.get(key)
    const delayMs = entry === undefined || this.#isStale(entry, fromMs) ? initialMs : Math.min(maxMs, entry.delayMs * 2)
    this.#entries.set(key, { delayMs, since: clock.now() })
  }

  forget(key: string): void {
    this.#entries.delete(key)
  }

  /** Drops the keys of a pod that is gone. */
  forgetPrefix(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key)
  }

  #isStale(entry: Entry, fromMs: number): boolean {
    return fromMs - entry.since > this.#options.resetMs
  }
}
