import type { Gauge } from '@k3s/lifecycle'
import { noMetrics } from '@k3s/lifecycle'
import type { ApiServerOptions } from '../api-server.ts'
import type { FlowControl } from '../flow-control/flow-control.ts'
import type { MaxInFlight } from '../flow-control/max-in-flight.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'

/** `/metrics`. What can be counted when somebody asks is counted then and costs nothing otherwise. */
export function metricsHandler(
  core: ApiCore,
  options: ApiServerOptions,
  { flowControl, maxInFlight }: { readonly flowControl: FlowControl; readonly maxInFlight: MaxInFlight | undefined },
): NonResourceHandler {
  const { metrics = noMetrics, metricsText } = options
  if (metricsText === undefined) return () => undefined
  const inFlight: Gauge = metrics.gauge({
    name: 'apiserver_current_inflight_requests',
    help: 'Most requests that were worked on at once since the last look',
    labels: ['request_kind'],
  })
  const objects: Gauge = metrics.gauge({ name: 'apiserver_storage_objects', help: 'Stored objects by resource', labels: ['resource'] })
  return async (_call, { path }) => {
    if (path !== '/metrics') return undefined
    flowControl.publish()
    const { reads, writes } = maxInFlight === undefined ? flowControl.takeInFlight() : maxInFlight.takeMost()
    inFlight.set(reads, { request_kind: 'readOnly' })
    inFlight.set(writes, { request_kind: 'mutating' })
    for (const { resource, objects: stored } of core.feed.caches) {
      const { group, resource: name } = resource.type
      objects.set(stored.size, { resource: group === '' ? name : `${name}.${group}` })
    }
    const { contentType, text } = await metricsText()
    return { type: 'bytes', code: 200, contentType, bytes: text }
  }
}
