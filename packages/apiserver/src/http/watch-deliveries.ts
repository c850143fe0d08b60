/** What tells the time and calls back, so that a test can. */
export interface DeliveryTimers {
  /** Milliseconds that never go back. */
  now(): number
  /** Calls back when what was written in this turn has gone to the sockets. */
  afterWrites(run: () => void): void
  after(ms: number, run: () => void): void
}

const systemTimers: DeliveryTimers = {
  now: () => performance.now(),
  afterWrites: (run) => void setImmediate(run),
  after: (ms, run) => void setTimeout(run, ms),
}

// Whoever waits for the answer of a write has its event first, as long as few hear of it: controllers that read their caches right after a write
// find them stale otherwise, and try again. About a millisecond.
const defaultMostAtOnce = 64
// Requests get a turn between two of these: the writes that watchers are to hear of are among them. What is written in one takes as long again to send.
const maxTurnMs = 3
// Bounds how much later than it could an event is sent, once for each turn that a round takes.
const maxPauseMs = 2
// A round that is over sooner holds nobody up.
const minPauseMs = 1

/**
 * Writes to watchers, and leaves others their share of the loop: after a round that took a while it pauses for as long, and what happens
 * meanwhile goes out together. A write to an encrypted socket costs about the same for one event as for ten. The first watchers of a turn are written to at once,
 * before the write that they hear of is answered: who has few watchers waits for nothing.
 *
 * ```
 * events   a   b c d e f    g
 * rounds   [a…] pause [bcdef…] pause [g…]
 * ```
 */
export class WatchDeliveries {
  readonly #timers: DeliveryTimers
  readonly #mostAtOnce: number
  /** Pumped at once in this turn. */
  #atOnce = 0
  #waiting = new Set<() => void>()
  /** From the moment that something waits until the pause after the round is over. */
  #isBusy = false
  #lastJoined: { readonly frames: readonly Buffer[]; readonly bytes: Buffer } | undefined

  /** @param mostAtOnce watchers of one turn of the event loop that need not wait for a round. */
  constructor(timers: DeliveryTimers = systemTimers, mostAtOnce: number = defaultMostAtOnce) {
    this.#timers = timers
    this.#mostAtOnce = mostAtOnce
  }

  /** Calls `pump` at once, or once in the next round. It must not throw. */
  schedule(pump: () => void): void {
    if (!this.#isBusy && this.#atOnce < this.#mostAtOnce) {
      if (this.#atOnce === 0) this.#timers.afterWrites(() => (this.#atOnce = 0))
      this.#atOnce++
      pump()
      return
    }
    this.#waiting.add(pump)
    if (!this.#isBusy) this.#begin()
  }

  #begin(): void {
    this.#isBusy = true
    // Not at once: more may happen in this turn.
    this.#timers.afterWrites(() => this.#round(this.#timers.now()))
  }

  /** `frames` in one piece; the same piece for watchers that get the same. */
  join(frames: readonly Buffer[]): Buffer {
    const [first] = frames
    if (frames.length === 1 && first !== undefined) return first
    const last = this.#lastJoined
    if (last?.frames.length === frames.length && frames.every((frame, index) => frame === last.frames[index])) return last.bytes
    const bytes = Buffer.concat(frames)
    this.#lastJoined = { frames, bytes }
    return bytes
  }

  /** One turn of a round that began at `began`. */
  #round(began: number): void {
    const { now, afterWrites, after } = this.#timers
    const end = now() + maxTurnMs
    for (const pump of this.#waiting) {
      this.#waiting.delete(pump)
      pump()
      if (now() >= end) break
    }
    afterWrites(() => {
      const tookMs = now() - began
      if (this.#waiting.size > 0 && tookMs < maxPauseMs) this.#round(began)
      else if (tookMs < minPauseMs) this.#rest()
      else after(Math.min(maxPauseMs, tookMs), () => this.#rest())
    })
  }

  #rest(): void {
    this.#lastJoined = undefined
    this.#isBusy = false
    if (this.#waiting.size > 0) this.#begin()
  }
}
