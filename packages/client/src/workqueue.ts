import { noMetrics, systemClock, type Clock, type MetricsRegistry } from '@k3s/lifecycle'
import { DelayHeap } from './delay-heap.ts'
import type { Workqueue } from './informer-contract.ts'

export interface WorkqueueOptions {
  /** Label `name` of the metrics. */
  readonly name: string
  readonly clock?: Clock | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** Delay after a key's first failure, in milliseconds; doubles with each one more. */
  readonly initialDelayMs?: number | undefined
  /** Upper bound of that delay, in milliseconds. */
  readonly maxDelayMs?: number | undefined
}

/** The workers' side of a queue. `runWorkers` is the usual one who calls this. */
export interface WorkSource extends Workqueue {
  readonly name: string
  /** The next key, oldest first; waits for one. Undefined when the queue was closed; rejects with the signal's reason on abort. Every key taken must be given to `done`. */
  take(signal: AbortSignal): Promise<string | undefined>
  /** Work on a key has ended: if it was added meanwhile, it is queued again. */
  done(key: string): void
  /** Drops what is queued or waits; later calls of `add` do nothing and `take` gives undefined. */
  close(): void
}

// client-go's DefaultControllerRateLimiter: 5 ms lets a conflict resolve at once, 1000 s keeps a hopeless key from costing anything.
const defaults = { initialDelayMs: 5, maxDelayMs: 1_000_000 }

const durationBuckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]

/**
 * A queue of keys with client-go's three sets: *dirty* (needs work), *processing* (is worked on) and the order of the dirty ones that
 * nobody works on.
 *
 * ```
 * add(a)            dirty {a}   processing {}    queued [a]
 * take() → a        dirty {}    processing {a}   queued []
 * add(a), add(a)    dirty {a}   processing {a}   queued []    nobody else may take a
 * done(a)           dirty {a}   processing {}    queued [a]   once, not twice
 * ```
 */
class KeyQueue implements WorkSource {
  readonly name: string
  readonly #clock: Clock
  readonly #initialDelayMs: number
  readonly #maxDelayMs: number
  /** When each dirty key was added, by the monotonic clock. */
  readonly #dirty = new Map<string, number>()
  /** When work on each key began. */
  readonly #processing = new Map<string, number>()
  /** In order of insertion. Holds dirty keys that are not being processed. */
  readonly #queued = new Set<string>()
  readonly #failures = new Map<string, number>()
  readonly #delayed: DelayHeap
  /** Takers that wait, oldest first; no more of them than workers. */
  readonly #takers = new Set<(key: string | undefined) => void>()
  readonly #metrics: ReturnType<typeof queueMetrics>
  #closed = false

  constructor(options: WorkqueueOptions) {
    this.name = options.name
    this.#clock = options.clock ?? systemClock
    this.#initialDelayMs = options.initialDelayMs ?? defaults.initialDelayMs
    this.#maxDelayMs = options.maxDelayMs ?? defaults.maxDelayMs
    this.#metrics = queueMetrics(options.metrics ?? noMetrics)
    this.#delayed = new DelayHeap(this.#clock, (key) => this.add(key))
  }

  get depth(): number {
    return this.#queued.size
  }

  add(key: string): void {
    if (this.#closed || this.#dirty.has(key)) return
    this.#metrics.adds.inc({ name: this.name })
    this.#dirty.set(key, this.#clock.monotonic())
    if (!this.#processing.has(key)) this.#enqueue(key)
  }

  addAfter(key: string, delayMs: number): void {
    if (this.#closed) return
    if (delayMs <= 0) this.add(key)
    else this.#delayed.add(key, delayMs)
  }

  addRateLimited(key: string): void {
    const failures = this.failures(key)
    this.#failures.set(key, failures + 1)
    this.#metrics.retries.inc({ name: this.name })
    this.addAfter(key, Math.min(this.#maxDelayMs, this.#initialDelayMs * 2 ** failures))
  }

  forget(key: string): void {
    this.#failures.delete(key)
  }

  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  async take(signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted()
    const [next] = this.#queued
    if (next !== undefined) return this.#start(next)
    if (this.#closed) return undefined
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#takers.delete(give)
        reject(signal.reason)
      }
      const give = (key: string | undefined): void => {
        signal.removeEventListener('abort', onAbort)
        resolve(key)
      }
      this.#takers.add(give)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  done(key: string): void {
    const startedAt = this.#processing.get(key)
    if (startedAt === undefined) return
    this.#processing.delete(key)
    this.#metrics.workDuration.observe((this.#clock.monotonic() - startedAt) / 1000, { name: this.name })
    if (this.#dirty.has(key)) this.#enqueue(key)
  }

  close(): void {
    this.#closed = true
    this.#delayed.close()
    this.#dirty.clear()
    this.#queued.clear()
    this.#metrics.depth.set(0, { name: this.name })
    for (const give of this.#takers) give(undefined)
    this.#takers.clear()
  }

  #enqueue(key: string): void {
    const [give] = this.#takers
    if (give === undefined) {
      this.#queued.add(key)
      this.#metrics.depth.set(this.#queued.size, { name: this.name })
      return
    }
    this.#takers.delete(give)
    give(this.#start(key))
  }

  #start(key: string): string {
    const now = this.#clock.monotonic()
    this.#queued.delete(key)
    this.#metrics.depth.set(this.#queued.size, { name: this.name })
    this.#metrics.queueDuration.observe((now - (this.#dirty.get(key) ?? now)) / 1000, { name: this.name })
    this.#dirty.delete(key)
    this.#processing.set(key, now)
    return key
  }
}

function queueMetrics(metrics: MetricsRegistry) {
  const labels = ['name']
  return {
    depth: metrics.gauge({ name: 'workqueue_depth', help: 'Current depth of the workqueue', labels }),
    adds: metrics.counter({ name: 'workqueue_adds_total', help: 'Adds handled by the workqueue', labels }),
    retries: metrics.counter({ name: 'workqueue_retries_total', help: 'Retries handled by the workqueue', labels }),
    queueDuration: metrics.histogram({
      name: 'workqueue_queue_duration_seconds',
      help: 'Time a key stays in the workqueue before work on it begins',
      labels,
      buckets: durationBuckets,
    }),
    workDuration: metrics.histogram({
      name: 'workqueue_work_duration_seconds',
      help: 'Time that work on a key takes',
      labels,
      buckets: durationBuckets,
    }),
  }
}

/** Makes an empty queue. Unbounded in keys, but each key is held once: its size is bounded by the number of objects. */
export function createWorkqueue(options: WorkqueueOptions): WorkSource {
  return new KeyQueue(options)
}
