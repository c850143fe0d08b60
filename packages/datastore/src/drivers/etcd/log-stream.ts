import { equalBytes } from '../../bytes.ts'
import type { LoggedRevision } from '../../engine/backend.ts'
import { compacted } from '../../engine/evaluate.ts'
import { DatastoreError, isDatastoreError } from '../../errors.ts'
import { enums } from '../../etcd/messages.ts'
import type { Message } from '../../etcd/messages.ts'
import { findCompactRevision } from './compact-revision.ts'
import type { Connection } from './connection.ts'
import { readFailure } from './errors.ts'
import { fromEvent, present, zeroByte } from './requests.ts'
import { fillerKey } from './restore-marker.ts'
import { RevisionAssembler } from './revisions.ts'
import { hasTombstoneBug } from './versions.ts'

export interface LogStreamOptions {
  /** First revision wanted; it may be in the future. */
  readonly from: number
  readonly previous: boolean
  /** A long read of old revisions, on a connection beside that of the requests. */
  readonly isForLog: boolean
  /** Ends the stream, which then throws the signal's reason. */
  readonly signal: AbortSignal
  /** Told once when etcd has begun the watch. */
  readonly onBegun?: (() => void) | undefined
}

/**
 * Every revision from `from` on, some at a time, as one watch of everything gives them. What is not asked for yet stays at etcd, but for some MiB.
 * It does not end by itself: throws `Compacted` when `from` is gone, anything else when the stream is lost: the next begins behind the last revision that was given.
 */
export async function* readLogStream(
  connection: Connection,
  { from, previous, isForLog, signal, onBegun }: LogStreamOptions,
): AsyncGenerator<readonly LoggedRevision[], void, void> {
  const { stream, avoid, readVersion } = await connection.stream('watch', { isForLog, signal })
  const onAbort = (): void => stream.cancel()
  signal.addEventListener('abort', onAbort, { once: true })
  const answers: AsyncIterable<Message<'WatchResponse'>> = stream
  const assembler = new RevisionAssembler(from)
  let [begunAt, losesTombstones]: [number, boolean | undefined] = [0, undefined]
  try {
    stream.write({ createRequest: { key: zeroByte, rangeEnd: zeroByte, startRevision: from, prevKv: previous, fragment: true } })
    for await (const { header, created, canceled, compactRevision, cancelReason, fragment, events } of answers) {
      if (canceled && compactRevision > 0) throw compacted(from, compactRevision)
      if (canceled) throw new DatastoreError('Unavailable', `etcd has ended a watch: ${cancelReason}`)
      const { revision } = present(header)
      if (created) {
        begunAt = revision
        onBegun?.()
      }
      // When nothing has followed what is dropped, nothing comes.
      if (created && from <= begunAt) {
        losesTombstones = hasTombstoneBug(await readVersion())
        if (losesTombstones) await checkNotCompacted(connection, from, signal)
      }
      const first = events[0]?.kv?.modRevision
      // What is told as it happens is about the newest revision.
      if (first !== undefined && (assembler.next <= begunAt || first < revision)) {
        losesTombstones ??= hasTombstoneBug(await readVersion())
        if (losesTombstones) await checkNotCompacted(connection, assembler.next, signal)
      }
      const restored = events.find(({ type, kv }) => type === enums.EventType.delete && kv !== undefined && equalBytes(kv.key, fillerKey))
      // The revision at which a restore has ended: its deletions were not in what was restored.
      if (restored?.kv !== undefined) throw compacted(from, restored.kv.modRevision)
      const revisions = assembler.push(events.map(fromEvent), fragment)
      if (revisions.length > 0) yield revisions
    }
    throw new DatastoreError('Unavailable', 'etcd has ended a watch')
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (error instanceof DatastoreError) throw error
    const failure = readFailure(error)
    if (failure.type === 'refused') throw failure.error
    avoid()
    throw new DatastoreError('Unavailable', `The connection of a watch was lost: ${failure.reason}`, { cause: error })
  } finally {
    signal.removeEventListener('abort', onAbort)
    stream.on('error', () => {}) // its end is ours
    stream.cancel()
  }
}

/**
 * Throws `Compacted` when `revision`, the first that was just read from the log, is the compact revision: an etcd with the bug then leaves its deletions out.
 * Asked after the events have come: a compaction that follows has not touched them.
 */
async function checkNotCompacted(connection: Connection, revision: number, signal: AbortSignal): Promise<void> {
  if (revision === 1) return
  try {
    await connection.call('range', { key: zeroByte, revision: revision - 1, countOnly: true }, { repeatable: 'always', signal })
  } catch (error) {
    if (!isDatastoreError(error) || error.code !== 'Compacted') throw error
    throw compacted(revision, await findCompactRevision(connection, revision, signal))
  }
}
