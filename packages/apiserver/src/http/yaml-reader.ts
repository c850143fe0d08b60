import { Worker } from 'node:worker_threads'
import { badRequest, StatusError } from '@k3s/api'

/** What the thread is asked. */
export interface YamlJob {
  readonly id: number
  readonly bytes: Uint8Array
}

/** What it answers: the document as JSON, or why it is none. */
export type YamlAnswer =
  | { readonly id: number; readonly json: Uint8Array; readonly duplicates: readonly string[] }
  | { readonly id: number; readonly refused: string }

/** A YAML document as JSON. */
export interface YamlAsJson {
  readonly json: Buffer
  /** Keys that were there more than once, in upstream's words. */
  readonly duplicates: readonly string[]
}

export interface YamlReaderOptions {
  /** Of the thread's code; default: the file beside this one. A bundle names its own. */
  readonly workerUrl?: URL | undefined
  /** A thread without work for this long is ended. */
  readonly idleMs?: number | undefined
  /** A document that takes longer is refused. */
  readonly maxMs?: number | undefined
  /** Documents that may wait. */
  readonly maxWaiting?: number | undefined
}

// A deployment tool sends its documents one after the other.
const defaultIdleMs = 10_000
// The slowest document that may be sent takes a tenth of it on an idle machine.
const defaultMaxMs = 10_000
// What may wait is at most 50 MiB.
const defaultMaxWaiting = 100
// Of the thread, in MiB: a document of 512 KiB needs some 100.
const maxHeap = 512

interface Waiting {
  readonly bytes: Buffer
  readonly resolve: (value: YamlAsJson) => void
  readonly reject: (error: unknown) => void
}

/**
 * Reads YAML in a thread of its own, one document after the other: the reader needs up to 2 ms for a KiB and lets nobody else have a turn.
 * The thread is started with the first document and ended when there was none for a while.
 */
export class YamlReader {
  readonly #options: YamlReaderOptions
  readonly #waiting: Waiting[] = []
  #worker: Worker | undefined
  #current: Waiting | undefined
  #timer: NodeJS.Timeout | undefined
  #lastId = 0

  constructor(options: YamlReaderOptions = {}) {
    this.#options = options
  }

  /** There is a thread. */
  get isRunning(): boolean {
    return this.#worker !== undefined
  }

  /** Resolves with the document. Rejects with a BadRequest for what is no YAML, TooManyRequests when too many wait, and the signal's reason. */
  read(bytes: Buffer, signal: AbortSignal): Promise<YamlAsJson> {
    return new Promise<YamlAsJson>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#waiting.length >= (this.#options.maxWaiting ?? defaultMaxWaiting))
        return reject(new StatusError('TooManyRequests', 'too many YAML documents are waiting', { retryAfterSeconds: 1 }))
      const abort = (): void => {
        const at = this.#waiting.indexOf(waiting)
        if (at >= 0) this.#waiting.splice(at, 1)
        reject(signal.reason)
      }
      const settled = (): void => signal.removeEventListener('abort', abort)
      const waiting: Waiting = {
        bytes,
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
    const id = ++this.#lastId
    this.#timer = setTimeout(() => this.#fail('the document takes too long to read'), this.#options.maxMs ?? defaultMaxMs).unref()
    const job: YamlJob = { id, bytes: next.bytes }
    // The promise of a request keeps the process alive, not the thread.
    this.#started().postMessage(job)
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const url =
      this.#options.workerUrl ?? new URL(import.meta.url.endsWith('.ts') ? './yaml-worker.ts' : './yaml-worker.js', import.meta.url)
    const worker = new Worker(url, { name: 'yaml', resourceLimits: { maxOldGenerationSizeMb: maxHeap } })
    worker.unref()
    worker.on('message', (answer: YamlAnswer) => this.#answered(answer))
    worker.on('error', (error) => {
      if (worker === this.#worker)
        this.#fail('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'the document is too large' : error)
    })
    this.#worker = worker
    return worker
  }

  #answered(answer: YamlAnswer): void {
    const current = this.#current
    if (answer.id !== this.#lastId || current === undefined) return
    this.#current = undefined
    if ('refused' in answer) current.reject(badRequest(answer.refused))
    else {
      const { buffer, byteOffset, byteLength } = answer.json
      current.resolve({ json: Buffer.from(buffer, byteOffset, byteLength), duplicates: answer.duplicates })
    }
    this.#next()
  }

  /** The thread is stuck or dead: the next document gets a new one. */
  #fail(why: string | Error): void {
    const current = this.#current
    this.#end()
    current?.reject(typeof why === 'string' ? badRequest(`error converting YAML to JSON: yaml: ${why}`) : why)
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
