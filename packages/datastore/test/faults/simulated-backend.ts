import { DatastoreError } from '@k3s/datastore'
import type { Backend, SharedLog } from '../../src/engine/backend.ts'

export type Step = 'commit' | 'read' | 'readLog' | 'compactSlice'

/** Goes around each step of a backend: may wait, fail, or kill the server before the step or after it. */
export type Around = <T>(step: Step, act: () => Promise<T>) => Promise<T>

/** A backend between the engine and a stored log, which can be cut off at any moment, as by the death of the process. */
export class SimulatedBackend implements Backend {
  readonly driver: string
  readonly opened: Backend['opened']
  readonly shared?: SharedLog
  readonly #inner: Backend
  readonly #around: Around
  readonly #pageBytes: number
  readonly #death = Promise.withResolvers<never>()
  readonly #running = new Set<Promise<unknown>>()
  #isDead = false

  /** Pages of the log are cut to `pageBytes`, so that short logs have several. */
  constructor(inner: Backend, around: Around, pageBytes: number) {
    this.#inner = inner
    this.#around = around
    this.#pageBytes = pageBytes
    this.driver = inner.driver
    this.opened = inner.opened
    if (inner.shared !== undefined) {
      const { shared } = inner
      this.shared = {
        readPosition: () => this.#do('read', () => shared.readPosition()),
        follow: (onPosition, signal) => shared.follow((position) => void (this.#isDead || onPosition(position)), signal),
      }
    }
    // Each call that waits sees the rejection by itself.
    this.#death.promise.catch(() => {})
  }

  /** From now on nothing is answered. Resolves when what was handed to the stored log is done or has failed. */
  async kill(): Promise<void> {
    this.#isDead = true
    this.#death.reject(new DatastoreError('Unavailable', 'The server has died'))
    await Promise.allSettled(this.#running)
  }

  commit: Backend['commit'] = (batch) => this.#do('commit', () => this.#inner.commit(batch))
  list: Backend['list'] = (request) => this.#do('read', () => this.#inner.list(request))
  readLog: Backend['readLog'] = (request) => {
    const maxBytes = Math.min(request.maxBytes, this.#pageBytes)
    return this.#do('readLog', () => this.#inner.readLog({ ...request, maxBytes }))
  }
  compactSlice: Backend['compactSlice'] = () => this.#do('compactSlice', () => this.#inner.compactSlice())
  status: Backend['status'] = () => this.#do('read', () => this.#inner.status())
  findLease: Backend['findLease'] = (id) => this.#do('read', () => this.#inner.findLease(id))
  listLeases: Backend['listLeases'] = () => this.#do('read', () => this.#inner.listLeases())
  dueLeases: Backend['dueLeases'] = (nowMs, limit) => this.#do('read', () => this.#inner.dueLeases(nowMs, limit))
  beginRestore: Backend['beginRestore'] = () => this.#inner.beginRestore()
  restoreItems: Backend['restoreItems'] = (items) => this.#inner.restoreItems(items)
  finishRestore: Backend['finishRestore'] = (end) => this.#inner.finishRestore(end)

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#running)
    await this.#inner[Symbol.asyncDispose]()
  }

  #do<T>(step: Step, act: () => Promise<T>): Promise<T> {
    if (this.#isDead) return this.#death.promise
    const running = this.#around(step, async () => {
      if (this.#isDead) return this.#death.promise
      return act()
    })
    this.#running.add(running)
    const done = (): void => void this.#running.delete(running)
    running.then(done, done)
    return Promise.race([running, this.#death.promise])
  }
}
