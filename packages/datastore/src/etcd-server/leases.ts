import { isDatastoreError } from '../errors.ts'
import { decode, encode } from '../etcd/codec.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { etcdErrors } from './grpc-error.ts'
import { finishFrame, framePrefixBytes } from './grpc-stream.ts'
import type { GrpcStream } from './grpc-stream.ts'
import type { Member } from './member.ts'

/** etcd's, with its usual timers: half as much again as an election may take, in whole seconds. */
const minTtlSeconds = 2
/** etcd's. */
const maxTtlSeconds = 9_000_000_000

/** etcd's Lease service. */
export class LeaseService {
  readonly #member: Member

  constructor(member: Member) {
    this.#member = member
  }

  async grant({ id, ttl }: Message<'LeaseGrantRequest'>): Promise<MessageInput<'LeaseGrantResponse'>> {
    if (ttl > maxTtlSeconds) throw etcdErrors.leaseTtlTooLarge()
    const wanted = { ttlSeconds: Math.max(ttl, minTtlSeconds), ...(id !== 0n && { id }) }
    const lease = await this.#member.datastore.grantLease(wanted)
    return { header: this.#member.header(), id: lease.id, ttl: Math.ceil(lease.ttlSeconds) }
  }

  async revoke({ id }: Message<'LeaseRevokeRequest'>): Promise<MessageInput<'LeaseRevokeResponse'>> {
    const { revision } = await this.#member.datastore.revokeLease(id)
    return { header: this.#member.header(revision) }
  }

  async timeToLive({ id, keys: wantsKeys }: Message<'LeaseTimeToLiveRequest'>): Promise<MessageInput<'LeaseTimeToLiveResponse'>> {
    try {
      const { ttlSeconds, remainingSeconds, keys } = await this.#member.datastore.leaseStatus(id)
      const times = { ttl: Math.floor(remainingSeconds), grantedTtl: Math.ceil(ttlSeconds) }
      return { header: this.#member.header(), id, ...times, keys: wantsKeys ? keys : [] }
    } catch (error) {
      if (isDatastoreError(error) && error.code === 'LeaseNotFound') return { header: this.#member.header(), id, ttl: -1 }
      throw error
    }
  }

  async leases(): Promise<MessageInput<'LeaseLeasesResponse'>> {
    const ids = await this.#member.datastore.listLeases()
    return { header: this.#member.header(), leases: ids.map((id) => ({ id })) }
  }

  /** Renews one lease after another, until the client has finished or the stream is closed. A lease that is gone has a time to live of 0. */
  async keepAlive(stream: GrpcStream): Promise<void> {
    for await (const message of stream.messages()) {
      const { id } = decode('LeaseKeepAliveRequest', message)
      // Made before the renewal, as in etcd: a lease must not end at a lower revision than one at which it was said to live.
      const header = this.#member.header()
      const ttl = await this.#renew(id)
      if (stream.signal.aborted) return
      await stream.send(finishFrame(encode('LeaseKeepAliveResponse', { header, id, ttl }, framePrefixBytes)))
    }
  }

  async #renew(id: bigint): Promise<number> {
    try {
      const { ttlSeconds } = await this.#member.datastore.keepLeaseAlive(id)
      return Math.ceil(ttlSeconds)
    } catch (error) {
      if (isDatastoreError(error) && error.code === 'LeaseNotFound') return 0
      throw error
    }
  }
}
