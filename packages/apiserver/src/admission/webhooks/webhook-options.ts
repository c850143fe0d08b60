import type { Logger } from '@k3s/lifecycle'
import type { Authorizer } from '../../auth/auth.ts'
import type { Catalog } from '../matching/catalog.ts'
import type { WebhookClient } from './webhook-client.ts'
import type { WebhookMetrics } from './webhook-metrics.ts'

/** What the plugins that ask webhooks work with. */
export interface WebhookOptions {
  readonly client: WebhookClient
  readonly catalog: Catalog
  /** Asked by conditions. */
  readonly authorizer: Authorizer
  readonly logger: Logger
  readonly metrics: WebhookMetrics
}
