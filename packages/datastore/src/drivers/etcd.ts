import { systemClock } from '@k3s/lifecycle'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { Datastore, DatastoreLimits } from '../contract.ts'
import { defaultLimits } from '../engine/validate.ts'
import { DatastoreError, isDatastoreError } from '../errors.ts'
import { Connection } from './etcd/connection.ts'
import { EtcdDatastore } from './etcd/etcd-datastore.ts'
import { LogTail } from './etcd/log-tail.ts'
import { present } from './etcd/requests.ts'
import { markerKey } from './etcd/restore-marker.ts'
import type { TlsPaths } from './etcd/tls-files.ts'

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
    return new EtcdDatastore(connection, {
      limits: {
        maxRequestBytes: limits.maxRequestBytes ?? defaultLimits.maxRequestBytes,
        maxTxnOperations: limits.maxTxnOperations ?? defaultLimits.maxTxnOperations,
      },
      revision,
      startTail: (readRevision) => new LogTail({ connection, clock, logger, metrics, readRevision }, revision),
    })
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    throw error
  }
}

/** The revision of an etcd that can be used. */
async function checkOpened(connection: Connection, signal: AbortSignal | undefined): Promise<number> {
  try {
    const { answer } = await connection.call('range', { key: markerKey }, { repeatable: 'always', signal })
    if (answer.kvs.length > 0)
      throw new DatastoreError('Incomplete', 'A restore or migration into this etcd was not finished', {
        hint: 'Run it again with the same source, or start etcd with an empty data directory',
      })
    return present(answer.header).revision
  } catch (error) {
    if (isDatastoreError(error) && error.code === 'Unavailable') throw await connection.explain(error)
    throw error
  }
}
