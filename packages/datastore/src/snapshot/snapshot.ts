import { append } from '@k3s/lifecycle'
import type { Datastore } from '../contract.ts'
import type { RestoredLease } from '../engine/backend.ts'
import type { OpenDatastoreOptions } from '../open.ts'
import {
  ChunkEncoder,
  chunkTypes,
  damaged,
  decodeEnd,
  decodeItems,
  decodeLeases,
  decodeMeta,
  encodeEnd,
  encodeItems,
  encodeLeases,
  encodeMeta,
  readChunks,
} from './format.ts'
import type { SnapshotMeta } from './format.ts'
import { openSource } from './open.ts'
import { datastoreSource, readState } from './state.ts'
import type { State } from './state.ts'
import { checkedPages } from './target.ts'
import type { CopyOptions, CopySummary } from './target.ts'

export interface SnapshotOptions extends CopyOptions {
  /** For opening what a DSN names. */
  readonly from?: OpenDatastoreOptions | undefined
  /** Compresses with zstd. Default true. */
  readonly isCompressed?: boolean | undefined
  /** For the time of creation and the deadlines of leases. Default: the machine's time. */
  readonly nowMs?: (() => number) | undefined
}

/**
 * The state of a datastore at its newest revision, as a stream of bytes that {@link restore} reads: keys, values, revisions, versions and leases with
 * their deadlines; no history. Taken while others write; holds some MiB of it in memory at a time.
 *
 * `from` is an open datastore, or the DSN of one that is then read beside whatever has it open: of a SQLite file, for example, that a server uses.
 *
 * Throws `Compacted` when the datastore is compacted past that revision before the stream has come to its end: a file that holds what came so far is
 * then without use, and another snapshot may be tried.
 */
export async function* snapshot(from: Datastore | string, options: SnapshotOptions = {}): AsyncGenerator<Uint8Array, void, void> {
  const { isCompressed = true, nowMs = Date.now, onProgress, signal } = options
  await using source = typeof from === 'string' ? await openSource(from, { signal, ...options.from }) : datastoreSource(from, nowMs)
  const state = await readState(source, 'datastore', undefined, signal)
  const { revision, totalItems, driver } = state
  const encoder = new ChunkEncoder(isCompressed)
  const meta = await encoder.encode(chunkTypes.meta, encodeMeta({ revision, items: totalItems, createdAt: new Date(nowMs()), driver }))
  yield Buffer.concat([encoder.start, meta])
  let [items, bytes] = [0, 0]
  for await (const page of checkedPages(state)) {
    items += page.length
    for (const { key, value } of page) bytes += key.length + value.length
    yield encoder.encode(chunkTypes.items, encodeItems(page))
    onProgress?.({ revision, items, totalItems, bytes, isFinishing: false })
  }
  const leases = await state.leases()
  if (leases.length > 0) yield encoder.encode(chunkTypes.leases, encodeLeases(leases))
  yield encoder.encode(chunkTypes.end, encodeEnd({ items, leases: leases.length }))
  onProgress?.({ revision, items, totalItems, bytes, isFinishing: true })
}

/** A snapshot's state, with what it says of itself. */
export interface SnapshotState extends State {
  readonly meta: SnapshotMeta
}

/**
 * Reads a snapshot; everything is checked as it is read. Throws `Damaged` for one that was changed, cut off or appended to, `NewerSchema`.
 * The leases can be had when the pages have come to their end, which is when the whole snapshot was checked.
 */
export async function readSnapshot(source: AsyncIterable<Uint8Array>): Promise<SnapshotState> {
  const chunks = readChunks(source)
  const first = await chunks.next()
  if (first.done === true) throw damaged(0, 'it is cut off')
  if (first.value.type !== chunkTypes.meta) throw damaged(first.value.position, 'it does not begin with what it says of itself')
  const meta = decodeMeta(first.value)
  const leases: RestoredLease[] = []
  const referenced = new Set<bigint>()
  let isChecked = false
  return {
    name: 'snapshot',
    meta,
    driver: meta.driver,
    revision: meta.revision,
    totalItems: meta.items,
    async *pages() {
      let items = 0
      let isEnded = false
      let last = 0
      for await (const chunk of chunks) {
        last = chunk.position
        if (isEnded) throw damaged(last, 'something follows its end')
        switch (chunk.type) {
          case chunkTypes.items: {
            const page = decodeItems(chunk)
            if (leases.length > 0) throw damaged(chunk.position, 'items follow the leases')
            items += page.length
            for (const { leaseId } of page) if (leaseId !== 0n) referenced.add(leaseId)
            yield page
            break
          }
          case chunkTypes.leases:
            append(leases, decodeLeases(chunk))
            break
          case chunkTypes.end: {
            const end = decodeEnd(chunk)
            if (end.items !== items || end.leases !== leases.length || meta.items !== items)
              throw damaged(chunk.position, `it has ${items} items and ${leases.length} leases, not ${end.items} and ${end.leases}`)
            isEnded = true
            break
          }
          default:
            throw damaged(chunk.position, `chunks of type ${chunk.type} are not known`)
        }
      }
      if (!isEnded) throw damaged(last, 'it is cut off: its end is missing')
      for (const { id } of leases) referenced.delete(id)
      if (referenced.size > 0) throw damaged(last, `lease ${[...referenced][0]} of a key is missing`)
      isChecked = true
    },
    async leases() {
      if (!isChecked) throw new Error('Invariant broken: the pages were read to their end')
      return leases
    },
  }
}

export interface SnapshotSummary extends CopySummary, Pick<SnapshotMeta, 'createdAt' | 'driver'> {}

/** Reads a snapshot to its end and tells what is in it. Throws `Damaged`, `NewerSchema`. */
export async function verifySnapshot(
  source: AsyncIterable<Uint8Array>,
  { onProgress, signal }: CopyOptions = {},
): Promise<SnapshotSummary> {
  const state = await readSnapshot(source)
  const { revision, totalItems } = state
  let [items, bytes] = [0, 0]
  for await (const page of checkedPages(state)) {
    signal?.throwIfAborted()
    items += page.length
    for (const { key, value } of page) bytes += key.length + value.length
    onProgress?.({ revision, items, totalItems, bytes, isFinishing: false })
  }
  const leases = await state.leases()
  return { revision, items, leases: leases.length, bytes, createdAt: state.meta.createdAt, driver: state.driver }
}
