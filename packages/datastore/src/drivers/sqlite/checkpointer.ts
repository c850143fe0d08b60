import type { CheckpointerCall, LogSize } from './messages.ts'
import type { WorkerThread } from './worker-thread.ts'

/** Bytes of the write-ahead log worth copying. */
const enoughBytes = 4 * 2 ** 20
/** How long a large log that has little left to copy may wait: in a lull it is copied whole, and then begins anew. */
const lullMs = 25
/** The thread costs about 10 MB, so it ends when there has been no work for this long. */
const idleMs = 10_000

/** Copies the write-ahead log into the file in a thread of its own, beside the writer, while there is a load. */
export class Checkpointer implements AsyncDisposable {
  readonly #start: () => WorkerThread<CheckpointerCall>
  #thread: WorkerThread<CheckpointerCall> | undefined
  #working: Promise<void> | undefined
  #lull: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  /** Whether even a small log is to be copied whole, by a copy that has not begun yet: one in progress may have looked too early. */
  #wantsWhole = false
  #isClosed = false

  constructor(start: () => WorkerThread<CheckpointerCall>) {
    this.#start = start
  }

  /** Says how large the log is, after each change: a large one is copied, at once or in a lull by how much there is to copy. */
  note({ bytes, copiedBytes }: LogSize): void {
    if (this.#isClosed) return
    const isLarge = bytes >= enoughBytes && copiedBytes < bytes
    if (bytes - copiedBytes >= enoughBytes) this.#work()
    else if (isLarge || this.#wantsWhole) this.#lull ??= setTimeout(() => this.#work(), lullMs).unref()
  }

  /** As {@link Checkpointer.note}, after pages were given back: the file shrinks only when the log is copied whole, however small that is. */
  noteShrunk(size: LogSize): void {
    this.#wantsWhole = true
    this.note(size)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#working
    await this.#end()
  }

  #work(): void {
    clearTimeout(this.#lull)
    this.#lull = undefined
    if (this.#working !== undefined || this.#isClosed) return
    // Owned by the disposal, which awaits it. A failure is none of the writes': the writer copies by itself when the log gets large.
    const isWholeWanted = this.#wantsWhole
    this.#wantsWhole = false
    this.#working = this.#copy()
      .catch(() => this.#end())
      .then((size) => {
        this.#working = undefined
        if (size === undefined) return
        if (isWholeWanted && size.copiedBytes < size.bytes) this.#wantsWhole = true
        this.note(size)
      })
  }

  async #copy(): Promise<LogSize> {
    clearTimeout(this.#idle)
    if (this.#thread === undefined) {
      this.#thread = this.#start()
      await this.#thread.call({ method: 'open' })
    }
    const size = (await this.#thread.call({ method: 'checkpoint' })) as LogSize // its answer
    this.#idle = setTimeout(() => void this.#end(), idleMs).unref() // #end() does not reject
    return size
  }

  async #end(): Promise<void> {
    clearTimeout(this.#lull)
    clearTimeout(this.#idle)
    this.#lull = undefined
    const thread = this.#thread
    this.#thread = undefined
    await thread?.call({ method: 'close' }).catch(() => {}) // it failed: it is ended all the same
    await thread?.terminate()
  }
}
