import type { ApiCore } from './pipeline/api-core.ts'

/**
 * Forgets old history: every interval it compacts to the revision that was the newest one interval ago, so that between one and two
 * intervals of history are kept. With several servers on one datastore the oldest mark wins nothing and harms nothing: compaction is monotonic.
 */
export async function compactPeriodically({
  core,
  intervalMs,
  signal,
}: {
  readonly core: ApiCore
  readonly intervalMs: number
  readonly signal: AbortSignal
}): Promise<void> {
  const { datastore, clock, feed, logger } = core
  let mark = feed.revision
  for (;;) {
    try {
      await clock.sleep(intervalMs, signal)
    } catch {
      return // aborted when the server closes
    }
    try {
      await datastore.compact(mark, { signal })
      feed.compacted(mark)
      mark = feed.revision
    } catch (error) {
      if (signal.aborted) return
      // Another server may have compacted further already: then its mark counts.
      const status = await datastore.status({ signal }).catch(() => undefined)
      if (status !== undefined && status.compactRevision >= mark) {
        feed.compacted(status.compactRevision)
        mark = feed.revision
      } else logger.warn({ err: error, revision: mark }, 'Datastore cannot be compacted')
    }
  }
}
