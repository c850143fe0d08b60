import { Worker } from 'node:worker_threads'
import { badRequest, StatusError, statusErrorOf } from '@k3s/api'
import type { Status } from '@k3s/api/types/meta/v1'

/** What a thread is asked: `input` is data that can be copied between threads. */
export interface Job {
  readonly id: number
  readonly kind: string
  readonly input: unknown
}

/** What it answers: an output, a StatusError that the job ended with, or another Error, which is a bug. */
export type JobAnswer =
  | { readonly id: number; readonly output: unknown }
  | { readonly id: number; readonly refused: Status }
  | { readonly id: number; readonly failed: Error }

export interface JobThreadOptions {
  /** Of the thread, for tools that show threads. */
  readonly name: string
  /** Of the thread's code; default: the file of this package. A bundle names its own. */
  readonly workerUrl?: URL | undefined
  /** A thread without work for this long is ended. */
  readonly idleMs?: number | undefined
  /** A job that takes longer is refused. */
  readonly maxMs?: number | undefined
  /** Jobs that may wait. */
  readonly maxWaiting?: number | undefined
  /** What a job that takes too long or needs too much memory is refused with. */
  readonly refusal: (why: 'takes too long' | 'is too large') => string
}

// A deployment tool sends its documents one after the other.
const defaultIdleMs = 10_000
// The slowest document that may be sent takes a tenth of it on an idle machine.
const defaultMaxMs = 10_000
// What may wait is at most some 300 MiB.
const defaultMaxWaiting = 100
// Of the thread, in MiB: a document of 512 KiB of YAML needs some 100.
const maxHeap = 512

interface Waiting {
  readonly kind: string
  readonly input: unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Does jobs in a thread of its own, one after the other. The thread is started with the first job and ended when there was none for a while. */
export class JobThread {
  readonly #options: JobThreadOptions
  readonly #waiting: Waiting[] = []
  #worker: Worker | undefined
  #current: Waiting | undefined
  #timer: NodeJS.Timeout | undefined
  #lastId = 0

  constructor(options: JobThreadOptions) {
    this.#options = options
  }

  /** There is a thread. */
  get isRunning(): boolean {
    return this.#worker !== undefined
  }

  /** Resolves with what the thread answers. Rejects with the StatusError that the job ended with, TooManyRequests when too many wait, and the signal's reason. */
  run(kind: string, input: unknown, signal: AbortSignal): Promise<unknown> {
    return new Promise<unknown>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#waiting.length >= (this.#options.maxWaiting ?? defaultMaxWaiting))
        return reject(new StatusError('TooManyRequests', 'too many large documents are waiting', { retryAfterSeconds: 1 }))
      const abort = (): void => {
        const at = this.#waiting.indexOf(waiting)
        if (at >= 0) this.#waiting.splice(at, 1)
        reject(signal.reason)
      }
      const settled = (): void => signal.removeEventListener('abort', abort)
      const waiting: Waiting = {
        kind,
        input,
        resolve: (value) => {
          settled()
          resolve(value)
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#waiting.push(waiting)
      this.#next()
    })
  }

  /** Ends the thread. What waits is refused. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    const left = [this.#current, ...this.#waiting.splice(0)]
    const worker = this.#forget()
    for (const one of left) one?.reject(new StatusError('ServiceUnavailable', 'the server is closing'))
    await worker?.terminate()
  }

  #next(): void {
    if (this.#current !== undefined) return
    clearTimeout(this.#timer)
    const next = this.#waiting.shift()
    if (next === undefined) {
      this.#timer = setTimeout(() => this.#end(), this.#options.idleMs ?? defaultIdleMs).unref()
      return
    }
    this.#current = next
    const job: Job = { id: ++this.#lastId, kind: next.kind, input: next.input }
    this.#timer = setTimeout(() => this.#fail('takes too long'), this.#options.maxMs ?? defaultMaxMs).unref()
    // The promise of a request keeps the process alive, not the thread.
    this.#started().postMessage(job)
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const file = import.meta.url.endsWith('.ts') ? '../http/yaml-worker.ts' : '../http/yaml-worker.js'
    const url = this.#options.workerUrl ?? new URL(file, import.meta.url)
    const worker = new Worker(url, { name: this.#options.name, resourceLimits: { maxOldGenerationSizeMb: maxHeap } })
    worker.unref()
    worker.on('message', (answer: JobAnswer) => this.#answered(answer))
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#fail('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'is too large' : error)
    })
    this.#worker = worker
    return worker
  }

  #answered(answer: JobAnswer): void {
    const current = this.#current
    if (answer.id !== this.#lastId || current === undefined) return
    this.#current = undefined
    if ('refused' in answer) current.reject(statusErrorOf(answer.refused))
    else if ('failed' in answer) current.reject(answer.failed)
    else current.resolve(answer.output)
    this.#next()
  }

  /** The thread is stuck or dead: the next job gets a new one. */
  #fail(why: 'takes too long' | 'is too large' | Error): void {
    const current = this.#current
    this.#end()
    current?.reject(typeof why === 'string' ? badRequest(this.#options.refusal(why)) : why)
    this.#next()
  }

  #end(): void {
    clearTimeout(this.#timer)
    void this.#forget()?.terminate() // never rejects
  }

  #forget(): Worker | undefined {
    const worker = this.#worker
    this.#worker = undefined
    this.#current = undefined
    return worker
  }
}
