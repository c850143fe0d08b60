import { randomInt } from 'node:crypto'
import { append } from '@k3s/lifecycle'
import type { KeyValue } from '../../contract.ts'
import type { RestoredLease } from '../../engine/backend.ts'
import { DatastoreError } from '../../errors.ts'
import type { SqlDialect, SqlRow, SqlSession, SqlStatement } from './dialect.ts'
import { rowOverheadBytes } from './overlay-store.ts'
import { plain, toNumber } from './rows.ts'
import { leaseTable, liveTable, logTable } from './tables.ts'

/** Leases written by one statement. */
const leasesAtOnce = 1000

/**
 * Fills an empty database. Restored rows of the log are in the order of keys, not of revisions: no harm, as all of them are at or below the restored
 * revision, which is compacted at once. Each method is one transaction, under the lock on `state`.
 */
export class SqlRestore {
  readonly #dialect: SqlDialect
  readonly #session: SqlSession
  /** Stored while it goes on: of two restores that are run at once, the one begun first is refused, and nothing of it remains. */
  readonly #token = randomInt(1, 2 ** 31)

  constructor(dialect: SqlDialect, session: SqlSession) {
    this.#dialect = dialect
    this.#session = session
  }

  /** Marks the database as unfinished; drops what an unfinished restore has left. Throws `NotEmpty` for one in use. */
  begin(): Promise<void> {
    return this.#transact(async () => {
      const [state, live, lease] = await this.#session.run([
        plain('select revision, restoring from state for update'),
        plain('select 1 from live limit 1'),
        plain('select 1 from lease limit 1'),
      ])
      const [revision, restoring] = state?.[0] ?? []
      const isEmpty = toNumber(revision) === 1 && live?.length === 0 && lease?.length === 0
      if (toNumber(restoring) === 0 && !isEmpty)
        throw new DatastoreError('NotEmpty', `Cannot restore into the datastore at ${this.#dialect.address}: it holds data already`, {
          hint: 'Name a database that does not exist yet',
        })
      return [
        plain('delete from log'),
        plain('delete from live'),
        plain('delete from lease'),
        {
          sql: 'update state set revision = 1, compact_revision = 0, last_id = 0, written_bytes = 0, restored_revision = 0, restoring = ?',
          values: [this.#token],
        },
        plain('update compaction set compacted_id = 0, freed_bytes = 0'),
      ]
    })
  }

  addItems(items: readonly KeyValue[]): Promise<void> {
    return this.#transact(async () => {
      let id = await this.#unfinishedLastId()
      const [log, live]: [unknown[][], unknown[][]] = [[], []]
      let bytes = 0
      for (const { key, value, createRevision, modRevision, version, leaseId } of items) {
        log.push([++id, modRevision, 0, createRevision, version, leaseId, key, value])
        live.push([key, id, modRevision, createRevision, version, leaseId])
        bytes += rowOverheadBytes + key.length + value.length
      }
      if (log.length === 0) return []
      return [
        ...this.#dialect.insert(logTable, log),
        ...this.#dialect.insert(liveTable, live),
        { sql: 'update state set last_id = ?, written_bytes = written_bytes + ?', values: [id, bytes] },
      ]
    })
  }

  finish(revision: number, leases: readonly RestoredLease[]): Promise<void> {
    return this.#transact(async () => {
      const lastId = await this.#unfinishedLastId()
      const rows = leases.map(({ id, ttlSeconds, deadlineMs }) => [id, ttlSeconds, Math.ceil(deadlineMs)])
      const statements: SqlStatement[] = []
      for (let start = 0; start < rows.length; start += leasesAtOnce)
        append(statements, this.#dialect.insert(leaseTable, rows.slice(start, start + leasesAtOnce)))
      return [
        ...statements,
        { sql: 'update compaction set compacted_id = ?', values: [lastId] },
        {
          sql: 'update state set revision = ?, compact_revision = ?, restored_revision = ?, restoring = 0',
          values: [revision, revision, revision],
        },
        ...this.#dialect.announce({ revision, compactRevision: revision }),
      ]
    })
  }

  async #unfinishedLastId(): Promise<number> {
    const [state] = await this.#session.run([plain('select last_id, restoring from state for update')])
    const [lastId, restoring] = state?.[0] ?? []
    if (toNumber(restoring) !== this.#token)
      throw new DatastoreError('Incomplete', `Another restore into the datastore at ${this.#dialect.address} has begun since`, {
        hint: 'Let the other one finish, or stop it and run this one again',
      })
    return toNumber(lastId)
  }

  async #transact(change: () => Promise<readonly SqlStatement[]>): Promise<void> {
    await this.#session.run([plain(this.#dialect.begin)])
    let rows: readonly (readonly SqlRow[])[]
    try {
      rows = await this.#session.run([...(await change()), plain('commit')])
    } catch (error) {
      await this.#session.run([plain('rollback')]).catch(() => {}) // the connection is lost, and the transaction with it
      throw error
    }
    if (rows.length === 0) throw new Error('Invariant broken: a commit is answered')
  }
}
