import type { Client, InformerFactory } from '@k3s/client'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { EventRecorder } from './events.ts'

/** What every controller runs on. All parts may be shared by any number of controllers. */
export interface ControllerContext {
  readonly client: Client
  /** Must be run by its owner, as a service that starts before the controllers. */
  readonly informers: InformerFactory
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** Default: one that writes `events` with `client`, with the controller's upstream component name. */
  readonly recorder?: EventRecorder | undefined
}
