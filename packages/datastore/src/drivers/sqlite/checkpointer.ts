import type { CheckpointerCall } from './messages.ts'
import type { WorkerThread } from './worker-thread.ts'

/** Frames of the write-ahead log worth copying: 4 MiB. */
const minimumFrames = 1000
/** The thread costs about 10 MB, so it ends when there has been no work for this long. */
const idleMs = 10_000

/** Copies the write-ahead log into the file in a thread of its own, beside the writer, while there is a load. */
export class Checkpointer implements AsyncDisposable {
  readonly #start: () => WorkerThread<CheckpointerCall>
  #thread: WorkerThread<CheckpointerCall> | undefined
  #working: Promise<void> | undefined
  #idle: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(start: () => WorkerThread<CheckpointerCall>) {
    this.#start = start
  }

  /** Says how much is to be copied; starts when that is much. */
  note(uncopiedFrames: number): void {
    if (uncopiedFrames < minimumFrames || this.#working !== undefined || this.#isClosed) return
    // Owned by the disposal, which awaits it. A failure is none of the writes': the writer copies by itself when the log gets large.
    this.#working = this.#copy()
      .catch(() => this.#end())
      .finally(() => (this.#working = undefined))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#working
    await this.#end()
  }

  async #copy(): Promise<void> {
    clearTimeout(this.#idle)
    if (this.#thread === undefined) {
      this.#thread = this.#start()
      await this.#thread.call({ method: 'open' })
    }
    await this.#thread.call({ method: 'checkpoint' })
    this.#idle = setTimeout(() => void this.#end(), idleMs).unref() // end() does not reject
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle)
    const thread = this.#thread
    this.#thread = undefined
    await thread?.call({ method: 'close' }).catch(() => {}) // it failed: it is ended all the same
    await thread?.terminate()
  }
}
