import type { Lease } from '../../contract.ts'
import { DatastoreError } from '../../errors.ts'
import type { Message } from '../../etcd/messages.ts'
import type { Connection } from './connection.ts'
import { readFailure } from './errors.ts'

const answerTimeoutMs = 10_000

/** Renews a lease once. Throws `LeaseNotFound`, `Unavailable` when it is not known whether it was renewed, the signal's reason. */
export async function keepLeaseAlive(connection: Connection, id: bigint, signal: AbortSignal | undefined): Promise<Lease> {
  const timeout = AbortSignal.timeout(answerTimeoutMs)
  const stops = AbortSignal.any([timeout, connection.closing, ...(signal === undefined ? [] : [signal])])
  const { stream, avoid } = await connection.stream('leaseKeepAlive', { isForLog: false, signal: stops })
  const onAbort = (): void => stream.cancel()
  stops.addEventListener('abort', onAbort, { once: true })
  try {
    stream.write({ id })
    const answers: AsyncIterable<Message<'LeaseKeepAliveResponse'>> = stream
    for await (const { ttl } of answers) {
      if (ttl <= 0) throw new DatastoreError('LeaseNotFound', `Lease ${id} does not exist`)
      return { id, ttlSeconds: ttl }
    }
    throw new DatastoreError('Unavailable', 'etcd has ended the renewal of a lease')
  } catch (error) {
    if (stops.aborted && !timeout.aborted) throw stops.reason
    if (error instanceof DatastoreError) throw error
    const failure = readFailure(error)
    if (failure.type === 'refused') throw failure.error
    avoid()
    throw new DatastoreError('Unavailable', `The lease may have been renewed, etcd has not answered: ${failure.reason}`, { cause: error })
  } finally {
    stops.removeEventListener('abort', onAbort)
    stream.on('error', () => {}) // its end is ours
    stream.cancel()
  }
}
