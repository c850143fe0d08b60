// Upstream's bound, in seconds.
const maxRetryAfter = 32

/** How long clients of a level shall stay away after they were turned away: longer while many are, in seconds. */
export class RetryAfter {
  #seconds = 1
  #changedAt = 0
  #windowStart = 0
  #refused = 0

  /** Counts a refusal and answers with the seconds until the next try, 1 to 32. `now` in milliseconds. */
  refuse(now: number): number {
    const second = Math.floor(now / 1000)
    if (second - this.#windowStart >= this.#seconds) {
      const elapsed = second - this.#windowStart
      // Refusals a second, over a window as long as clients stayed away.
      if (elapsed < 2 * this.#seconds && this.#refused >= 3 * this.#seconds)
        this.#change(Math.min(maxRetryAfter, this.#seconds * 2), second)
      else if (second - this.#changedAt >= this.#seconds && this.#refused < this.#seconds)
        this.#change(Math.max(1, this.#seconds - 1), second)
      this.#windowStart = second
      this.#refused = 0
    }
    this.#refused++
    return this.#seconds
  }

  #change(seconds: number, second: number): void {
    this.#seconds = seconds
    this.#changedAt = second
  }
}
