import type { LogPosition, SharedLog } from './backend.ts'

/**
 * Reads where a shared log stands, once for all who ask at the same time. One who asks while a read is in flight gets the next one: that in flight
 * may have been done before the question.
 */
export class NewestPosition {
  readonly #shared: SharedLog
  readonly #onPosition: (position: LogPosition) => void
  #inFlight: Promise<unknown> | undefined
  #next: Promise<LogPosition> | undefined

  constructor(shared: SharedLog, onPosition: (position: LogPosition) => void) {
    this.#shared = shared
    this.#onPosition = onPosition
  }

  /** Linearizable. */
  read(): Promise<LogPosition> {
    this.#next ??= this.#readNext()
    return this.#next
  }

  async #readNext(): Promise<LogPosition> {
    await this.#inFlight?.catch(() => {}) // told to those who wait for it
    // No await between this and the query: who asks from here on gets another read.
    this.#next = undefined
    const reading = this.#shared.readPosition()
    this.#inFlight = reading
    const position = await reading
    this.#onPosition(position)
    return position
  }
}
