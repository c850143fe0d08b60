import { noLogger, noMetrics, systemClock } from '@k3s/lifecycle'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { Datastore, DatastoreLimits } from './contract.ts'
import { MemoryBackend } from './drivers/memory.ts'
import { parseDsn } from './dsn.ts'
import type { Backend } from './engine/backend.ts'
import { LogDatastore } from './engine/log-datastore.ts'

/** Where SQLite's worker threads find their code. */
export interface SqliteWorkerOptions {
  /** The worker's file, `@k3s/datastore/sqlite-worker`: to be given when the program is bundled. */
  readonly url: URL | string
  /** The file of better-sqlite3's addon; absent: it is looked up as usual. */
  readonly nativeBinding?: string | undefined
}

export interface OpenDatastoreOptions {
  /** Default: none. */
  readonly logger?: Logger | undefined
  /** Default: none. */
  readonly metrics?: MetricsRegistry | undefined
  /** Default: the machine's. */
  readonly clock?: Clock | undefined
  readonly limits?: DatastoreLimits | undefined
  /** Default: the file of this package. */
  readonly sqliteWorker?: SqliteWorkerOptions | undefined
  /** Gives up opening; what was opened by then is closed. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens the datastore that a DSN names, `memory:` or `sqlite://PATH`; it is created when it does not exist.
 * Throws `InvalidDsn`, `Locked` when another process has the file, `ForeignSchema` when the file belongs to another program,
 * `NewerSchema` when a newer version of this package has written it. The caller disposes of the result.
 */
export async function openDatastore(dsn: string, options: OpenDatastoreOptions = {}): Promise<Datastore> {
  const { logger = noLogger, metrics = noMetrics, clock = systemClock, limits, signal } = options
  signal?.throwIfAborted()
  const backend = await openBackend(dsn, options)
  if (signal?.aborted === true) {
    await backend[Symbol.asyncDispose]()
    throw signal.reason
  }
  return new LogDatastore(backend, { logger, metrics, clock, limits })
}

async function openBackend(dsn: string, { sqliteWorker }: OpenDatastoreOptions): Promise<Backend> {
  const parsed = parseDsn(dsn)
  if (parsed.driver === 'memory') return new MemoryBackend()
  // Loaded when asked for: a store in memory needs nothing of it.
  const { openSqlite } = await import('./drivers/sqlite.ts')
  return openSqlite({ path: parsed.path, workerUrl: sqliteWorker?.url, nativeBinding: sqliteWorker?.nativeBinding })
}
