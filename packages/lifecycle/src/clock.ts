/** Where time comes from. Code that waits takes one, so that a test can move it. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  now(): number
  /** Milliseconds that never go back; only differences mean something. */
  monotonic(): number
  /** Resolves after `ms` (at once when ≤ 0); rejects with the signal's reason on abort. Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    // A timer holds at most 2^31 - 1 ms: longer waits take several.
    for (let rest = ms; ; rest -= maxTimerMs) {
      await waitOnce(Math.max(0, Math.min(rest, maxTimerMs)), signal)
      if (rest <= maxTimerMs) return
    }
  },
}

const maxTimerMs = 2 ** 31 - 1

function waitOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    timer.unref()
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** A clock for tests that moves only by {@link FakeClock.advance}. */
export class FakeClock implements Clock {
  #time: number
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = []

  constructor(startMs = 0) {
    this.#time = startMs
  }

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      if (ms <= 0) return resolve()
      const sleeper = {
        at: this.#time + ms,
        wake: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      const onAbort = (): void => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1)
        reject(signal?.reason)
      }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** How many sleeps are pending: poll it to know that the code under test waits. */
  get sleeping(): number {
    return this.#sleepers.length
  }

  /** Moves time by `ms`, waking sleepers in order of their time; lets each run its continuations before the next wakes. */
  async advance(ms: number): Promise<void> {
    const end = this.#time + ms
    // Code that is about to sleep gets to it first.
    await new Promise((resolve) => setImmediate(resolve))
    for (;;) {
      const next = this.#sleepers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#sleepers.splice(this.#sleepers.indexOf(next), 1)
      this.#time = next.at
      next.wake()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#time = end
    await new Promise((resolve) => setImmediate(resolve))
  }
}
