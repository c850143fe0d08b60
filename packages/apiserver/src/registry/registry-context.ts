import type { Datastore } from '@k3s/datastore'
import type { Clock } from '@k3s/lifecycle'
import { Reinvocation, type AdmissionPlugin, type AdmissionRequest } from '../admission/admission.ts'
import type { CacheFeed } from '../watch-cache/cache-feed.ts'
import type { HeavyWork } from '../off-loop/heavy-work.ts'
import { nextTurn } from '../off-loop/json-in-turns.ts'
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
  /** Does the work on large objects that have built-in rules. Absent: it is done here. */
  readonly heavy?: HeavyWork | undefined
  /** True when a value must be written again though nothing of it changes: it is encrypted with yesterday's key. Absent: never. */
  readonly isStoredAnew?: ((key: string) => Promise<boolean>) | undefined
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

/** Asks every plugin that may change the object; of a large one each in a turn of its own. When webhooks or policies changed it, all are asked once again, and the answer is true. */
export async function admit(context: RegistryContext, request: AdmissionRequest, isHeavy = false): Promise<boolean> {
  const reinvocation = new Reinvocation()
  do {
    for (const plugin of context.admission) {
      // Who has an answer at once is not waited for: there are many plugins, and few are about a request.
      const asked = plugin.admit?.(request, reinvocation)
      if (asked !== undefined) await asked
      if (isHeavy) await nextTurn()
    }
  } while (reinvocation.begin())
  return reinvocation.isAgain
}

/** Asks every plugin that may refuse the request; of a large object each in a turn of its own. */
export async function validateAdmission(context: RegistryContext, request: AdmissionRequest, isHeavy = false): Promise<void> {
  for (const plugin of context.admission) {
    const asked = plugin.validate?.(request)
    if (asked !== undefined) await asked
    if (isHeavy) await nextTurn()
  }
}
