import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatastoreError } from '../../errors.ts'
import { sqliteCode } from './database.ts'
import type { SqlDatabase, SqlEngine } from './database.ts'
import type { LogSize } from './messages.ts'
import type { Statements } from './store.ts'

/** Marks a file as ours: "k3sd". */
const applicationId = 0x6b337364
const schemaVersion = 2
/**
 * Of a new file. A commit writes whole pages, two for a small value: with 4096 bytes a renewed Kubernetes lease costs half as much again, and all
 * writes are slower by what the disk has to take; lists of values of a kilobyte are quicker by a fifth.
 */
const pageBytes = 1024
/** For the moments in which a checkpoint or a recovery holds the file's locks. */
const busyTimeoutMs = 5000

/**
 * `log` has a row for each write of a key, in the order of `id`, in which revisions grow too; a row with version 0 is a tombstone; `previous` is
 * the row that it replaced. The newest row is never removed, so the log's end tells the newest revision.
 * `live` has one row for each key that exists, so that reading the present never touches history.
 * A write of a key changes one page of each, and no other: an older state is found by following `previous` from what is alive, and from the
 * tombstones written since.
 * `state` holds what the log does not tell: the revision and the id below which it has nothing (of a store that was restored), and the id of the
 * newest batch that changed leases or the compact revision only.
 * Big columns come last: SQLite reads a row from its start.
 */
const schema = `
  create table log (
    id integer primary key,
    revision integer not null,
    previous integer not null,
    created integer not null,
    version integer not null,
    lease text,
    key blob not null,
    value blob not null
  );
  create index log_tombstone on log (revision, key, previous) where version = 0;
  create table live (
    key blob primary key,
    id integer not null,
    revision integer not null,
    created integer not null,
    version integer not null,
    lease text
  ) without rowid;
  create index live_lease on live (lease) where lease is not null;
  create table lease (id text primary key, ttl real not null, deadline integer not null) without rowid;
  create index lease_deadline on lease (deadline);
  create table state (
    revision integer not null,
    compact_revision integer not null,
    compacted_id integer not null,
    last_id integer not null,
    batch text not null
  );
  insert into state values (1, 0, 0, 0, '');
`

/** What brings a file to the version after the one at its place. Version 1 had every row of the log in an index. */
const migrations: Readonly<Record<number, string>> = {
  1: 'drop index log_revision; create index log_tombstone on log (revision, key, previous) where version = 0',
}

/** A database file that this process alone writes to. */
export interface OwnedFile {
  readonly database: SqlDatabase
  /** Closes and opens the connection anew: after a failed commit, when its state is not to be trusted. After a failure it may be called again. */
  reopen(): SqlDatabase
  close(): void
}

/**
 * Takes the file for this process and brings it to the present schema.
 * The lock is SQLite's own on a file beside it, so it goes with the process whatever ends that.
 */
export function openOwnedFile(engine: SqlEngine, path: string): OwnedFile {
  checkDirectory(path)
  const lockPath = `${path}.lock`
  const lock = takeLock(engine, path, lockPath)
  try {
    const first = openWriter(engine, path)
    let database: SqlDatabase | undefined = first
    return {
      database: first,
      reopen() {
        database?.close()
        database = undefined
        const opened = openWriter(engine, path)
        database = opened
        return opened
      },
      close() {
        database?.close()
        lock.close()
      },
    }
  } catch (error) {
    // A file that is not ours gets nothing left beside it.
    if (error instanceof DatastoreError && error.code === 'ForeignSchema') rmSync(lockPath, { force: true })
    lock.close()
    throw error
  }
}

function checkDirectory(path: string): void {
  const directory = dirname(path)
  const stats = statSync(directory, { throwIfNoEntry: false })
  if (stats === undefined)
    throw new DatastoreError('InvalidDsn', `Cannot open datastore "${path}": directory "${directory}" does not exist`, {
      hint: 'Create the directory, or correct the path',
    })
  if (!stats.isDirectory()) throw new DatastoreError('InvalidDsn', `Cannot open datastore "${path}": "${directory}" is not a directory`)
}

function takeLock(engine: SqlEngine, path: string, lockPath: string): SqlDatabase {
  let lock: SqlDatabase | undefined
  try {
    closeSync(openSync(lockPath, 'a', 0o600))
    lock = engine.open(lockPath, { busyTimeoutMs: 0 })
    lock.exec('begin exclusive')
    return lock
  } catch (error) {
    lock?.close()
    if (sqliteCode(error) === 'BUSY')
      throw new DatastoreError('Locked', `Cannot open datastore "${path}": another process is using it`, {
        hint: 'Stop the other server, or give this one a data directory of its own',
      })
    throw notWritable(path, error)
  }
}

function notWritable(path: string, cause: unknown): DatastoreError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new DatastoreError('InvalidDsn', `Cannot open datastore "${path}": it cannot be written (${reason})`, {
    hint: 'Give this user read and write permission on the file and its directory',
    cause,
  })
}

function openWriter(engine: SqlEngine, path: string): SqlDatabase {
  let database: SqlDatabase | undefined
  try {
    // SQLite gives its other files the permissions of this one.
    closeSync(openSync(path, 'a', 0o600))
    database = engine.open(path, { busyTimeoutMs })
    prepareSchema(database, path)
    // The checkpoints are our own, after answers were sent; the log's file shrinks to 8 MiB when it starts anew.
    database.exec(`pragma synchronous = full; pragma wal_autocheckpoint = 0; pragma journal_size_limit = ${8 * 2 ** 20};
      pragma cache_size = -8192; pragma temp_store = memory`)
    return database
  } catch (error) {
    database?.close()
    if (error instanceof DatastoreError) throw error
    const code = sqliteCode(error)
    if (code === 'NOTADB') throw foreign(path, 'it is not a SQLite database')
    if (code === 'CORRUPT')
      throw new DatastoreError('Unavailable', `Cannot open datastore "${path}": the file is damaged`, { cause: error })
    if (code === 'FULL') throw new DatastoreError('NoSpace', `Cannot open datastore "${path}": no space is left`, { cause: error })
    throw notWritable(path, error)
  }
}

function prepareSchema(database: SqlDatabase, path: string): void {
  const [id, version] = [readNumber(database, 'pragma application_id'), readNumber(database, 'pragma user_version')]
  if (id === applicationId) {
    if (version > schemaVersion) throw newer(path, version)
    database.exec('pragma journal_mode = wal')
    if (version < schemaVersion) migrate(database, version)
    return
  }
  const tables = database.prepare("select name from sqlite_master where type = 'table'").all()
  if (tables.some(([name]) => name === 'kine')) throw foreign(path, 'it is the database of the original K3s (kine)')
  if (id !== 0 || tables.length > 0) throw foreign(path, 'it belongs to another program')
  database.exec(`pragma page_size = ${pageBytes}; pragma auto_vacuum = incremental; pragma journal_mode = wal; begin immediate`)
  database.exec(`${schema}; pragma application_id = ${applicationId}; pragma user_version = ${schemaVersion}; commit`)
}

function migrate(database: SqlDatabase, from: number): void {
  const steps = Array.from({ length: schemaVersion - from }, (_, index) => migrations[from + index] ?? '')
  database.exec(`begin immediate; ${steps.join(';')}; pragma user_version = ${schemaVersion}; commit`)
}

function newer(path: string, version: number): DatastoreError {
  return new DatastoreError(
    'NewerSchema',
    `Cannot open datastore "${path}": its schema version is ${version}, this program knows ${schemaVersion}`,
    { hint: 'Use the newer release that wrote it' },
  )
}

function foreign(path: string, reason: string): DatastoreError {
  return new DatastoreError('ForeignSchema', `Cannot open datastore "${path}": ${reason}`, {
    hint: 'Give another path or another data directory: this file is left as it is',
  })
}

export function readNumber(database: SqlDatabase, sql: string): number {
  return Number(database.prepare(sql).get()?.[0] ?? 0)
}

/** A connection that copies the write-ahead log into the file beside the writer. */
export function openCheckpointer(engine: SqlEngine, path: string): SqlDatabase {
  const database = engine.open(path, { busyTimeoutMs })
  database.exec('pragma synchronous = full; pragma wal_autocheckpoint = 0; pragma cache_size = -64')
  return database
}

/** Copies what can be copied without waiting for anybody, and brings it to disk. `noop` only looks. */
export function checkpoint(statements: Statements, mode: 'passive' | 'noop' = 'passive'): LogSize {
  // An SQLite that does not know NOOP takes it for PASSIVE: it copies now what would be copied soon.
  const [, frames, copiedFrames] = statements.of(`pragma wal_checkpoint(${mode})`).get() ?? []
  const bytes = Number(statements.of('pragma page_size').get()?.[0])
  return { bytes: Number(frames) * bytes, copiedBytes: Number(copiedFrames) * bytes }
}

/** A connection for reads of a file that another process may be writing to; it takes no lock and makes nothing. */
export function openReadOnly(engine: SqlEngine, path: string): SqlDatabase {
  checkDirectory(path)
  if (statSync(path, { throwIfNoEntry: false }) === undefined)
    throw new DatastoreError('InvalidDsn', `Cannot open datastore "${path}": the file does not exist`, { hint: 'Correct the path' })
  let database: SqlDatabase | undefined
  try {
    database = openReader(engine, path)
    if (readNumber(database, 'pragma application_id') !== applicationId) throw foreign(path, 'it belongs to another program')
    const version = readNumber(database, 'pragma user_version')
    if (version > schemaVersion) throw newer(path, version)
    if (version < schemaVersion)
      throw new DatastoreError('ForeignSchema', `Cannot read datastore "${path}": an older version of this program wrote it`, {
        hint: 'Start the server once, which brings the file up to date',
      })
    return database
  } catch (error) {
    database?.close()
    if (error instanceof DatastoreError) throw error
    if (sqliteCode(error) === 'NOTADB') throw foreign(path, 'it is not a SQLite database')
    const reason = error instanceof Error ? error.message : String(error)
    throw new DatastoreError('Unavailable', `Cannot read datastore "${path}": ${reason}`, { cause: error })
  }
}

/** A connection for reads, which never waits for the writer. */
export function openReader(engine: SqlEngine, path: string): SqlDatabase {
  const database = engine.open(path, { readonly: true, busyTimeoutMs })
  database.exec('pragma cache_size = -8192; pragma temp_store = memory')
  return database
}
