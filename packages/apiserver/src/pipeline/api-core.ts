import type { Datastore } from '@k3s/datastore'
import type { Clock, Logger } from '@k3s/lifecycle'
import type { ComponentCheck } from './component-statuses.ts'
import type { RegistryContext } from '../registry/registry-context.ts'
import type { ResourceTable } from '../registry/resource-table.ts'
import type { ObjectReader, ResourceOperations } from '../registry/strategy.ts'
import type { CacheFeed } from '../watch-cache/cache-feed.ts'

/** What the handlers of requests share. */
export interface ApiCore {
  readonly datastore: Datastore
  readonly clock: Clock
  readonly logger: Logger
  readonly feed: CacheFeed
  readonly table: ResourceTable
  readonly registry: RegistryContext
  readonly objects: ObjectReader
  readonly operations: ResourceOperations
  /** How the parts of the control plane are, besides the datastore, by the names of their component statuses. */
  readonly componentChecks?: Readonly<Record<string, ComponentCheck>> | undefined
  /** Watches that name no end are ended after this many milliseconds to twice as many. */
  readonly minWatchTimeoutMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}
