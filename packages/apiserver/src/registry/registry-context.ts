import type { Datastore } from '@k3s/datastore'
import type { Clock } from '@k3s/lifecycle'
import type { AdmissionPlugin, AdmissionRequest } from '../admission/admission.ts'
import type { CacheFeed } from '../watch-cache/cache-feed.ts'
import type { EventLeases } from './event-leases.ts'
import type { ResourceStorage } from './served-resource.ts'

/** What the functions that change objects share. */
export interface RegistryContext {
  readonly datastore: Datastore
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly newUid: () => string
  readonly admission: readonly AdmissionPlugin[]
  readonly leases: EventLeases
  readonly feed: CacheFeed
}

/** Waits, after a write, until this server judges by it. A cache that lags does not fail what was written. */
export async function settle(
  { feed }: RegistryContext,
  { judgesRequests }: ResourceStorage,
  revision: number,
  signal: AbortSignal,
): Promise<void> {
  if (!judgesRequests) return
  await feed.waitFor(revision, signal).catch(() => {}) // see above
}

export async function admit(context: RegistryContext, request: AdmissionRequest): Promise<void> {
  for (const plugin of context.admission) await plugin.admit?.(request)
}

export async function validateAdmission(context: RegistryContext, request: AdmissionRequest): Promise<void> {
  for (const plugin of context.admission) await plugin.validate?.(request)
}
