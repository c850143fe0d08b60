import type { Datastore } from '@k3s/datastore'
import type { Clock } from '@k3s/lifecycle'

// Upstream's numbers: one lease for the objects of a minute, and not for more than a thousand.
const shareMs = 60_000
const maxShared = 1000

/** Datastore leases for objects that vanish by themselves; shared by the objects of about a minute. */
export class EventLeases {
  readonly #datastore: Datastore
  readonly #clock: Clock
  readonly #current = new Map<number, { readonly id: Promise<bigint>; readonly until: number; count: number }>()

  constructor(datastore: Datastore, clock: Clock) {
    this.#datastore = datastore
    this.#clock = clock
  }

  /** A lease under which an object lives at least `ttlSeconds`. */
  async leaseFor(ttlSeconds: number): Promise<bigint> {
    const now = this.#clock.monotonic()
    const current = this.#current.get(ttlSeconds)
    if (current !== undefined && now < current.until && current.count < maxShared) {
      current.count++
      return current.id
    }
    const id = this.#datastore.grantLease({ ttlSeconds: ttlSeconds + shareMs / 1000 }).then((lease) => lease.id)
    const granted = { id, until: now + shareMs, count: 1 }
    this.#current.set(ttlSeconds, granted)
    id.catch(() => {
      if (this.#current.get(ttlSeconds) === granted) this.#current.delete(ttlSeconds)
    })
    return id
  }
}
