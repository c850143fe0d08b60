/** Lets a bounded number of holders in, in the order in which they came. */
export class Semaphore {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(places: number) {
    this.#free = places
  }

  /** Resolves when a place is free; dispose what it gives to leave. Rejects with the signal's reason on abort. */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#free > 0) this.#free--
    else
      await new Promise<void>((resolve, reject) => {
        const enter = (): void => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        const onAbort = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(enter), 1)
          reject(signal.reason as Error) // whatever the owner aborted with
        }
        this.#waiting.push(enter)
        signal.addEventListener('abort', onAbort, { once: true })
      })
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        const next = this.#waiting.shift()
        if (next === undefined) this.#free++
        else next()
      },
    }
  }
}
