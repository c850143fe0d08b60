import { hasReason } from '@k3s/api'
import { leases, type Lease } from '@k3s/api/types/coordination/v1'
import type { Client } from '@k3s/client'
import type { Clock, Logger } from '@k3s/lifecycle'
import { fieldManager } from '../pods/pod-facts.ts'

export interface LeaseRenewerOptions {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeName: string
  /** Uid of the Node object; `undefined` before the registration. */
  readonly nodeUid: () => string | undefined
}

// Upstream's: 40 s, renewed after a quarter of it.
const durationSeconds = 40
const renewMs = 10_000
const namespace = 'kube-node-lease'

/** The node's heartbeat: its Lease in kube-node-lease. */
export class LeaseRenewer {
  readonly #options: LeaseRenewerOptions
  #lease: Lease | undefined

  constructor(options: LeaseRenewerOptions) {
    this.#options = options
  }

  /** Renews until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      try {
        await this.renew(signal)
      } catch (err) {
        this.#lease = undefined // read anew next time: somebody else may have written
        if (!signal.aborted) logger.warn({ err }, 'Cannot renew node lease')
      }
      await clock.sleep(renewMs, signal).catch(() => {}) // the loop's condition sees the abort
    }
  }

  /** Makes or renews the lease once. */
  async renew(signal: AbortSignal): Promise<void> {
    const { client, clock, nodeName, nodeUid } = this.#options
    const api = client.resource(leases)
    const uid = nodeUid()
    const spec = {
      holderIdentity: nodeName,
      leaseDurationSeconds: durationSeconds,
      renewTime: new Date(clock.now()).toISOString().replace('Z', '000Z'),
    }
    const ownerReferences = uid === undefined ? undefined : [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid }]
    this.#lease ??= await api.get(nodeName, { namespace, signal }).catch((error: unknown) => {
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    })
    if (this.#lease === undefined) {
      const metadata = { name: nodeName, namespace, ...(ownerReferences === undefined ? {} : { ownerReferences }) }
      this.#lease = await api.create({ metadata, spec }, { fieldManager, signal })
      return
    }
    const { metadata } = this.#lease
    const owners = (metadata.ownerReferences ?? []).length > 0 ? metadata.ownerReferences : ownerReferences
    this.#lease = await api.update(
      { metadata: { ...metadata, ...(owners === undefined ? {} : { ownerReferences: owners }) }, spec },
      { fieldManager, signal },
    )
  }
}
