import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { Authorizer } from '../auth/auth.ts'
import type { WebhookDialer } from '../custom-resources/conversion/webhook-converter.ts'
import type { AdmissionPlugin } from './admission.ts'
import type { Catalog } from './matching/catalog.ts'
import { mutatingPolicies } from './policies/mutating.ts'
import { validatingPolicies } from './policies/validating.ts'
import { mutatingWebhooks } from './webhooks/mutating.ts'
import { validatingWebhooks } from './webhooks/validating.ts'
import { WebhookClient } from './webhooks/webhook-client.ts'
import { WebhookMetrics } from './webhooks/webhook-metrics.ts'

export interface ExtensionOptions {
  readonly catalog: Catalog
  /** Reaches the Services of webhooks. */
  readonly services: WebhookDialer
  readonly authorizer: Authorizer
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly clock: Clock
  /** Closes what is kept open. */
  readonly closing: AbortSignal
}

/** Admission that users configure: policies and webhooks, in upstream's order. They cost nothing while there is no configuration. */
export function extensionPlugins({ services, closing, metrics, clock, ...options }: ExtensionOptions): readonly AdmissionPlugin[] {
  const client = new WebhookClient(services)
  closing.addEventListener('abort', () => client.close(), { once: true })
  const webhooks = { ...options, client, metrics: new WebhookMetrics(metrics, clock) }
  return [mutatingPolicies(options), mutatingWebhooks(webhooks), validatingPolicies(options), validatingWebhooks(webhooks)]
}
