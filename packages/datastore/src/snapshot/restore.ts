import { noLogger, noMetrics, systemClock } from '@k3s/lifecycle'
import type { Datastore } from '../contract.ts'
import { MemoryBackend } from '../drivers/memory.ts'
import { parseDsn } from '../dsn.ts'
import { LogDatastore } from '../engine/log-datastore.ts'
import { openDatastore } from '../open.ts'
import type { OpenDatastoreOptions } from '../open.ts'
import { openTarget } from './open.ts'
import { readSnapshot } from './snapshot.ts'
import { fill } from './target.ts'
import type { CopyOptions, CopySummary } from './target.ts'

export interface RestoreOptions extends OpenDatastoreOptions, Pick<CopyOptions, 'onProgress'> {}

/**
 * Fills an empty datastore with a snapshot. It is then at the snapshot's revision, and its next write has the revision after it: who has watched the
 * original goes on without noticing. Nothing older can be read.
 *
 * Throws `NotEmpty` for a datastore that holds something, `Damaged` or `NewerSchema` for the snapshot. The snapshot is checked while it is written:
 * after any failure but these at the beginning, the datastore is refused with `Incomplete` until a restore has succeeded. Whoever can read the
 * snapshot twice calls `verifySnapshot` before, and nothing is begun with a damaged one.
 */
export async function restore(dsn: string, chunks: AsyncIterable<Uint8Array>, options: RestoreOptions = {}): Promise<CopySummary> {
  const state = await readSnapshot(chunks)
  await using target = await openTarget(dsn, options)
  return await fill(target, state, options)
}

/** Restores as {@link restore} does, and opens the datastore. This is the way for `memory:`. */
export async function openRestored(dsn: string, chunks: AsyncIterable<Uint8Array>, options: RestoreOptions = {}): Promise<Datastore> {
  if (parseDsn(dsn).driver !== 'memory') {
    await restore(dsn, chunks, options)
    return openDatastore(dsn, options)
  }
  const backend = new MemoryBackend()
  await fill(backend, await readSnapshot(chunks), options)
  const { logger = noLogger, metrics = noMetrics, clock = systemClock, limits } = options
  return new LogDatastore(backend, { logger, metrics, clock, limits })
}
