import type { Aggregator } from '../aggregation/aggregator.ts'
import type { ApiServerOptions } from '../api-server.ts'
import { discoveryHandler } from '../discovery/discovery.ts'
import { flowDebugHandler } from '../flow-control/debug-handler.ts'
import type { FlowControl } from '../flow-control/flow-control.ts'
import type { MaxInFlight } from '../flow-control/max-in-flight.ts'
import { healthHandler } from '../health/health-handler.ts'
import type { StartChecks } from '../health/start-checks.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'
import { metricsHandler } from './metrics-handler.ts'
import { openApiHandler } from './open-api.ts'
import { versionOf } from './version.ts'

export interface NonResourceOptions {
  readonly core: ApiCore
  readonly options: ApiServerOptions
  readonly isStopping: () => boolean
  readonly start: StartChecks
  readonly flowControl: FlowControl
  /** Present: it decides in place of flow control. */
  readonly maxInFlight?: MaxInFlight | undefined
  /** What other servers serve; absent: nothing is aggregated. */
  readonly aggregator?: Aggregator | undefined
}

/** Handlers for everything that is no resource, in the order in which they are asked. */
export function nonResourceHandlers({
  core,
  options,
  isStopping,
  start,
  flowControl,
  maxInFlight,
  aggregator,
}: NonResourceOptions): readonly NonResourceHandler[] {
  const version = `${JSON.stringify(versionOf(options.version), undefined, 2)}\n`
  return [
    discoveryHandler(core, aggregator),
    healthHandler({ core, start, isStopping }),
    openApiHandler(core, options.descriptionsFile, aggregator),
    (_call, { path }) =>
      path === '/version' || path === '/version/'
        ? { type: 'bytes', code: 200, contentType: 'application/json', bytes: version }
        : undefined,
    metricsHandler(core, options, { flowControl, maxInFlight }),
    ...(options.debugPaths === true ? [flowDebugHandler(flowControl)] : []),
    (_call, { path }) =>
      path === '/'
        ? { type: 'bytes', code: 200, contentType: 'application/json', bytes: JSON.stringify({ paths: knownPaths(core) }) }
        : undefined,
    (_call, { path }) => {
      const extra = options.extraPaths?.(path)
      if (extra === undefined) return undefined
      return { type: 'bytes', code: 200, contentType: extra.contentType, bytes: extra.body, headers: extra.headers }
    },
  ]
}

/** What `/` lists. */
function knownPaths({ table }: ApiCore): readonly string[] {
  const groups = table.groups
    .filter(({ group }) => group !== '')
    .flatMap(({ group, versions }) => [`/apis/${group}`, ...versions.map((version) => `/apis/${group}/${version}`)])
  return ['/api', '/api/v1', '/apis', ...groups, '/healthz', '/livez', '/metrics', '/openapi/v2', '/openapi/v3', '/readyz', '/version']
}
