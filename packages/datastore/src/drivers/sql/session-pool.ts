import { DatastoreError } from '../../errors.ts'
import type { SqlRow, SqlSession, SqlStatement } from './dialect.ts'

export interface SessionPoolOptions {
  readonly connect: () => Promise<SqlSession>
  readonly maxSessions: number
  /** For a free connection; then `Unavailable`. */
  readonly acquireTimeoutMs: number
}

/** A connection whose end is noticed within this time of its use had broken before. */
const noticeMs = 1000

interface Waiter {
  readonly resolve: (session: SqlSession) => void
  readonly reject: (error: unknown) => void
}

/** Connections for reads and maintenance, made when they are needed. One that failed is dropped, so a transaction in doubt ends with it. */
export class SessionPool implements AsyncDisposable {
  readonly #options: SessionPoolOptions
  readonly #idle: SqlSession[] = []
  readonly #waiters: Waiter[] = []
  readonly #open = new Set<SqlSession>()
  #count = 0
  #isClosed = false

  constructor(options: SessionPoolOptions) {
    this.#options = options
  }

  /**
   * Does statements that only read, or may be repeated, in one exchange. A connection that broke while it was idle is found out by its first use:
   * then they are done once more, on a new one. Rejects after `timeoutMs`.
   */
  async run(statements: readonly SqlStatement[], timeoutMs: number): Promise<readonly (readonly SqlRow[])[]> {
    const { session, isNew } = await this.#acquire()
    const begin = performance.now()
    try {
      return await this.#runOn(session, statements, timeoutMs)
    } catch (error) {
      const wasBroken = session.isBroken && performance.now() - begin < noticeMs
      if (isNew || !wasBroken || this.#isClosed) throw error
    }
    const fresh = await this.#acquire(true)
    return this.#runOn(fresh.session, statements, timeoutMs)
  }

  /** Gives a connection to `work` alone. When `work` rejects the connection is dropped, and the transaction that it left with it. */
  async use<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    const { session } = await this.#acquire()
    return this.#use(session, work)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new DatastoreError('Closed', 'The datastore is closed'))
    for (const session of this.#open) if (!this.#idle.includes(session)) session.destroy()
    await Promise.all(this.#idle.map((session) => session.close()))
  }

  #runOn(session: SqlSession, statements: readonly SqlStatement[], timeoutMs: number): Promise<readonly (readonly SqlRow[])[]> {
    return this.#use(session, () => runWithin(session, statements, timeoutMs))
  }

  async #use<T>(session: SqlSession, work: (session: SqlSession) => Promise<T>): Promise<T> {
    try {
      const result = await work(session)
      this.#release(session)
      return result
    } catch (error) {
      this.#drop(session)
      throw error
    }
  }

  async #acquire(mustBeNew = false): Promise<{ readonly session: SqlSession; readonly isNew: boolean }> {
    if (this.#isClosed) throw new DatastoreError('Closed', 'The datastore is closed')
    if (mustBeNew) for (const session of this.#idle.splice(0)) this.#drop(session)
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (!session.isBroken) return { session, isNew: false }
      this.#drop(session)
    }
    if (this.#count < this.#options.maxSessions) return { session: await this.#connect(), isNew: true }
    return { session: await this.#wait(), isNew: false }
  }

  async #connect(): Promise<SqlSession> {
    this.#count++
    try {
      const session = await this.#options.connect()
      this.#open.add(session)
      return session
    } catch (error) {
      this.#count--
      this.#replace()
      throw error
    }
  }

  #wait(): Promise<SqlSession> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(new DatastoreError('Unavailable', 'All connections to the database are busy'))
      }, this.#options.acquireTimeoutMs)
      const waiter: Waiter = {
        resolve: (session) => {
          clearTimeout(timer)
          resolve(session)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#waiters.push(waiter)
    })
  }

  #release(session: SqlSession): void {
    if (session.isBroken || this.#isClosed) return this.#drop(session)
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#idle.push(session)
    else waiter.resolve(session)
  }

  #drop(session: SqlSession): void {
    if (!this.#open.delete(session)) return
    session.destroy()
    this.#count--
    this.#replace()
  }

  /** One who waits for a connection gets a new one in the place of one that was dropped. */
  #replace(): void {
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) this.#connect().then(waiter.resolve, waiter.reject)
  }
}

/** Rejects with `Unavailable`, and drops the connection, when the answer takes longer: the server, or the way to it, may be gone without a word. */
export async function runWithin(
  session: SqlSession,
  statements: readonly SqlStatement[],
  timeoutMs: number,
): Promise<readonly (readonly SqlRow[])[]> {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    session.destroy()
  }, timeoutMs)
  try {
    return await session.run(statements)
  } catch (error) {
    if (isLate)
      throw new DatastoreError('Unavailable', `The database has not answered within ${timeoutMs / 1000} seconds`, { cause: error })
    throw error
  } finally {
    clearTimeout(timer)
  }
}
