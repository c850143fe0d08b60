import { DatastoreError, isDatastoreError } from '../../errors.ts'
import type { Message } from '../../etcd/messages.ts'
import type { Connection } from './connection.ts'
import { zeroByte } from './requests.ts'

/** Watches below the compact revision are looked at ten times a second. */
const answerTimeoutMs = 5000

/**
 * The compact revision, 0 when nothing is compacted. `known` is a lower bound: when it still holds, this costs one small read.
 *
 * etcd has no request that tells it; it names it when it refuses a watch from below. (A compaction at revision 1, which removes nothing, is taken for none.)
 */
export async function findCompactRevision(connection: Connection, known: number, signal: AbortSignal | undefined): Promise<number> {
  const from = Math.max(known, 1)
  try {
    await connection.call('range', { key: zeroByte, revision: from, countOnly: true }, { repeatable: 'always', signal })
    return known
  } catch (error) {
    if (!isDatastoreError(error) || error.code !== 'Compacted') throw error
  }
  const stops = AbortSignal.any([AbortSignal.timeout(answerTimeoutMs), connection.closing, ...(signal === undefined ? [] : [signal])])
  const { stream } = await connection.stream('watch', { isForLog: true, signal: stops })
  const onAbort = (): void => stream.cancel()
  stops.addEventListener('abort', onAbort, { once: true })
  try {
    stream.write({ createRequest: { key: zeroByte, startRevision: from } })
    const answers: AsyncIterable<Message<'WatchResponse'>> = stream
    for await (const { compactRevision } of answers) if (compactRevision > 0) return compactRevision
    throw new Error('the watch has ended')
  } catch (error) {
    signal?.throwIfAborted()
    throw new DatastoreError('Unavailable', 'etcd does not tell its compact revision', { cause: error })
  } finally {
    stops.removeEventListener('abort', onAbort)
    stream.on('error', () => {}) // its end is ours
    stream.cancel()
  }
}
