import type { Datastore } from '@k3s/datastore'
import type { RecordedDelivery, RecordedHistory } from '../src/conformance/recorded.ts'
import { recordEvent } from '../src/conformance/recorder.ts'
import { machineMoment } from './entries.ts'

/** Reads the log from the oldest revision at or above `from` that is not compacted to the newest, which must have an event. */
export async function readLog(store: Datastore, from: number): Promise<RecordedHistory['readout']> {
  const { compactRevision, revision } = await store.status()
  const oldest = Math.max(from, compactRevision)
  const deliveries: RecordedDelivery[] = []
  let through = revision
  for await (const batch of store.watch({ start: Uint8Array.of(0), end: new Uint8Array(0) }, { fromRevision: oldest })) {
    deliveries.push({ at: machineMoment(), revision: batch.revision, events: batch.events.map(recordEvent) })
    through = Math.max(through, batch.revision)
    if (batch.revision >= revision) break
  }
  return { from: oldest, through, deliveries }
}
