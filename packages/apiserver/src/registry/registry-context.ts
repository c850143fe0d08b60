import type { Datastore } from '@k3s/datastore'
import type { Clock } from '@k3s/lifecycle'
import type { AdmissionPlugin, AdmissionRequest } from '../admission/admission.ts'
import type { EventLeases } from './event-leases.ts'

/** What the functions that change objects share. */
export interface RegistryContext {
  readonly datastore: Datastore
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly newUid: () => string
  readonly admission: readonly AdmissionPlugin[]
  readonly leases: EventLeases
}

export async function admit(context: RegistryContext, request: AdmissionRequest): Promise<void> {
  for (const plugin of context.admission) await plugin.admit?.(request)
}

export async function validateAdmission(context: RegistryContext, request: AdmissionRequest): Promise<void> {
  for (const plugin of context.admission) await plugin.validate?.(request)
}
