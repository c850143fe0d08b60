import type { KeyValue } from '../../contract.ts'
import type { RestoredLease } from '../../engine/backend.ts'
import { DatastoreError } from '../../errors.ts'
import type { SqlDatabase } from './database.ts'
import { readPosition } from './store.ts'
import type { Statements } from './store.ts'

/**
 * The mark of a restore, in a table that only a restored file has: 0 while it is not finished, then the revision that was restored.
 * Undefined: the file was never restored.
 */
export function restoredRevision(database: SqlDatabase): number | undefined {
  const table = database.prepare("select 1 from sqlite_master where type = 'table' and name = 'restored'").get()
  if (table === undefined) return undefined
  return Number(database.prepare('select revision from restored').get()?.[0] ?? 0)
}

/** Refuses a file whose restore was not finished. */
export function checkComplete(database: SqlDatabase, path: string): void {
  if (restoredRevision(database) !== 0) return
  throw new DatastoreError('Incomplete', `Cannot open datastore "${path}": a restore or migration into it was not finished`, {
    hint: 'Run the restore or migration again, or remove the file',
  })
}

/**
 * Restored rows of the log are in the order of keys, not of revisions. That is no harm: all of them are at or below the restored revision, which is
 * compacted at once, so no watch reads them and compaction has nothing to drop of them: `compacted_id` begins behind them.
 * Each method is one or more transactions of its own.
 */
export class SqliteRestore {
  readonly #database: SqlDatabase
  readonly #statements: Statements
  readonly #path: string

  constructor(database: SqlDatabase, statements: Statements, path: string) {
    this.#database = database
    this.#statements = statements
    this.#path = path
  }

  /** Marks the file as unfinished; drops what an unfinished restore has left. Throws `NotEmpty` for a file that is in use. */
  begin(): void {
    this.#transact(() => {
      if (restoredRevision(this.#database) !== 0) this.#checkEmpty()
      this.#database.exec(`create table if not exists restored (revision integer not null);
        delete from restored; insert into restored values (0);
        delete from log; delete from live; delete from lease;
        update state set revision = 1, compact_revision = 0, compacted_id = 0, last_id = 0, batch = ''`)
    })
    // What is lost in a crash from here on is restored anew; the last commit brings all of it to disk.
    this.#database.exec('pragma synchronous = normal')
  }

  addItems(items: Iterable<KeyValue>): void {
    this.#transact(() => {
      let id = this.#unfinishedLastId()
      const log = this.#statements.of(
        'insert into log (id, revision, previous, created, version, lease, key, value) values (?, ?, 0, ?, ?, ?, ?, ?)',
      )
      const live = this.#statements.of('insert into live (key, id, revision, created, version, lease) values (?, ?, ?, ?, ?, ?)')
      for (const { key, value, createRevision, modRevision, version, leaseId } of items) {
        const lease = leaseId === 0n ? null : String(leaseId)
        log.run(++id, modRevision, createRevision, version, lease, key, value)
        live.run(key, id, modRevision, createRevision, version, lease)
      }
      this.#statements.of('update state set last_id = ?').run(id)
    })
  }

  finish(revision: number, leases: readonly RestoredLease[]): void {
    this.#database.exec('pragma synchronous = full')
    this.#transact(() => {
      this.#unfinishedLastId()
      for (const { id, ttlSeconds, deadlineMs } of leases)
        this.#statements.of('insert into lease (id, ttl, deadline) values (?, ?, ?)').run(String(id), ttlSeconds, Math.ceil(deadlineMs))
      this.#statements.of('update state set revision = ?, compact_revision = ?, compacted_id = last_id').run(revision, revision)
      this.#statements.of('update restored set revision = ?').run(revision)
    })
  }

  #checkEmpty(): void {
    const has = (table: string): boolean => this.#statements.of(`select 1 from ${table} limit 1`).get() !== undefined
    if (readPosition(this.#statements).revision === 1 && !has('live') && !has('lease')) return
    throw new DatastoreError('NotEmpty', `Cannot restore into datastore "${this.#path}": it holds data already`, {
      hint: 'Give the path of a file that does not exist yet',
    })
  }

  #unfinishedLastId(): number {
    if (restoredRevision(this.#database) !== 0) throw new Error('Invariant broken: a restore is going on')
    return Number(this.#statements.of('select last_id from state').get()?.[0])
  }

  #transact(change: () => void): void {
    this.#statements.of('begin immediate').run()
    try {
      change()
      this.#statements.of('commit').run()
    } catch (error) {
      try {
        this.#database.exec('rollback')
      } catch {
        // SQLite has rolled back by itself, as it does after some errors.
      }
      throw error
    }
  }
}
