import type { ApiServerOptions } from './api-server.ts'
import { ensureSystemNamespaces } from './bootstrap/system-namespaces.ts'
import { keepDefaultServiceCidr } from './bootstrap/default-service-cidr.ts'
import { keepKubernetesService } from './bootstrap/kubernetes-service.ts'
import { keepTokenTracking } from './bootstrap/token-tracking.ts'
import { compactPeriodically } from './compaction.ts'
import type { FlowControl } from './flow-control/flow-control.ts'
import { followFlowObjects } from './flow-control/follow-flow-objects.ts'
import { flowObjects, keepFlowObjects } from './flow-control/keep-flow-objects.ts'
import type { StartChecks } from './health/start-checks.ts'
import type { ApiCore } from './pipeline/api-core.ts'

// Kubernetes' own interval: chunked lists and watches go back at least this long.
const defaultCompactionIntervalMs = 5 * 60_000
// Something may delete what must exist; this soon it is back.
const reconcileIntervalMs = 10_000

/** Starts what the server does by itself. `ready` resolves when requests may come, and rejects when what must exist cannot be made; `ended` resolves after an abort. */
export function startBackground(work: {
  readonly core: ApiCore
  readonly options: ApiServerOptions
  readonly flowControl: FlowControl
  readonly start: StartChecks
  readonly signal: AbortSignal
}): {
  readonly ready: Promise<void>
  readonly ended: Promise<void>
} {
  const { core, options, flowControl, start, signal } = work
  const { clock, logger } = core
  const following = core.feed.follow(signal)
  const controlling = followFlowObjects(core, flowControl, signal)
  const interval = options.compactionIntervalMs ?? defaultCompactionIntervalMs
  const compacting = interval === 0 ? Promise.resolve() : compactPeriodically({ core, intervalMs: interval, signal })
  const ensure = async (): Promise<void> => {
    await Promise.all([ensureSystemNamespaces(core), keepFlowObjects(core)])
    await keepTokenTracking(core)
    start.finish('start-legacy-token-tracking-controller')
    start.finish('start-system-namespaces-controller', 'priority-and-fairness-config-producer')
    if (options.advertised === undefined) return
    await keepKubernetesService(core, options.advertised)
    start.finish('bootstrap-controller')
    if (options.advertised.serviceCidrs === undefined) return
    await keepDefaultServiceCidr(core, options.advertised.serviceCidrs)
    start.finish('start-kubernetes-service-cidr-controller')
  }
  const reconcile = async (): Promise<void> => {
    for (;;) {
      try {
        await clock.sleep(reconcileIntervalMs, signal)
      } catch {
        return // the sleep is aborted when the server closes
      }
      await ensure().catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ err: error }, 'System objects cannot be reconciled')
      })
    }
  }
  const begin = async (): Promise<void> => {
    await ensure()
    // The first request is already judged by what was just made.
    await core.feed.waitForNewest(signal)
    const { schemas, levels } = flowObjects(core)
    flowControl.configure(schemas, levels)
  }
  return { ready: begin(), ended: Promise.all([following, controlling, compacting, reconcile()]).then(() => {}) }
}
