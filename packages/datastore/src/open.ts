import { noLogger, noMetrics, systemClock } from '@k3s/lifecycle'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { Datastore, DatastoreLimits } from './contract.ts'
import { MemoryBackend } from './drivers/memory.ts'
import { parseDsn } from './dsn.ts'
import type { ParsedDsn } from './dsn.ts'
import { DatastoreError } from './errors.ts'
import type { Backend, OpenMode } from './engine/backend.ts'
import { LogDatastore } from './engine/log-datastore.ts'
import type { RestoreTarget } from './snapshot/target.ts'

/** Where SQLite's worker threads find their code. */
export interface SqliteWorkerOptions {
  /** The worker's file, `@k3s/datastore/sqlite-worker`: to be given when the program is bundled. */
  readonly url: URL | string
  /** The file of better-sqlite3's addon; absent: it is looked up as usual. */
  readonly nativeBinding?: string | undefined
}

/** How to connect to a database server; the files are PEM and are read when a connection is made. */
export interface DatabaseServerOptions {
  /** Trusted to sign the server's certificate. Giving any of the three files turns TLS on, as K3s does. */
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  /** Connections at most, those for writing and for notifications included. Default 8, at least 4. */
  readonly maxConnections?: number | undefined
  /**
   * How the other members of a MySQL or MariaDB datastore reach this one with hints that something was written: this process listens on `listen`
   * and registers `advertise` in the database, both `HOST:PORT`. Absent: listens on loopback, which members of one machine reach;
   * those elsewhere notice writes by polling.
   */
  readonly hints?: { readonly listen: string; readonly advertise: string } | undefined
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
  /** For connections to a database server. */
  readonly server?: DatabaseServerOptions | undefined
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
  const parsed = parseDsn(dsn)
  if (parsed.driver === 'etcd') {
    const { openEtcd } = await loadDriver('etcd', ['@grpc/grpc-js'], () => import('./drivers/etcd.ts'))
    const { endpoints, tls } = parsed
    return openEtcd({ endpoints, tls, files: options.server ?? {}, clock, logger, metrics, limits, signal })
  }
  const backend = await openBackend(dsn, options)
  if (signal?.aborted === true) {
    await backend[Symbol.asyncDispose]()
    throw signal.reason
  }
  return new LogDatastore(backend, { logger, metrics, clock, limits })
}

/** Opens an etcd to be filled: it has no backend of ours. */
export async function openEtcdTarget(
  { endpoints, tls }: Extract<ParsedDsn, { driver: 'etcd' }>,
  { server = {}, logger = noLogger, signal }: OpenDatastoreOptions,
): Promise<RestoreTarget> {
  const driver = await loadDriver('etcd', ['@grpc/grpc-js'], () => import('./drivers/etcd.ts'))
  return driver.openEtcdTarget({ endpoints, tls, files: server, logger, signal })
}

/** Opens what stores the log, for one of the modes. Throws `InvalidDsn` for a driver that implements `Datastore` directly. */
export async function openBackend(dsn: string, options: OpenDatastoreOptions, mode: OpenMode = 'own'): Promise<Backend> {
  const { sqliteWorker, server, logger, signal } = options
  const parsed = parseDsn(dsn)
  // Each driver is loaded when it is asked for: a store in memory needs nothing of them.
  switch (parsed.driver) {
    case 'memory':
      return new MemoryBackend()
    case 'sqlite': {
      const { openSqlite } = await import('./drivers/sqlite.ts')
      return openSqlite({ path: parsed.path, workerUrl: sqliteWorker?.url, nativeBinding: sqliteWorker?.nativeBinding, mode })
    }
    case 'postgres': {
      const { openPostgres } = await loadDriver('PostgreSQL', ['pg', 'kysely'], () => import('./drivers/postgres.ts'))
      return openPostgres({ dsn: parsed, server, mode, logger, signal })
    }
    case 'mysql': {
      const { openMysql } = await loadDriver('MySQL', ['mysql2', 'kysely'], () => import('./drivers/mysql.ts'))
      return openMysql({ dsn: parsed, server, mode, logger, signal })
    }
    default:
      throw new DatastoreError('InvalidDsn', `Cannot open datastore: the driver "${parsed.driver}" is not supported yet`)
  }
}

/** Loads a driver, whose libraries are optional peers of this package. */
async function loadDriver<T>(name: string, packages: readonly string[], load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error
    throw new DatastoreError('InvalidDsn', `Cannot open datastore: a library for ${name} is not installed`, {
      hint: `Install ${packages.map((it) => `"${it}"`).join(' and ')}`,
      cause: error,
    })
  }
}
