import { backoffDelay } from '@k3s/lifecycle'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { LogPosition } from '../../engine/backend.ts'
import type { SqlCondition, SqlDialect, SqlRole, SqlSchemaDialect, SqlSession, SqlStatement } from '../sql/dialect.ts'
import { plain } from '../sql/rows.ts'
import { runWithin } from '../sql/session-pool.ts'
import type { SqlTable, SqlTables, SqlType } from '../sql/tables.ts'
import { toDatastoreError } from './errors.ts'
import { PostgresSession } from './session.ts'
import type { PostgresTarget } from './session.ts'

/** Announcements travel on this channel of the database: "REVISION COMPACT-REVISION". */
const channel = 'k3s_datastore'
/** Time without an announcement after which the listening connection is asked whether it is alive, and for its answer. */
const listenCheckMs = 30_000
const listenAnswerMs = 5000
const reconnectDelay = { initialMs: 100, maxMs: 1000 } as const
/** An announcement of our own tells nothing new, as its commit is answered too; unless the answer is lost: then it counts after this time. */
const ownNewsDelayMs = 200
/** Names the lock under which the schema is made: any number that others hardly use. */
const schemaLockId = 0x6b337364

const arrayTypes: Readonly<Record<SqlType, string>> = {
  integer: 'bigint[]',
  float: 'double precision[]',
  text: 'text[]',
  key: 'bytea[]',
  bytes: 'bytea[]',
}

/** Plans that hold however many rows there are, known or not to the planner: by index and in its order, without compilation. */
const planSettings = ['jit', 'enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_sort']
  .map((name) => `set ${name} = off`)
  .join('; ')

/**
 * A writer that is frozen while it has the lock loses it after 2 s; one whose machine is gone, when the kernel gives its packets up.
 * An answered write is on disk: a server set to answer earlier is overruled, one set to wait for its standbys is not.
 */
const settings: Readonly<Record<SqlRole, string>> = {
  writer: `${planSettings}; set lock_timeout = 4000; set statement_timeout = 60000; set idle_in_transaction_session_timeout = 2000;
    set tcp_user_timeout = 3000; set tcp_keepalives_idle = 2; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 2;
    select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') in ('off', 'local')`,
  general: `${planSettings}; set lock_timeout = 30000; set statement_timeout = 60000; set idle_in_transaction_session_timeout = 30000`,
}

const schema: SqlSchemaDialect = {
  columnTypes: { integer: 'bigint', float: 'double precision', text: 'text', key: 'bytea', bytes: 'bytea' },
  tableOptions: '',
  listTables: "select table_name::text from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'",
  lock: { sql: 'select pg_advisory_lock(?)', values: [schemaLockId] },
  unlock: { sql: 'select pg_advisory_unlock(?)', values: [schemaLockId] },
  extras: [
    // Room in each page, so that a row's next version needs no new index entries.
    'alter table live set (fillfactor = 70)',
    'alter table state set (fillfactor = 10)',
    'alter table member set (fillfactor = 10)',
    'alter table compaction set (fillfactor = 10)',
  ],
  hasPartialIndexes: true,
}

/** PostgreSQL from version 12 on. */
export class PostgresDialect implements SqlDialect {
  readonly driver = 'postgres'
  readonly address: string
  readonly kysely: Kysely<SqlTables> = new Kysely<SqlTables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
  /** An index row holds a third of a page. */
  readonly maxKeyBytes = 2048
  readonly pollIntervalMs = 10_000
  readonly begin = 'begin transaction isolation level read committed read write'
  readonly beginSnapshot = 'begin transaction isolation level repeatable read read only'
  readonly nowMs = 'floor(extract(epoch from statement_timestamp()) * 1000)::bigint'
  readonly skipLocked = 'for update skip locked'
  readonly schema: SqlSchemaDialect = schema
  readonly #target: PostgresTarget
  /** The server's process for the connection that writes. */
  #writerProcessId = 0

  constructor(target: PostgresTarget) {
    this.#target = target
    this.address = target.address
  }

  async connect(role: SqlRole): Promise<SqlSession> {
    return this.#connect(role)
  }

  oneOf(column: string, type: SqlType, values: readonly unknown[]): SqlCondition {
    return { sql: `${column} = any(?::${arrayTypes[type]})`, values: [values] }
  }

  insert({ name, columns }: SqlTable, rows: readonly (readonly unknown[])[]): readonly SqlStatement[] {
    const names = columns.map(([column]) => column).join(', ')
    // One array a column: the statement is the same for any number of rows, so it is prepared once.
    const sql = `insert into ${name} (${names}) select * from unnest(${columns.map(([, type]) => `?::${arrayTypes[type]}`).join(', ')})`
    return [{ sql, values: columns.map((_, index) => rows.map((row) => row[index])) }]
  }

  upsert(table: SqlTable, rows: readonly (readonly unknown[])[]): readonly SqlStatement[] {
    const changes = table.columns.filter(([column]) => column !== table.key).map(([column]) => `${column} = excluded.${column}`)
    return this.insert(table, rows).map(({ sql, values }) => ({
      sql: `${sql} on conflict (${table.key}) do update set ${changes.join(', ')}`,
      values,
    }))
  }

  announce({ revision, compactRevision }: LogPosition): readonly SqlStatement[] {
    return [{ sql: `select pg_notify('${channel}', ?)`, values: [`${revision} ${compactRevision}`] }]
  }

  onCommitted(): void {}

  async follow(onNews: (position: LogPosition | undefined) => void, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      try {
        await using stack = new AsyncDisposableStack()
        const session = stack.adopt(await this.#connect('general'), (it) => it.close())
        session.onNotification((payload, processId) => {
          const position = readPayload(payload)
          if (processId === this.#writerProcessId) setTimeout(() => onNews(position), ownNewsDelayMs).unref()
          else onNews(position)
        })
        await session.execute(`listen ${channel}`)
        failures = 0
        onNews(undefined)
        await this.#checkUntilBroken(session, signal)
      } catch {
        // An outage, which writes and reads report; the next attempt comes soon.
        failures++
      }
      await pause(failures === 0 ? 0 : backoffDelay(failures - 1, reconnectDelay), signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #connect(role: SqlRole): Promise<PostgresSession> {
    let session: PostgresSession
    try {
      session = await PostgresSession.connect(this.#target)
    } catch (error) {
      throw toDatastoreError(error, this.address, true)
    }
    try {
      await session.execute(settings[role])
      if (role === 'writer') this.#writerProcessId = await session.processId()
      return session
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  async #checkUntilBroken(session: PostgresSession, signal: AbortSignal): Promise<void> {
    while (!session.isBroken && !signal.aborted) {
      await Promise.race([session.broken, pause(listenCheckMs, signal)])
      if (!session.isBroken && !signal.aborted) await runWithin(session, [plain('select 1')], listenAnswerMs)
    }
  }
}

function readPayload(payload: string): LogPosition | undefined {
  const [, revision, compactRevision] = /^(\d+) (\d+)$/.exec(payload) ?? []
  return revision === undefined ? undefined : { revision: Number(revision), compactRevision: Number(compactRevision) }
}

/** Resolves after the time or when the signal aborts; keeps no process alive. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    timer.unref()
    if (signal.aborted) end()
    else signal.addEventListener('abort', end)
  })
}
