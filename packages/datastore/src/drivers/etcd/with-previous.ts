import type { Watch, WatchBatch } from '../../contract.ts'
import { DatastoreError } from '../../errors.ts'

/**
 * A watch that tells what keys held before, or that it cannot. etcd looks it up when it sends an event; at the compact revision it finds nothing:
 * then the watch fails with `Compacted`, as it would from below.
 */
export function withPrevious(watch: Watch & AsyncIterator<WatchBatch>, findCompactRevision: () => Promise<number>): Watch {
  const iterator: Watch & AsyncIterableIterator<WatchBatch> = {
    requestProgress: watch.requestProgress,
    async next() {
      const result = await watch.next()
      if (result.done === true) return result
      const missing = result.value.events.find(
        ({ type, item, previous }) => previous === undefined && (type === 'delete' || item.version > 1),
      )
      if (missing === undefined) return result
      await watch.return?.()
      const { modRevision } = missing.item
      throw new DatastoreError('Compacted', `What a key held before revision ${modRevision} is compacted`, {
        revision: await findCompactRevision(),
      })
    },
    async return() {
      await watch.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
