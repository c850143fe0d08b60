import type { Logger } from '@k3s/lifecycle'
import type { ServerDsn } from '../dsn.ts'
import { DatastoreError } from '../errors.ts'
import type { Backend, OpenMode } from '../engine/backend.ts'
import { PostgresDialect } from './postgres/dialect.ts'
import { sqlState, toDatastoreError } from './postgres/errors.ts'
import { PostgresSession } from './postgres/session.ts'
import type { PostgresTarget } from './postgres/session.ts'
import { tlsOf } from './postgres/tls.ts'
import type { TlsFiles } from './postgres/tls.ts'
import { openSqlBackend } from './sql/backend.ts'

/** How long opening waits for a server that says that it is starting. */
const startWaitMs = 60_000
const startRetryMs = 250

export interface PostgresOptions {
  readonly dsn: ServerDsn
  readonly server?: (TlsFiles & { readonly maxConnections?: number | undefined }) | undefined
  readonly mode?: OpenMode | undefined
  readonly logger?: Logger | undefined
  readonly signal?: AbortSignal | undefined
}

/** Opens the log in a PostgreSQL database; the database, and the tables in it, are made when they do not exist. */
export async function openPostgres({ dsn, server = {}, mode, logger, signal }: PostgresOptions): Promise<Backend> {
  const { address } = dsn
  const target: PostgresTarget = {
    dsn,
    address: 'socketPath' in address ? address.socketPath : `${address.host}:${address.port}`,
    tls: tlsOf(dsn, server),
  }
  await prepareDatabase(target, mode === 'read', signal)
  return openSqlBackend(new PostgresDialect(target), { mode, logger, maxConnections: server.maxConnections, signal })
}

/** Waits for a server that is starting, and makes the database, unless it is only to be read. */
async function prepareDatabase(target: PostgresTarget, isReadOnly: boolean, signal: AbortSignal | undefined): Promise<void> {
  const giveUpAt = performance.now() + startWaitMs
  for (;;) {
    signal?.throwIfAborted()
    try {
      const session = await PostgresSession.connect(target)
      return await session.close()
    } catch (error) {
      const state = sqlState(error)
      if (state === '3D000' && isReadOnly)
        throw new DatastoreError('InvalidDsn', `Cannot open the datastore at ${target.address}: its database does not exist`, {
          hint: 'Correct the name of the database',
          cause: error,
        })
      if (state === '3D000') return createDatabase(target)
      if (state !== '57P03' || performance.now() > giveUpAt) throw toDatastoreError(error, target.address, true)
    }
    await new Promise((resolve) => setTimeout(resolve, startRetryMs))
  }
}

async function createDatabase(target: PostgresTarget): Promise<void> {
  const { database } = target.dsn
  let session: PostgresSession | undefined
  try {
    session = await PostgresSession.connect(target, 'postgres')
    await session.execute(`create database "${database.replaceAll('"', '""')}"`)
  } catch (error) {
    // Another member was faster: the name is taken, or was at the same moment.
    if (!['42P04', '23505'].includes(sqlState(error) ?? '')) throw toDatastoreError(error, target.address, session === undefined)
  } finally {
    await session?.close()
  }
}
