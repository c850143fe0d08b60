import { systemClock } from '@k3s/lifecycle'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { Datastore, DatastoreLimits } from '../contract.ts'
import { abortable } from '../engine/abortable.ts'
import { defaultLimits } from '../engine/validate.ts'
import { DatastoreError, isDatastoreError } from '../errors.ts'
import type { RestoreTarget } from '../snapshot/target.ts'
import { Connection } from './etcd/connection.ts'
import { EtcdDatastore } from './etcd/etcd-datastore.ts'
import { LogTail } from './etcd/log-tail.ts'
import { present, zeroByte } from './etcd/requests.ts'
import { hasMarker } from './etcd/restore-marker.ts'
import { EtcdRestore } from './etcd/restore.ts'
import type { TlsPaths } from './etcd/tls-files.ts'

/** How long etcd may take to begin the watch that feeds all others. */
const beginTimeoutMs = 10_000

export interface EtcdOptions {
  /** `HOST:PORT`, or `unix:PATH`; at least one, all of the same etcd. */
  readonly endpoints: readonly string[]
  readonly tls: boolean
  /** For `tls`; without a CA those of the machine are trusted. */
  readonly files: TlsPaths
  /** Of progress marks; connections go by the machine's. */
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly limits: DatastoreLimits | undefined
  readonly signal: AbortSignal | undefined
}

/**
 * Opens an etcd, 3.4 or newer, by any of its endpoints.
 * Throws `Unavailable` when none can be reached, `Unauthenticated` when one side does not trust the other, `InvalidArgument` for TLS files without use,
 * `Incomplete` when a restore into it was not finished.
 */
export async function openEtcd({ endpoints, tls, files, clock, logger, metrics, limits = {}, signal }: EtcdOptions): Promise<Datastore> {
  const connection = await Connection.open({ endpoints, tls: tls ? files : undefined, clock: systemClock, logger })
  try {
    const revision = await checkOpened(connection, signal)
    const readRevision = async (): Promise<number> => readPosition(connection, undefined)
    const tail = new LogTail({ connection, clock, logger, metrics, readRevision }, revision)
    await abortable(tail.begun, AbortSignal.any([AbortSignal.timeout(beginTimeoutMs), ...(signal === undefined ? [] : [signal])])).catch(
      (cause: unknown) => {
        signal?.throwIfAborted()
        throw new DatastoreError('Unavailable', 'etcd does not begin a watch', { cause })
      },
    )
    return new EtcdDatastore(connection, tail, {
      maxRequestBytes: limits.maxRequestBytes ?? defaultLimits.maxRequestBytes,
      maxTxnOperations: limits.maxTxnOperations ?? defaultLimits.maxTxnOperations,
    })
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    throw error
  }
}

/** Opens an etcd to be filled. Throws as {@link openEtcd} does, but goes on with a restore that was not finished. */
export async function openEtcdTarget({
  endpoints,
  tls,
  files,
  logger,
  signal,
}: Pick<EtcdOptions, 'endpoints' | 'tls' | 'files' | 'logger' | 'signal'>): Promise<RestoreTarget> {
  const connection = await Connection.open({ endpoints, tls: tls ? files : undefined, clock: systemClock, logger })
  try {
    await reach(connection, () => hasMarker(connection, signal))
    return new EtcdRestore(connection, logger)
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    throw error
  }
}

/** The revision of an etcd that can be used. */
async function checkOpened(connection: Connection, signal: AbortSignal | undefined): Promise<number> {
  return reach(connection, async () => {
    const [revision, isIncomplete] = await Promise.all([readPosition(connection, signal), hasMarker(connection, signal)])
    if (isIncomplete)
      throw new DatastoreError('Incomplete', 'A restore or migration into this etcd was not finished', {
        hint: 'Run it again with the same source, or start etcd with an empty data directory',
      })
    return revision
  })
}

async function readPosition(connection: Connection, signal: AbortSignal | undefined): Promise<number> {
  const { answer } = await connection.call('range', { key: zeroByte, countOnly: true }, { repeatable: 'always', signal })
  return present(answer.header).revision
}

/** Does the first that is asked of a connection: when that cannot be reached, it is looked into why. */
async function reach<T>(connection: Connection, first: () => Promise<T>): Promise<T> {
  try {
    return await first()
  } catch (error) {
    if (isDatastoreError(error) && error.code === 'Unavailable') throw await connection.explain(error)
    throw error
  }
}
