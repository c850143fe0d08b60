import { randomUUID } from 'node:crypto'
import type { Histogram, MetricsRegistry } from '@k3s/lifecycle'
import type { Txn, TxnOperation } from '../contract.ts'
import { DatastoreError } from '../errors.ts'
import type { Backend, BatchResult, WriteOutcome, WriteRequest } from './backend.ts'

/** Requests of one batch: enough that one fsync is shared by all clients, small enough that the first of them does not wait long for the last. */
const maxBatchRequests = 512
/** Bytes of one batch, under any database's packet limit. One request may be larger. */
const maxBatchBytes = 4 * 2 ** 20
/** Bytes waiting before further writes are refused: seconds of work, so more waiting helps nobody. */
const maxQueuedBytes = 64 * 2 ** 20

interface Entry {
  readonly request: WriteRequest
  readonly bytes: number
  readonly settle: (outcome: WriteOutcome) => void
  readonly fail: (error: unknown) => void
}

/**
 * The one way to write: requests queue while a batch is in flight, and all that have come by then make the next one.
 * Under load the batches grow by themselves; an idle store commits a single request at once.
 */
export class CommitQueue {
  readonly #backend: Backend
  readonly #onCommit: (result: BatchResult) => void
  readonly #duration: Histogram
  readonly #batchSize: Histogram
  #waiting: Entry[] = []
  #waitingBytes = 0
  #running: Promise<void> | undefined
  #inFlight: Promise<void> = Promise.resolve()
  #closed: DatastoreError | undefined
  #maintenance: { readonly work: () => Promise<void>; readonly done: () => void; readonly fail: (error: unknown) => void } | undefined

  /** `onCommit` sees each batch when it is durable, before its requests are answered. */
  constructor(backend: Backend, metrics: MetricsRegistry, onCommit: (result: BatchResult) => void) {
    this.#backend = backend
    this.#onCommit = onCommit
    this.#duration = metrics.histogram({
      name: 'k3s_datastore_commit_duration_seconds',
      help: 'Time from handing a batch of writes to the backend to its durable answer',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    })
    this.#batchSize = metrics.histogram({
      name: 'k3s_datastore_commit_batch_size',
      help: 'Writes that shared one transaction',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    })
  }

  /** Whether writes wait for the batch in flight. */
  get isBusy(): boolean {
    return this.#waiting.length > 0
  }

  /**
   * Resolves when the request is durable or was refused; rejects when its batch failed.
   * Aborted while it waits, the request is withdrawn; later, it may still happen.
   */
  submit(request: WriteRequest, signal: AbortSignal | undefined): Promise<WriteOutcome> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      if (this.#closed !== undefined) throw this.#closed
      const bytes = sizeOfRequest(request)
      if (this.#waitingBytes + bytes > maxQueuedBytes && this.#waiting.length > 0)
        throw new DatastoreError('Unavailable', 'Too many writes are waiting for the datastore')
      const onAbort = (): void => {
        const index = this.#waiting.indexOf(entry)
        if (index !== -1) {
          this.#waiting.splice(index, 1)
          this.#waitingBytes -= bytes
        }
        reject(signal?.reason)
      }
      const entry: Entry = {
        request,
        bytes,
        settle: (outcome) => {
          signal?.removeEventListener('abort', onAbort)
          resolve(outcome)
        },
        fail: (error) => {
          signal?.removeEventListener('abort', onAbort)
          reject(error)
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(entry)
      this.#waitingBytes += bytes
      this.#start()
    })
  }

  /** Resolves when the batch in flight, if any, has been answered or has failed. */
  get settled(): Promise<void> {
    return this.#inFlight
  }

  /** Runs maintenance between two batches; one at a time. */
  runBetween(work: () => Promise<void>): Promise<void> {
    return new Promise((done, fail) => {
      if (this.#closed !== undefined) throw this.#closed
      this.#maintenance = { work, done, fail }
      this.#start()
    })
  }

  /** Refuses what waits, with `error`, and resolves when the batch in flight has been answered. */
  async close(error: DatastoreError): Promise<void> {
    this.#closed = error
    for (const entry of this.#waiting.splice(0)) entry.fail(error)
    this.#waitingBytes = 0
    this.#maintenance?.fail(error)
    this.#maintenance = undefined
    await this.#running
  }

  #start(): void {
    // Owned by close(), which awaits it; #run does not reject.
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    // Callers that were just answered, or that act in this same turn, get into the batch with those who wait.
    await nextTurn()
    while (this.#waiting.length > 0 || this.#maintenance !== undefined) {
      if (this.#waiting.length > 0) {
        this.#inFlight = this.#commit(this.#takeBatch())
        await this.#inFlight
        await nextTurn()
      }
      const maintenance = this.#maintenance
      this.#maintenance = undefined
      if (maintenance !== undefined) await maintenance.work().then(maintenance.done, maintenance.fail)
    }
    // No await between the look at the queue and this: a request that comes now starts a new run.
    this.#running = undefined
  }

  #takeBatch(): readonly Entry[] {
    let [count, bytes] = [0, 0]
    for (const entry of this.#waiting) {
      if (count === maxBatchRequests || (count > 0 && bytes + entry.bytes > maxBatchBytes)) break
      count++
      bytes += entry.bytes
    }
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, count)
  }

  async #commit(batch: readonly Entry[]): Promise<void> {
    const begin = performance.now()
    try {
      const result = await this.#backend.commit({ id: randomUUID(), requests: batch.map(({ request }) => request) })
      this.#onCommit(result)
      for (const [index, entry] of batch.entries()) {
        const outcome = result.outcomes[index]
        if (outcome !== undefined) entry.settle(outcome)
        else entry.fail(new Error('Invariant broken: a batch has an outcome for every request'))
      }
    } catch (error) {
      for (const entry of batch) entry.fail(error)
    }
    this.#duration.observe((performance.now() - begin) / 1000)
    this.#batchSize.observe(batch.length)
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Bytes of keys and values that a request carries. */
export function sizeOfRequest(request: WriteRequest): number {
  switch (request.type) {
    case 'create':
    case 'update':
      return request.key.length + request.value.length
    case 'delete':
      return request.key.length
    case 'txn':
      return sizeOfTxn(request.txn)
    default:
      return 0
  }
}

function sizeOfTxn({ compare, success, failure }: Txn): number {
  let bytes = 0
  for (const { range, operand } of compare) bytes += range.start.length + (operand instanceof Uint8Array ? operand.length : 0)
  for (const operation of [...success, ...failure]) bytes += sizeOfOperation(operation)
  return bytes
}

function sizeOfOperation(operation: TxnOperation): number {
  switch (operation.type) {
    case 'put':
      return operation.key.length + operation.value.length
    case 'txn':
      return sizeOfTxn(operation.txn)
    default:
      return operation.range.start.length + (operation.range.end?.length ?? 0)
  }
}
