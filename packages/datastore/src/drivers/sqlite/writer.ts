import type { Bytes, KeyValue } from '../../contract.ts'
import type { BatchResult, RestoredLease } from '../../engine/backend.ts'
import { evaluateBatch } from '../../engine/evaluate.ts'
import { DatastoreError } from '../../errors.ts'
import { ByteReader, ByteWriter } from '../byte-stream.ts'
import { readItem, readRequest, writeBatchResult } from './codec.ts'
import { sqliteCode } from './database.ts'
import type { SqlDatabase, SqlEngine } from './database.ts'
import type { CommitAnswer, CompactAnswer, LogSize } from './messages.ts'
import { checkComplete, SqliteRestore } from './restore.ts'
import { checkpoint, openOwnedFile, readNumber } from './schema.ts'
import type { OwnedFile } from './schema.ts'
import { findFirstId, readPosition, SqliteStore, Statements } from './store.ts'

/** Bytes of the write-ahead log at which the writer itself copies what the checkpointer has left, so that the log starts anew. */
const maxLogBytes = 32 * 2 ** 20
/** Time that one slice of compaction may take before its commit. */
const sliceMs = 8
/** Rows looked at between two looks at the time. */
const sliceRows = 64
/** Free bytes of the file kept for coming writes. */
const spareFreeBytes = 4 * 2 ** 20
/** Pages given back to the file system in one slice. */
const vacuumPages = 256

/** The one connection that writes; it has the file's lock. */
export class Writer {
  readonly #file: OwnedFile
  readonly #path: string
  #database: SqlDatabase
  #statements: Statements
  #store: SqliteStore
  #gavePagesBack = false
  /** Whether the store may differ from the file, because a transaction has failed. */
  #mustLoad = false
  /** The connection was closed after a failed commit, and could not be opened again yet. */
  #mustReopen = false

  /** `toRestore`: a file whose restore was not finished is not refused. */
  constructor(engine: SqlEngine, path: string, { toRestore }: { readonly toRestore: boolean }) {
    this.#path = path
    this.#file = openOwnedFile(engine, path)
    this.#database = this.#file.database
    try {
      if (!toRestore) checkComplete(this.#database, path)
    } catch (error) {
      this.#file.close()
      throw error
    }
    this.#statements = new Statements(this.#database)
    this.#store = new SqliteStore(this.#statements)
    this.#store.load()
  }

  get position(): { readonly revision: number; readonly compactRevision: number } {
    return { revision: this.#store.revision, compactRevision: this.#store.compactRevision }
  }

  /** Does a batch of encoded requests as one transaction; when it returns, the transaction is on disk. */
  commit(batchId: string, payload: Uint8Array): CommitAnswer {
    const strings: Bytes[] = []
    const from = new ByteReader(payload, { strings, givesViews: true })
    const requests = from.list(() => readRequest(from))
    let result: BatchResult
    let change: ReturnType<SqliteStore['save']>
    this.#ensureOpen()
    try {
      this.#statements.of('begin immediate').run()
      if (this.#mustLoad) this.#store.load()
      this.#mustLoad = true
      const evaluated = evaluateBatch(this.#store, requests)
      result = { ...evaluated, ...this.position }
      change = this.#store.save(batchId)
    } catch (error) {
      this.#rollBack()
      throw failedCommit(this.#path, error)
    }
    try {
      this.#statements.of('commit').run()
    } catch (error) {
      if (sqliteCode(error) === 'FULL') {
        this.#rollBack()
        throw failedCommit(this.#path, error)
      }
      if (!this.#wasCommitted(change, error)) throw failedCommit(this.#path, error)
    }
    this.#mustLoad = false
    // What came with the requests goes back by its number.
    const known = new Map(strings.map((string, number) => [string, number]))
    const to = new ByteWriter({ capacity: 1024 + 256 * requests.length, known })
    writeBatchResult(to, result)
    return { result: to.finish(), log: this.#logSize() }
  }

  /**
   * Copies the rest of a large write-ahead log into the file. While the checkpointer copies beside a busy writer, the log never is copied
   * whole, and only then it starts anew with the next write. A disk that fails now is asked again after the next write.
   */
  keepLogSmall(): void {
    if (this.#logSize().bytes >= maxLogBytes) this.#logSize('passive')
  }

  /**
   * Drops compacted history for some milliseconds, or gives free pages back.
   * Each row below the compact revision makes the row that it replaced superfluous, and itself when it is a tombstone:
   * so every row is visited once, whatever is alive. Rows that the compact revision itself replaced stay, as its events' previous values.
   */
  compactSlice(): CompactAnswer {
    const deadline = performance.now() + sliceMs
    this.#ensureOpen()
    const of = (sql: string): ReturnType<Statements['of']> => this.#statements.of(sql)
    // Losing a slice in a crash costs nothing, so it waits for no fsync of its own.
    this.#database.exec('pragma synchronous = normal')
    try {
      of('begin immediate').run()
      const [compactRevision, compactedId] = of('select compact_revision, compacted_id from state').get() ?? []
      const end = findFirstId(this.#statements, Number(compactRevision))
      let through = Number(compactedId)
      let isDone = false
      while (!isDone && performance.now() < deadline) {
        const rows = of('select id, previous, version from log where id > ? and id < ? order by id limit ?').all(through, end, sliceRows)
        for (const [id, previous, version] of rows) {
          through = Number(id)
          if (previous !== 0) of('delete from log where id = ?').run(Number(previous))
          if (version === 0) of('delete from log where id = ?').run(through)
        }
        isDone = rows.length < sliceRows
      }
      of('update state set compacted_id = ?').run(through)
      of('commit').run()
      const isMore = !isDone || this.#vacuumSlice()
      const hasShrunk = !isMore && this.#gavePagesBack
      if (hasShrunk) this.#gavePagesBack = false
      return { isMore, hasShrunk, log: this.#logSize() }
    } catch (error) {
      this.#rollBack()
      throw failedCommit(this.#path, error)
    } finally {
      this.#database.exec('pragma synchronous = full')
    }
  }

  beginRestore(): void {
    this.#restoring((restore) => restore.begin())
  }

  /** `payload`: items, one after the other. */
  restoreItems(payload: Uint8Array): void {
    const from = new ByteReader(payload)
    const items = function* (): Generator<KeyValue> {
      while (!from.isAtEnd) yield readItem(from)
    }
    this.#restoring((restore) => restore.addItems(items()))
  }

  /** When it returns, all that was restored is on disk. */
  finishRestore(revision: number, leases: readonly RestoredLease[]): void {
    this.#restoring((restore) => restore.finish(revision, leases))
    this.#store.load()
  }

  close(): void {
    this.#file.close()
  }

  #restoring(step: (restore: SqliteRestore) => void): void {
    try {
      step(new SqliteRestore(this.#database, this.#statements, this.#path))
    } catch (error) {
      throw failedCommit(this.#path, error)
    }
  }

  /** Gives some free pages at the file's end back when there are many; true when more are left. */
  #vacuumSlice(): boolean {
    const superfluous = (): number =>
      readNumber(this.#database, 'pragma freelist_count') * readNumber(this.#database, 'pragma page_size') - spareFreeBytes
    if (superfluous() <= 0) return false
    this.#database.exec(`pragma incremental_vacuum(${vacuumPages})`)
    this.#gavePagesBack = true
    return superfluous() > 0
  }

  /** The log's size, after a checkpoint if that is asked for; as if empty when the disk fails, which is no failure of what was done before. */
  #logSize(mode: 'passive' | 'noop' = 'noop'): LogSize {
    try {
      return checkpoint(this.#statements, mode)
    } catch (error) {
      if (sqliteCode(error) === undefined) throw error
      return { bytes: 0, copiedBytes: 0 }
    }
  }

  #ensureOpen(): void {
    if (!this.#mustReopen) return
    try {
      this.#reopen()
    } catch (error) {
      throw new DatastoreError('Unavailable', `Cannot write to datastore "${this.#path}": it could not be opened again`, { cause: error })
    }
  }

  #reopen(): void {
    this.#mustReopen = true
    this.#database = this.#file.reopen()
    this.#mustReopen = false
    this.#mustLoad = true
    this.#statements = new Statements(this.#database)
    this.#store = new SqliteStore(this.#statements)
  }

  #rollBack(): void {
    try {
      this.#database.exec('rollback')
    } catch {
      // SQLite has rolled back by itself, as it does after some errors.
    }
  }

  /**
   * Whether the transaction happened whose commit failed, by the mark that it has left. A checkpoint that succeeds has brought what can be read
   * now to disk, whatever became of the failed fsync; if it fails, nothing is promised.
   */
  #wasCommitted(change: ReturnType<SqliteStore['save']>, cause: unknown): boolean {
    try {
      this.#reopen()
      const isBusy = readNumber(this.#database, 'pragma wal_checkpoint(truncate)') !== 0
      if (isBusy) throw new Error('A reader holds the write-ahead log')
      this.#store.load()
      return change?.wasDone(readPosition(this.#statements)) === true
    } catch (error) {
      const errors = new AggregateError([cause, error], 'The commit failed, and the file could not be opened again')
      throw new DatastoreError('Unavailable', `Cannot write to datastore "${this.#path}"; the write may have happened`, { cause: errors })
    }
  }
}

function failedCommit(path: string, cause: unknown): unknown {
  const code = sqliteCode(cause)
  if (code === undefined) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (code === 'FULL') return new DatastoreError('NoSpace', `Cannot write to datastore "${path}": no space is left`, { cause })
  return new DatastoreError('Unavailable', `Cannot write to datastore "${path}": ${reason}`, { cause })
}
