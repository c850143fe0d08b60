import type { Clock } from '@k3s/lifecycle'

interface Expected {
  creations: number
  readonly deletions: Set<string>
  readonly since: number
}

// Upstream's ExpectationsTimeout: after this an event counts as lost, and the cache is trusted again.
const defaultTimeoutMs = 5 * 60_000

/**
 * What a controller did and its cache has not shown yet. While a key is not fulfilled, the number of children in the cache must not be
 * acted upon, or they would be created or deleted twice.
 *
 * ```
 * expectCreations('ns/a', 3)      isFulfilled('ns/a') === false
 * creationObserved('ns/a')  × 3   isFulfilled('ns/a') === true
 * ```
 */
export class Expectations {
  readonly #keys = new Map<string, Expected>()
  readonly #clock: Clock
  readonly #timeoutMs: number

  constructor(clock: Clock, timeoutMs: number = defaultTimeoutMs) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** Replaces what was expected of the key. */
  expectCreations(key: string, count: number): void {
    this.#keys.set(key, { creations: count, deletions: new Set(), since: this.#clock.monotonic() })
  }

  /** Replaces what was expected of the key. `uids` are those of the objects. */
  expectDeletions(key: string, uids: Iterable<string>): void {
    this.#keys.set(key, { creations: 0, deletions: new Set(uids), since: this.#clock.monotonic() })
  }

  /** Creations and deletions of one step, as DaemonSets make them. */
  expect(key: string, creations: number, uids: Iterable<string>): void {
    this.#keys.set(key, { creations, deletions: new Set(uids), since: this.#clock.monotonic() })
  }

  creationObserved(key: string): void {
    const expected = this.#keys.get(key)
    if (expected !== undefined) expected.creations--
  }

  deletionObserved(key: string, uid: string): void {
    this.#keys.get(key)?.deletions.delete(uid)
  }

  /** True when nothing is outstanding, or it has been for so long that the events must have been missed. */
  isFulfilled(key: string): boolean {
    const expected = this.#keys.get(key)
    if (expected === undefined) return true
    if (expected.creations <= 0 && expected.deletions.size === 0) return true
    return this.#clock.monotonic() - expected.since > this.#timeoutMs
  }

  forget(key: string): void {
    this.#keys.delete(key)
  }
}
