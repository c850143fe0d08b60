import { randomUUID } from 'node:crypto'
import { backoffDelay, noLogger } from '@k3s/lifecycle'
import type { Logger } from '@k3s/lifecycle'
import type { KeyValue, ListResult } from '../../contract.ts'
import type {
  Backend,
  BackendStatus,
  BatchResult,
  DueLeases,
  ListRequest,
  LogPage,
  LogPosition,
  LogRequest,
  OpenMode,
  RestoredLease,
  SharedLog,
  StoredLease,
  WriteRequest,
} from '../../engine/backend.ts'
import { DatastoreError } from '../../errors.ts'
import { compactSlice } from './compaction.ts'
import type { SqlDialect, SqlSession } from './dialect.ts'
import { SqlReader } from './reader.ts'
import { SqlRestore } from './restore.ts'
import { plain, toNumber } from './rows.ts'
import { checkSchema, prepareSchema } from './schema.ts'
import { SessionPool } from './session-pool.ts'
import { defaultSqlTimeouts } from './timeouts.ts'
import type { SqlTimeouts } from './timeouts.ts'
import { SqlWriter } from './writer.ts'

export interface SqlBackendOptions {
  readonly mode?: OpenMode | undefined
  readonly logger?: Logger | undefined
  /** Of the writer and of the dialect's own included. Default 8, at least 4. */
  readonly maxConnections?: number | undefined
  readonly timeouts?: SqlTimeouts | undefined
  /** Gives up opening. */
  readonly signal?: AbortSignal | undefined
}

const defaultMaxConnections = 8
const minimumMaxConnections = 4
/** Members that were not seen for this long are forgotten: far longer than a commit can be in doubt. */
const memberLifeMs = 24 * 3600 * 1000
const retryDelay = { initialMs: 100, maxMs: 500 } as const

/** Opens the log in the dialect's database, whose schema it makes; owns the dialect, also when it rejects. */
export async function openSqlBackend(dialect: SqlDialect, options: SqlBackendOptions = {}): Promise<Backend> {
  const { mode = 'own', logger = noLogger, maxConnections = defaultMaxConnections, timeouts = defaultSqlTimeouts, signal } = options
  const pool = new SessionPool({
    connect: () => dialect.connect('general'),
    // One writes, and one listens to announcements.
    maxSessions: Math.max(minimumMaxConnections, maxConnections) - 2,
    acquireTimeoutMs: timeouts.acquireMs,
  })
  try {
    await pool.use(async (session) => {
      const onAbort = (): void => session.destroy()
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        if (mode === 'read') await checkSchema(dialect, session)
        else await prepareSchema(dialect, session)
        if (mode !== 'restore') await checkComplete(dialect, session)
        if (mode === 'own') await session.run([plain(`delete from member where seen < ${dialect.nowMs} - ${memberLifeMs}`)])
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    })
    const reader = new SqlReader(dialect, pool, timeouts)
    const opened = await reader.readPosition()
    signal?.throwIfAborted()
    return new SqlBackend({ dialect, pool, reader, opened, logger, timeouts })
  } catch (error) {
    await pool[Symbol.asyncDispose]()
    await dialect[Symbol.asyncDispose]()
    signal?.throwIfAborted()
    throw error
  }
}

async function checkComplete({ address, kysely }: SqlDialect, session: SqlSession): Promise<void> {
  const [rows] = await session.run([plain(kysely.selectFrom('state').select('restoring').compile().sql)])
  if (toNumber(rows?.[0]?.[0]) === 0) return
  throw new DatastoreError('Incomplete', `Cannot open the datastore at ${address}: a restore or migration into it was not finished`, {
    hint: 'Run the restore or migration again, or drop the database',
  })
}

interface SqlBackendParts {
  readonly dialect: SqlDialect
  readonly pool: SessionPool
  readonly reader: SqlReader
  readonly opened: LogPosition
  readonly logger: Logger
  readonly timeouts: SqlTimeouts
}

/** One log in a SQL database, to which the members of a cluster append. */
class SqlBackend implements Backend {
  readonly driver: string
  readonly opened: LogPosition
  readonly shared: SharedLog
  readonly maxKeyBytes: number
  readonly maxRequestBytes: number | undefined
  readonly #dialect: SqlDialect
  readonly #pool: SessionPool
  readonly #reader: SqlReader
  readonly #writer: SqlWriter
  readonly #timeouts: SqlTimeouts
  #restoring: { readonly session: SqlSession; readonly restore: SqlRestore } | undefined

  constructor({ dialect, pool, reader, opened, logger, timeouts }: SqlBackendParts) {
    this.driver = dialect.driver
    this.opened = opened
    this.maxKeyBytes = dialect.maxKeyBytes
    this.maxRequestBytes = dialect.maxRequestBytes
    this.#dialect = dialect
    this.#pool = pool
    this.#reader = reader
    this.#timeouts = timeouts
    this.#writer = new SqlWriter({ dialect, memberId: randomUUID(), logger, timeouts })
    this.shared = {
      readPosition: () => reader.readPosition(),
      follow: (onPosition, signal) => follow(dialect, reader, onPosition, signal),
    }
  }

  commit(batch: { readonly id: string; readonly requests: readonly WriteRequest[] }): Promise<BatchResult> {
    return this.#writer.commit(batch)
  }

  list(request: ListRequest): Promise<ListResult> {
    return this.#reader.list(request)
  }

  readLog(request: LogRequest): Promise<LogPage> {
    return this.#reader.readLog(request)
  }

  compactSlice(): Promise<boolean> {
    return compactSlice(this.#dialect, this.#pool, this.#timeouts.scanAnswerMs)
  }

  status(): Promise<BackendStatus> {
    return this.#reader.status()
  }

  findLease(id: bigint): Promise<StoredLease | undefined> {
    return this.#reader.findLease(id)
  }

  listLeases(): Promise<readonly bigint[]> {
    return this.#reader.listLeases()
  }

  dueLeases(_nowMs: number, limit: number): Promise<DueLeases> {
    return this.#reader.dueLeases(limit)
  }

  async beginRestore(): Promise<void> {
    const session = this.#restoring?.session ?? (await this.#dialect.connect('general'))
    this.#restoring = { session, restore: new SqlRestore(this.#dialect, session) }
    await this.#restoring.restore.begin()
  }

  restoreItems(items: readonly KeyValue[]): Promise<void> {
    return this.#restore.addItems(items)
  }

  finishRestore({ revision, leases }: { readonly revision: number; readonly leases: readonly RestoredLease[] }): Promise<void> {
    return this.#restore.finish(revision, leases)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close()
    await this.#restoring?.session.close()
    await this.#pool[Symbol.asyncDispose]()
    await this.#dialect[Symbol.asyncDispose]()
  }

  get #restore(): SqlRestore {
    if (this.#restoring === undefined) throw new Error('Invariant broken: a restore was begun')
    return this.#restoring.restore
  }
}

/** Passes on what members announce; asks for the position when some of it may have been missed, and now and then in any case. */
async function follow(
  dialect: SqlDialect,
  reader: SqlReader,
  onPosition: (position: LogPosition) => void,
  signal: AbortSignal,
): Promise<void> {
  let wake: () => void = () => {}
  let isUnsure = true
  const following = dialect.follow((position) => {
    if (position !== undefined) return onPosition(position)
    isUnsure = true
    wake()
  }, signal)
  const onAbort = (): void => wake()
  signal.addEventListener('abort', onAbort)
  for (let failures = 0; !signal.aborted;) {
    isUnsure = false
    try {
      onPosition(await reader.readPosition())
      failures = 0
    } catch {
      // An outage, which writes and reads report; the next attempt comes soon.
      failures++
    }
    if (isUnsure || signal.aborted) continue
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, failures === 0 ? dialect.pollIntervalMs : backoffDelay(failures - 1, retryDelay))
      timer.unref()
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
  signal.removeEventListener('abort', onAbort)
  await following
}
