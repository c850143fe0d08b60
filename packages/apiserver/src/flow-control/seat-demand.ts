/** What a level asked for in a while. */
export interface DemandSummary {
  readonly highWatermark: number
  /** Over time, as is the deviation. */
  readonly average: number
  readonly deviation: number
}

/** Follows the number of seats that are in use or waited for. Times are milliseconds of one monotonic clock. */
export class SeatDemand {
  #value = 0
  #since: number
  #from: number
  #max = 0
  #integral = 0
  #squares = 0

  constructor(now: number) {
    this.#since = now
    this.#from = now
  }

  set(value: number, now: number): void {
    this.#advance(now)
    this.#value = value
    if (value > this.#max) this.#max = value
  }

  /** What was asked for since the last call. */
  take(now: number): DemandSummary {
    this.#advance(now)
    const elapsed = now - this.#from
    const average = elapsed > 0 ? this.#integral / elapsed : this.#value
    const variance = elapsed > 0 ? this.#squares / elapsed - average * average : 0
    const summary = { highWatermark: this.#max, average, deviation: Math.sqrt(Math.max(0, variance)) }
    this.#from = now
    this.#max = this.#value
    this.#integral = 0
    this.#squares = 0
    return summary
  }

  #advance(now: number): void {
    const elapsed = now - this.#since
    if (elapsed <= 0) return
    this.#integral += this.#value * elapsed
    this.#squares += this.#value * this.#value * elapsed
    this.#since = now
  }
}
