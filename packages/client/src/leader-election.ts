import { hasReason } from '@k3s/api'
import { leases, type Lease, type LeaseSpec } from '@k3s/api/types/coordination/v1'
import { invariant, noLogger, systemClock, type Clock, type Logger, type Service } from '@k3s/lifecycle'
import type { Client } from './client.ts'

export interface LeaderElectionOptions {
  readonly client: Client
  /** Of the Lease. */
  readonly namespace: string
  readonly name: string
  /** Different for every candidate. */
  readonly identity: string
  /** The leader's work. Its signal aborts when leadership is lost or the service stops; when it ends before that, its error or its end ends the service. */
  readonly lead: (signal: AbortSignal) => Promise<void>
  /** A candidate waits this long after the last renewal it saw before it takes over. Longer than `renewDeadlineMs`. */
  readonly leaseDurationMs?: number | undefined
  /** A leader that could not renew for this long stops leading. Longer than 1.2 times `retryPeriodMs`. */
  readonly renewDeadlineMs?: number | undefined
  readonly retryPeriodMs?: number | undefined
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
  /** Uniform in [0, 1). */
  readonly random?: (() => number) | undefined
}

// client-go's defaults for core components.
const defaults = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 }
const jitterFactor = 1.2

/**
 * A service that does its work while it holds a Lease, follows client-go's election: no clocks are compared, a candidate takes over when it has seen
 * no change of the Lease for its duration. After leadership is lost it contends again. When stopped it releases the Lease, so that the next leader need not wait.
 * It is ready at once: leading or waiting to.
 */
export function createLeaderElection(options: LeaderElectionOptions): Service {
  return new LeaderElection(options)
}

class LeaderElection implements Service {
  readonly name: string
  readonly #options: LeaderElectionOptions & Readonly<Record<'leaseDurationMs' | 'renewDeadlineMs' | 'retryPeriodMs', number>>
  readonly #clock: Clock
  readonly #logger: Logger
  /** The Lease as last seen, and when by our clock its spec last changed. */
  #observed: { readonly lease: Lease; readonly changedAt: number } | undefined

  constructor(options: LeaderElectionOptions) {
    const {
      leaseDurationMs = defaults.leaseDurationMs,
      renewDeadlineMs = defaults.renewDeadlineMs,
      retryPeriodMs = defaults.retryPeriodMs,
    } = options
    invariant(
      leaseDurationMs > renewDeadlineMs && renewDeadlineMs > jitterFactor * retryPeriodMs,
      'lease duration > renew deadline > retry period',
    )
    this.#options = { ...options, leaseDurationMs, renewDeadlineMs, retryPeriodMs }
    this.name = `leader election ${options.namespace}/${options.name}`
    this.#clock = options.clock ?? systemClock
    this.#logger = (options.logger ?? noLogger).child({ lease: `${options.namespace}/${options.name}`, identity: options.identity })
  }

  async run({ signal, ready }: { readonly signal: AbortSignal; readonly ready: () => void }): Promise<void> {
    ready()
    while (await this.#acquire(signal)) {
      const lost = new AbortController()
      const stop = AbortSignal.any([signal, lost.signal])
      const ended = new AbortController()
      const leading = this.#options.lead(stop).finally(() => ended.abort())
      // The renewal ends when the lease is lost, the service stops or the work has ended by itself.
      await Promise.all([
        leading,
        this.#renew(AbortSignal.any([signal, ended.signal])).then(() => lost.abort(new Error('Leadership was lost'))),
      ])
      if (!signal.aborted && !lost.signal.aborted) return
      if (!signal.aborted) this.#logger.warn({}, 'Leadership was lost')
    }
  }

  /** True when we lead; false on abort. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { retryPeriodMs, random = Math.random } = this.#options
    while (!signal.aborted) {
      if (await this.#tryAcquireOrRenew(signal)) {
        this.#logger.info({}, 'Leadership was acquired')
        return true
      }
      await this.#sleep(retryPeriodMs * (1 + jitterFactor * random()), signal)
    }
    return false
  }

  /** Returns when no renewal succeeded for the deadline, or on abort; then the lease is released. */
  async #renew(signal: AbortSignal): Promise<void> {
    const { renewDeadlineMs, retryPeriodMs } = this.#options
    let renewedAt = this.#clock.monotonic()
    for (;;) {
      await this.#sleep(retryPeriodMs, signal)
      if (signal.aborted) return this.#release()
      const deadline = new AbortController()
      const attempt = AbortSignal.any([signal, deadline.signal])
      const timer = new AbortController()
      const remaining = renewedAt + renewDeadlineMs - this.#clock.monotonic()
      const timeout = this.#clock.sleep(remaining, timer.signal).then(
        () => deadline.abort(new Error('Renew deadline passed')),
        () => {},
      )
      const isRenewed = await this.#tryAcquireOrRenew(attempt)
      timer.abort()
      await timeout
      if (isRenewed) renewedAt = this.#clock.monotonic()
      else if (!signal.aborted && this.#clock.monotonic() - renewedAt >= renewDeadlineMs) return
      else if (this.#isHeldByAnother()) return
    }
  }

  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity, leaseDurationMs } = this.#options
    const resource = client.resource(leases)
    const now = microTime(this.#clock.now())
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: now,
      renewTime: now,
      leaseTransitions: 0,
    }
    try {
      // A leader writes what it knows; the resourceVersion refuses it if somebody else wrote since.
      let lease = this.#observed?.lease
      if (lease?.spec?.holderIdentity !== identity) {
        try {
          lease = await resource.get(name, { namespace, signal })
        } catch (error) {
          if (!hasReason(error, 'NotFound')) throw error
          this.#observe(await resource.create({ metadata: { name, namespace }, spec }, { signal }))
          return true
        }
        this.#observe(lease)
        if (this.#isHeldByAnother()) return false
      }
      const previous = lease.spec ?? {}
      const isOurs = previous.holderIdentity === identity
      const update: Lease = {
        ...lease,
        spec: {
          ...previous,
          ...spec,
          acquireTime: isOurs ? (previous.acquireTime ?? now) : now,
          leaseTransitions: (previous.leaseTransitions ?? 0) + (isOurs ? 0 : 1),
        },
      }
      this.#observe(await resource.update(update, { signal }))
      return true
    } catch (err) {
      if (!signal.aborted) this.#logger.debug({ err }, 'Lease could not be acquired or renewed')
      // What was written by whom is unknown: the next try reads.
      if (this.#observed !== undefined) await this.#refresh(signal)
      return false
    }
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const { client, namespace, name } = this.#options
    try {
      this.#observe(await client.resource(leases).get(name, { namespace, signal }))
    } catch (error) {
      if (hasReason(error, 'NotFound')) this.#observed = undefined
    }
  }

  #observe(lease: Lease): void {
    const known = this.#observed
    const isSame = known !== undefined && JSON.stringify(known.lease.spec) === JSON.stringify(lease.spec)
    this.#observed = { lease, changedAt: isSame ? known.changedAt : this.#clock.monotonic() }
    const holder = lease.spec?.holderIdentity
    if (holder && holder !== known?.lease.spec?.holderIdentity) this.#logger.info({ leader: holder }, 'Leader is known')
  }

  #isHeldByAnother(): boolean {
    const { lease, changedAt } = this.#observed ?? {}
    const { holderIdentity, leaseDurationSeconds = 0 } = lease?.spec ?? {}
    if (!holderIdentity || holderIdentity === this.#options.identity || changedAt === undefined) return false
    return changedAt + leaseDurationSeconds * 1000 > this.#clock.monotonic()
  }

  async #release(): Promise<void> {
    const { lease } = this.#observed ?? {}
    const { client, identity, renewDeadlineMs } = this.#options
    if (lease?.spec?.holderIdentity !== identity) return
    const now = microTime(this.#clock.now())
    const { leaseTransitions = 0 } = lease.spec
    const spec: LeaseSpec = { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions }
    try {
      this.#observed = {
        lease: await client.resource(leases).update({ ...lease, spec }, { signal: AbortSignal.timeout(renewDeadlineMs) }),
        changedAt: 0,
      }
    } catch (err) {
      this.#logger.warn({ err }, 'Lease could not be released and will expire')
    }
  }

  /** Returns early on abort. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(ms, signal).catch(() => {}) // callers look at the signal
  }
}

/** meta/v1 MicroTime. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z')
