import type { Datastore } from '@k3s/datastore'
import { unreadableOf } from '../encryption/unreadable.ts'
import { CachedObject } from './cached-object.ts'
import type { CacheEvent } from './event-ring.ts'
import type { StoredResource } from './stored-resource.ts'

/** Events of one resource straight from the datastore's log, from `fromRevision` on. Batches without events tell how far it got. Throws `Compacted`, and what keeps a value from being decrypted. */
export async function* readLog(
  datastore: Datastore,
  resource: StoredResource,
  fromRevision: number,
  signal: AbortSignal,
): AsyncGenerator<{ readonly revision: number; readonly events: CacheEvent[] }, void, void> {
  // All keys, so that every revision comes and the reader knows when it has caught up.
  for await (const batch of datastore.watch({ start: Uint8Array.of(0), end: new Uint8Array() }, { fromRevision, previous: true, signal })) {
    const events: CacheEvent[] = []
    for (const { type, item, previous } of batch.events) {
      const key = Buffer.from(item.key).toString('utf8')
      if (!key.startsWith(resource.prefix)) continue
      const relative = key.slice(resource.prefix.length)
      const problem = unreadableOf(item) ?? (previous === undefined ? undefined : unreadableOf(previous))
      if (problem !== undefined) throw problem
      const before = previous === undefined ? undefined : CachedObject.fromStored(resource, relative, previous.modRevision, previous.value)
      const isDeletion = type === 'delete'
      const current = isDeletion
        ? before?.atRevision(item.modRevision)
        : CachedObject.fromStored(resource, relative, item.modRevision, item.value)
      if (current !== undefined) events.push({ revision: item.modRevision, current, isDeletion, previous: before, frames: undefined })
    }
    yield { revision: batch.revision, events }
  }
}
