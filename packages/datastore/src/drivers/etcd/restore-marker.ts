import { isDatastoreError } from '../../errors.ts'
import type { Connection } from './connection.ts'

/**
 * The lease that says that a restore was begun and not finished: other than a key, a lease takes no revision. Its id is a name in ASCII, whose chance to
 * be drawn as a random id is one in 2^63.
 */
export const markerLeaseId: bigint = BigInt(`0x${Buffer.from('k3sresto').toString('hex')}`)

/** etcd's longest: 285 years. */
const markerTtlSeconds = 9_000_000_000

/** What is written to make a revision with nothing else in it. Gone when the restore is finished. */
export const fillerKey: Uint8Array = new TextEncoder().encode('\0k3s-datastore/restoring')

export async function hasMarker(connection: Connection, signal?: AbortSignal): Promise<boolean> {
  const { answer } = await connection.call('leaseTimeToLive', { id: markerLeaseId }, { repeatable: 'always', signal })
  return answer.ttl > 0
}

export async function setMarker(connection: Connection): Promise<void> {
  try {
    await connection.call('leaseGrant', { id: markerLeaseId, ttl: markerTtlSeconds }, { repeatable: 'always', signal: undefined })
  } catch (error) {
    if (!isDatastoreError(error) || error.code !== 'LeaseExists') throw error
  }
}

export async function removeMarker(connection: Connection): Promise<void> {
  try {
    await connection.call('leaseRevoke', { id: markerLeaseId }, { repeatable: 'always', signal: undefined })
  } catch (error) {
    if (!isDatastoreError(error) || error.code !== 'LeaseNotFound') throw error
  }
}
