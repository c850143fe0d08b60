import { Worker } from 'node:worker_threads'
import { append } from '@k3s/lifecycle'
import type { PackedItems } from '../../engine/packed-list.ts'
import { DatastoreError } from '../../errors.ts'
import { ByteReader } from '../byte-stream.ts'
import { readError } from './codec.ts'
import type { Answer, Call, CallMessage, Loaded, WorkerSettings } from './messages.ts'

interface PendingCall {
  readonly onPart: ((part: PackedItems) => void) | undefined
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** The owner's side of a worker thread. The thread keeps the process alive only while calls are pending. */
export class WorkerThread<Body extends Call> {
  readonly #worker: Worker
  readonly #pending = new Map<number, PendingCall>()
  /** Resolves when the thread has loaded its library, or has ended. */
  readonly #loaded = Promise.withResolvers<void>()
  #calls = 0
  #outbox: CallMessage[] = []
  #transfer: ArrayBuffer[] = []
  #failure: DatastoreError | undefined

  constructor(url: URL | string, settings: WorkerSettings) {
    this.#worker = new Worker(url, { workerData: settings, name: `sqlite-${settings.role}` })
    this.#worker.unref()
    this.#worker.on('message', (message: readonly Answer[] | Loaded) => {
      if ('loaded' in message) this.#loaded.resolve()
      else for (const answer of message) this.#onAnswer(answer)
    })
    this.#worker.on('error', (error) => this.#fail(`SQLite's ${settings.role} thread failed`, error))
    this.#worker.on('exit', () => this.#fail(`SQLite's ${settings.role} thread has ended`))
  }

  /** Resolves with the call's value. Bytes in `transfer` are gone for the caller. */
  call(body: Body, transfer: readonly ArrayBuffer[] = [], onPart?: (part: PackedItems) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure
      const message: CallMessage = { call: ++this.#calls, body }
      if (this.#pending.size === 0) this.#worker.ref()
      this.#pending.set(message.call, { onPart, resolve, reject })
      // All calls of one turn travel together: a message costs more than a small read.
      if (this.#outbox.length === 0) process.nextTick(() => this.#send())
      this.#outbox.push(message)
      append(this.#transfer, transfer)
    })
  }

  #send(): void {
    this.#worker.postMessage(this.#outbox, this.#transfer)
    this.#outbox = []
    this.#transfer = []
  }

  /** Ends the thread; pending calls fail. A thread that is loading its library is ended afterwards: in the middle, the addon would abort the whole process. */
  async terminate(): Promise<void> {
    this.#worker.ref()
    await this.#loaded.promise
    await this.#worker.terminate()
  }

  #onAnswer(answer: Answer): void {
    const pending = this.#pending.get(answer.call)
    if (pending === undefined) throw new Error(`Invariant broken: call ${answer.call} is pending`)
    if ('part' in answer) {
      pending.onPart?.(answer.part)
      return
    }
    this.#pending.delete(answer.call)
    if (this.#pending.size === 0) this.#worker.unref()
    if ('value' in answer) pending.resolve(answer.value)
    else if ('error' in answer) pending.reject(readError(new ByteReader(answer.error)))
    else pending.reject(new Error(answer.failure))
  }

  #fail(message: string, cause?: unknown): void {
    this.#loaded.resolve()
    this.#failure ??= new DatastoreError('Unavailable', message, { cause, hint: 'Restart the server' })
    for (const { reject } of this.#pending.values()) reject(this.#failure)
    this.#pending.clear()
  }
}
