import { hasReason } from '@k3s/api'
import { validatingadmissionpolicies, type ValidatingAdmissionPolicy } from '@k3s/api/types/admissionregistration/v1'
import type { Client } from '@k3s/client'
import type { Clock, Logger } from '@k3s/lifecycle'
import type { ObjectReader } from '../../registry/strategy.ts'
import type { Catalog } from '../matching/catalog.ts'
import { checkTypes } from './type-checking.ts'

// As upstream calls the controller.
const fieldManager = 'validatingadmissionpolicy-status-controller'
const retryMs = 1000

export interface PolicyStatusOptions {
  readonly catalog: Catalog
  readonly objects: ObjectReader
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
}

/** True when the expressions of a policy were not checked since they changed. */
export function needsCheck({ metadata, status }: ValidatingAdmissionPolicy): boolean {
  return (metadata.generation ?? 0) > (status?.observedGeneration ?? 0)
}

/** Keeps in the status of validating admission policies what is suspicious about their expressions, until the signal aborts. Never rejects. */
export async function keepPolicyStatus(options: PolicyStatusOptions, signal: AbortSignal): Promise<void> {
  const { catalog, objects, clock, logger } = options
  const cache = catalog.find(validatingadmissionpolicies)?.storage?.cache
  if (cache === undefined) return
  let wake = Promise.withResolvers<void>()
  const stop = cache.onChange(() => wake.resolve())
  const abort = (): void => wake.resolve()
  signal.addEventListener('abort', abort, { once: true })
  try {
    while (!signal.aborted) {
      wake = Promise.withResolvers()
      try {
        for (const policy of objects.list(validatingadmissionpolicies)) if (needsCheck(policy)) await writeStatus(options, policy)
        await wake.promise
      } catch (error) {
        if (signal.aborted) return
        logger.warn({ err: error }, 'Status of validating admission policies cannot be written')
        await clock.sleep(retryMs, signal).catch(() => {}) // an abort ends the loop
      }
    }
  } finally {
    stop()
    signal.removeEventListener('abort', abort)
  }
}

async function writeStatus({ catalog, client }: PolicyStatusOptions, policy: ValidatingAdmissionPolicy): Promise<void> {
  const { name, generation } = policy.metadata
  const warnings = await checkTypes(policy, catalog)
  const status = { observedGeneration: generation, typeChecking: warnings.length === 0 ? {} : { expressionWarnings: warnings } }
  const body = { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingAdmissionPolicy', metadata: { name }, status }
  try {
    await client
      .resource(validatingadmissionpolicies)
      .patch(name, body, { type: 'apply', subresource: 'status', fieldManager, force: true })
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error // it was deleted
  }
}
