/**
 * A first-in first-out queue between a producer and one consumer that pauses the producer when it is full.
 *
 * ```
 * const queue = new BoundedQueue<number>('events', 2)
 * await queue.push(1, signal)          // waits while 2 items are queued
 * for await (const item of queue) …    // ends after close(), throws what fail() was given
 * ```
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly name: string
  readonly capacity: number
  #items: T[] = []
  #head = 0
  #closed = false
  #failure: { readonly error: unknown } | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriters: (() => void)[] = []

  constructor(name: string, capacity: number) {
    this.name = name
    this.capacity = capacity
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  /** Adds an item if there is room; false when the queue is full or closed. */
  offer(item: T): boolean {
    if (this.#closed || this.size >= this.capacity) return false
    this.#items.push(item)
    this.#wakeReader?.()
    return true
  }

  /** Adds an item, waiting for room. False when the queue was closed instead; rejects with the signal's reason on abort. */
  async push(item: T, signal?: AbortSignal): Promise<boolean> {
    while (!this.offer(item)) {
      if (this.#closed) return false
      signal?.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          this.#wakeWriters = this.#wakeWriters.filter((writer) => writer !== wake)
          reject(signal?.reason)
        }
        const wake = (): void => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }
        this.#wakeWriters.push(wake)
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    }
    return true
  }

  /** Takes no more items; the consumer still gets those queued. */
  close(): void {
    this.#closed = true
    this.#wakeReader?.()
    this.#releaseWriters()
  }

  /** Closes at once: queued items are dropped and the consumer gets `error`. */
  fail(error: unknown): void {
    if (this.#closed) return
    this.#failure = { error }
    this.#items = []
    this.#head = 0
    this.close()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        while (this.size > 0) {
          const item = this.#items[this.#head++] as T // size > 0: the slot holds an item
          if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
            this.#items = this.#items.slice(this.#head)
            this.#head = 0
          }
          this.#releaseWriters()
          yield item
        }
        if (this.#failure !== undefined) throw this.#failure.error
        if (this.#closed) return
        await new Promise<void>((resolve) => (this.#wakeReader = resolve))
        this.#wakeReader = undefined
      }
    } finally {
      this.close()
    }
  }

  #releaseWriters(): void {
    const writers = this.#wakeWriters
    this.#wakeWriters = []
    for (const wake of writers) wake()
  }
}
