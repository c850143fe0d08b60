import type { Logger } from '@k3s/lifecycle'
import type { Authorizer } from '../auth/auth.ts'
import type { WebhookDialer } from '../custom-resources/conversion/webhook-converter.ts'
import type { AdmissionPlugin } from './admission.ts'
import type { Catalog } from './matching/catalog.ts'
import { mutatingPolicies } from './policies/mutating.ts'
import { validatingPolicies } from './policies/validating.ts'
import { mutatingWebhooks } from './webhooks/mutating.ts'
import { validatingWebhooks } from './webhooks/validating.ts'
import { WebhookClient } from './webhooks/webhook-client.ts'

export interface ExtensionOptions {
  readonly catalog: Catalog
  /** Reaches the Services of webhooks. */
  readonly services: WebhookDialer
  readonly authorizer: Authorizer
  readonly logger: Logger
  /** Closes what is kept open. */
  readonly closing: AbortSignal
}

/** Admission that users configure: policies and webhooks, in upstream's order. They cost nothing while there is no configuration. */
export function extensionPlugins({ services, closing, ...options }: ExtensionOptions): readonly AdmissionPlugin[] {
  const client = new WebhookClient(services)
  closing.addEventListener('abort', () => client.close(), { once: true })
  const webhooks = { ...options, client }
  return [mutatingPolicies(options), mutatingWebhooks(webhooks), validatingPolicies(options), validatingWebhooks(webhooks)]
}
