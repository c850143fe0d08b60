import { randomUUID } from 'node:crypto'
import type { DatastoreStatus } from '../contract.ts'
import { parseDsn } from '../dsn.ts'
import { openBackend, openDatastore } from '../open.ts'
import type { OpenDatastoreOptions } from '../open.ts'
import { openSource } from './open.ts'
import { everything } from './state.ts'

export interface StoredStatus extends DatastoreStatus {
  /** Keys at the newest revision. */
  readonly keys: number
  readonly leases: number
}

/** Where a datastore stands. It is only read, and may be in use; the DSN must name one that exists. */
export async function readStatus(dsn: string, options: OpenDatastoreOptions = {}): Promise<StoredStatus> {
  await using source = await openSource(dsn, options)
  const status = await source.status()
  const { count } = await source.list(everything, { revision: undefined, limit: 1 })
  return { ...status, keys: count, leases: (await source.leases()).length }
}

export interface CompactDatastoreOptions extends OpenDatastoreOptions {
  /** Absent: the newest. */
  readonly revision?: number | undefined
}

/**
 * Drops the history below a revision and frees its space before it resolves; what is alive stays. Reads and watches below fail with `Compacted`.
 * Throws `FutureRevision`, and `Locked` for a file that a server has. An abort leaves the history dropped, and space that the next server frees.
 */
export async function compactDatastore(dsn: string, options: CompactDatastoreOptions = {}): Promise<DatastoreStatus> {
  const { signal } = options
  if (parseDsn(dsn).driver === 'etcd') {
    await using datastore = await openDatastore(dsn, options)
    await datastore.compact(options.revision ?? (await datastore.currentRevision({ signal })), { signal })
    return await datastore.status({ signal })
  }
  await using backend = await openBackend(dsn, options)
  const revision = options.revision ?? (await backend.status()).revision
  const { outcomes } = await backend.commit({ id: randomUUID(), requests: [{ type: 'compact', revision }] })
  for (const outcome of outcomes) if (outcome.type === 'failed') throw outcome.error
  while (await backend.compactSlice()) signal?.throwIfAborted()
  return { ...(await backend.status()), driver: backend.driver }
}
