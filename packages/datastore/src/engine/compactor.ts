import type { Clock, Logger } from '@k3s/lifecycle'
import type { Backend } from './backend.ts'
import type { CommitQueue } from './commit-queue.ts'

/** After a failed slice. */
const retryMs = 1000

/**
 * Frees the space of compacted history, slice by slice, each between two batches of writes (beside them in a database that is shared, which keeps
 * both apart). While writes wait, it pauses as long as its slices take, so that they have half of the time at least; otherwise one slice follows the
 * other until no backlog is left.
 */
export class Compactor {
  readonly #backend: Backend
  readonly #queue: CommitQueue
  readonly #clock: Clock
  readonly #logger: Logger
  /** The start looks for what an earlier run has left. */
  #hasBacklog = true
  #wake: () => void = () => {}

  constructor(backend: Backend, queue: CommitQueue, clock: Clock, logger: Logger) {
    this.#backend = backend
    this.#queue = queue
    this.#clock = clock
    this.#logger = logger
  }

  /** Says that the compact revision has moved. */
  wake(): void {
    this.#hasBacklog = true
    this.#wake()
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      if (!this.#hasBacklog) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
        continue
      }
      this.#hasBacklog = false
      const begin = this.#clock.monotonic()
      let pauseMs = 0
      try {
        const slice = async (): Promise<void> => {
          const isMore = await this.#backend.compactSlice()
          if (isMore) this.#hasBacklog = true
        }
        await (this.#backend.shared === undefined ? this.#queue.runBetween(slice) : slice())
        failures = 0
        if (this.#queue.isBusy) pauseMs = this.#clock.monotonic() - begin
      } catch (error) {
        if (signal.aborted) return
        if (failures++ === 0) this.#logger.warn({ err: error }, 'History could not be compacted')
        this.#hasBacklog = true
        pauseMs = retryMs
      }
      if (pauseMs > 0) await this.#clock.sleep(pauseMs, signal).catch(() => {}) // aborted: the loop ends
    }
  }
}
