import { nextTurn } from './json-in-turns.ts'

// Of small steps, before everybody else has a turn.
const defaultTurnMs = 6

/** Divides the work on one request into turns of the event loop, by time. */
export class Pace {
  readonly #turnMs: number
  #since = performance.now()

  /** `turnMs`: how long a turn is; 0: every step has one of its own, and takes too long. */
  constructor(turnMs: number = defaultTurnMs) {
    this.#turnMs = turnMs
  }

  /** The step at hand takes longer than a whole turn. */
  get isTooLong(): boolean {
    return this.#elapsedMs >= 2 * this.#turnMs
  }

  /** Between two steps: lets everybody else have a turn when this one has been long enough. */
  async step(): Promise<void> {
    if (this.#elapsedMs < this.#turnMs) return
    await nextTurn()
    this.#since = performance.now()
  }

  get #elapsedMs(): number {
    return performance.now() - this.#since
  }
}
