import { append, backoffDelay } from '@k3s/lifecycle'
import type { Logger } from '@k3s/lifecycle'
import type { BatchResult, WriteRequest } from '../../engine/backend.ts'
import { evaluateBatch } from '../../engine/evaluate.ts'
import { DatastoreError, isDatastoreError } from '../../errors.ts'
import type { SqlDialect, SqlRow, SqlSession, SqlStatement } from './dialect.ts'
import { OverlayStore } from './overlay-store.ts'
import { planPrefetch, prefetchStatements } from './prefetch.ts'
import type { Prefetch } from './prefetch.ts'
import { plain, toNumber } from './rows.ts'
import { runWithin } from './session-pool.ts'
import { memberTable } from './tables.ts'
import type { SqlTimeouts } from './timeouts.ts'

const retryDelay = { initialMs: 50, maxMs: 500 } as const

/** Takes the lock that serialises all writes of all members. */
export const lockState: SqlStatement = plain('select revision, compact_revision, last_id, restoring from state for update')

export interface SqlWriterOptions {
  readonly dialect: SqlDialect
  /** Names this process in the table of members. */
  readonly memberId: string
  readonly logger: Logger
  readonly timeouts: SqlTimeouts
}

/** A batch whose commit was sent but not answered. */
interface Doubtful {
  result: BatchResult | undefined
}

/**
 * The one connection that writes. A batch takes two exchanges, whatever its size: take the lock and read what the batch can touch;
 * then, evaluated in memory, write, announce and commit.
 *
 * When the connection is lost at the commit, the batch is in doubt. The next attempt takes the lock, so the lost transaction has ended, and looks
 * whether this member's last batch is this one: then it happened, and its answers are known; else it is done again.
 */
export class SqlWriter {
  readonly #dialect: SqlDialect
  readonly #memberId: string
  readonly #logger: Logger
  readonly #timeouts: SqlTimeouts
  #session: SqlSession | undefined
  #downSince: number | undefined
  #isClosed = false

  constructor({ dialect, memberId, logger, timeouts }: SqlWriterOptions) {
    this.#dialect = dialect
    this.#memberId = memberId
    this.#logger = logger
    this.#timeouts = timeouts
  }

  /** As `Backend.commit` has it. */
  async commit({ id, requests }: { readonly id: string; readonly requests: readonly WriteRequest[] }): Promise<BatchResult> {
    const plan = planPrefetch(requests)
    const doubtful: Doubtful = { result: undefined }
    for (let attempt = 0; ; attempt++) {
      const begin = performance.now()
      try {
        const result = await this.#attempt(id, requests, plan, doubtful)
        this.#noteUp()
        return result
      } catch (error) {
        this.#drop()
        this.#noteDown(error, begin)
        const isOver = performance.now() - (this.#downSince ?? 0) > this.#timeouts.writeGiveUpMs
        if (!isUnavailable(error) || isOver || this.#isClosed) throw this.#failed(error, doubtful)
        await new Promise((resolve) => setTimeout(resolve, backoffDelay(attempt, retryDelay)))
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#session?.close()
  }

  async #attempt(id: string, requests: readonly WriteRequest[], plan: Prefetch, doubtful: Doubtful): Promise<BatchResult> {
    const session = await this.#connected()
    const prefetch = prefetchStatements(this.#dialect, plan)
    const [, locked, [member] = [], ...fetched] = await this.#run(session, [
      plain(this.#dialect.begin),
      lockState,
      // Read when the lock is there, so that it is of the present.
      { sql: `select ${this.#dialect.nowMs}, (select max(batch) from member where id = ?)`, values: [this.#memberId] },
      ...prefetch.statements,
    ])
    const [nowMs, lastBatch] = member ?? []
    if (doubtful.result !== undefined && lastBatch === id) {
      await this.#run(session, [plain('commit')])
      return doubtful.result
    }
    doubtful.result = undefined
    const store = new OverlayStore(readState(locked), prefetch.read(fetched))
    const evaluated = evaluateBatch(
      store,
      requests.map((request) => atTime(request, Math.round(Number(nowMs)))),
    )
    const result: BatchResult = { ...evaluated, revision: store.revision, compactRevision: store.compactRevision }
    if (!store.isChanged) {
      await this.#run(session, [plain('commit')])
      return result
    }
    doubtful.result = result
    await this.#run(session, [...this.#writes(store, id, Math.round(Number(nowMs))), plain('commit')])
    this.#dialect.onCommitted(result)
    return result
  }

  #writes(store: OverlayStore, batchId: string, nowMs: number): readonly SqlStatement[] {
    const { revision, compactRevision, lastId, writtenBytes, inserts, deletedKeys, deletedLeases } = store
    const dialect = this.#dialect
    const statements: SqlStatement[] = []
    if (inserts.rows.length > 0) append(statements, dialect.insert(inserts.table, inserts.rows))
    for (const { table, rows } of store.upserts) if (rows.length > 0) append(statements, dialect.upsert(table, rows))
    if (deletedKeys.length > 0) statements.push(deleteOneOf('live', dialect.oneOf('name', 'key', deletedKeys)))
    if (deletedLeases.length > 0) statements.push(deleteOneOf('lease', dialect.oneOf('id', 'integer', deletedLeases)))
    statements.push(
      {
        sql: 'update state set revision = ?, compact_revision = ?, last_id = ?, written_bytes = written_bytes + ?',
        values: [revision, compactRevision, lastId, writtenBytes],
      },
      ...dialect.upsert(memberTable, [[this.#memberId, batchId, nowMs]]),
      ...dialect.announce({ revision, compactRevision }),
    )
    return statements
  }

  #run(session: SqlSession, statements: readonly SqlStatement[]): Promise<readonly (readonly SqlRow[])[]> {
    return runWithin(session, statements, this.#timeouts.writeAnswerMs)
  }

  async #connected(): Promise<SqlSession> {
    if (this.#session === undefined || this.#session.isBroken) {
      this.#session?.destroy()
      this.#session = await this.#dialect.connect('writer')
    }
    return this.#session
  }

  #drop(): void {
    this.#session?.destroy()
    this.#session = undefined
  }

  #noteUp(): void {
    if (this.#downSince !== undefined) this.#logger.info({ server: this.#dialect.address }, 'Database takes writes again')
    this.#downSince = undefined
  }

  #noteDown(error: unknown, since: number): void {
    if (!isUnavailable(error)) return
    if (this.#downSince === undefined) this.#logger.warn({ server: this.#dialect.address, err: error }, 'Database does not take writes')
    this.#downSince ??= since
  }

  #failed(cause: unknown, { result }: Doubtful): unknown {
    if (result === undefined || !isUnavailable(cause)) return cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    return new DatastoreError('Unavailable', `${reason}; the write may have happened`, { cause })
  }
}

function readState(rows: readonly SqlRow[] | undefined): { revision: number; compactRevision: number; lastId: number } {
  const [revision, compactRevision, lastId, restoring] = rows?.[0] ?? []
  if (toNumber(restoring) !== 0) throw new DatastoreError('Incomplete', 'The datastore is being restored')
  return { revision: toNumber(revision), compactRevision: toNumber(compactRevision), lastId: toNumber(lastId) }
}

/** Deadlines go by the database's clock, which all members share. */
function atTime(request: WriteRequest, nowMs: number): WriteRequest {
  return 'nowMs' in request && request.nowMs !== undefined ? { ...request, nowMs } : request
}

function deleteOneOf(table: string, { sql, values }: SqlStatement): SqlStatement {
  return { sql: `delete from ${table} where ${sql}`, values }
}

/** Whether a failure may go away by itself. */
export function isUnavailable(error: unknown): boolean {
  return isDatastoreError(error) && error.code === 'Unavailable'
}
