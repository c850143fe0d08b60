import type { Clock } from '@k3s/lifecycle'

interface Entry {
  readonly key: string
  readonly at: number
}

/**
 * Keys that become due at a time of the monotonic clock. A key waits once: added again, the earlier time counts.
 * One sleep is pending at most, for the earliest key; it does not keep the process alive.
 */
export class DelayHeap {
  readonly #clock: Clock
  readonly #onDue: (key: string) => void
  /** A binary min-heap by `at`. An entry is stale when `#times` says another time for its key. */
  readonly #heap: Entry[] = []
  readonly #times = new Map<string, number>()
  #armed: { readonly at: number; readonly stop: AbortController } | undefined

  /** @param onDue called for one key at a time; must not throw. */
  constructor(clock: Clock, onDue: (key: string) => void) {
    this.#clock = clock
    this.#onDue = onDue
  }

  add(key: string, delayMs: number): void {
    const at = this.#clock.monotonic() + delayMs
    const known = this.#times.get(key)
    if (known !== undefined && known <= at) return
    this.#times.set(key, at)
    this.#push({ key, at })
    this.#arm()
  }

  /** Forgets every key. */
  close(): void {
    this.#heap.length = 0
    this.#times.clear()
    this.#armed?.stop.abort()
    this.#armed = undefined
  }

  #arm(): void {
    const first = this.#heap[0]
    if (first === undefined || (this.#armed !== undefined && this.#armed.at <= first.at)) return
    this.#armed?.stop.abort()
    const stop = new AbortController()
    this.#armed = { at: first.at, stop }
    // Owned by `#armed`: settles when the time comes or when it is aborted for an earlier one or by close().
    void this.#fireAfter(first.at - this.#clock.monotonic(), stop.signal)
  }

  async #fireAfter(delayMs: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(delayMs, signal)
    } catch {
      return // aborted: another sleep, or none, is armed
    }
    if (signal.aborted) return
    this.#armed = undefined
    this.#fire()
  }

  #fire(): void {
    const now = this.#clock.monotonic()
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.#pop()
      if (this.#times.get(first.key) !== first.at) continue
      this.#times.delete(first.key)
      this.#onDue(first.key)
    }
    this.#arm()
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let index = heap.push(entry) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent]
      if (above === undefined || above.at <= entry.at) break
      heap[index] = above
      index = parent
    }
    heap[index] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let index = 0
    for (;;) {
      const left = heap[2 * index + 1]
      const right = heap[2 * index + 2]
      if (left === undefined) break
      const [child, childIndex] = right !== undefined && right.at < left.at ? [right, 2 * index + 2] : [left, 2 * index + 1]
      if (child.at >= last.at) break
      heap[index] = child
      index = childIndex
    }
    heap[index] = last
  }
}
