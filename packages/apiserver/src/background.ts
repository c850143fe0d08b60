import type { ApiServerOptions } from './api-server.ts'
import { ensureSystemNamespaces } from './bootstrap/system-namespaces.ts'
import { keepKubernetesService } from './bootstrap/kubernetes-service.ts'
import { compactPeriodically } from './compaction.ts'
import type { ApiCore } from './pipeline/api-core.ts'

// Kubernetes' own interval: chunked lists and watches go back at least this long.
const defaultCompactionIntervalMs = 5 * 60_000
// Something may delete what must exist; this soon it is back.
const reconcileIntervalMs = 10_000

/** Starts what the server does by itself. `ready` resolves when requests may come, and rejects when what must exist cannot be made; `ended` resolves after an abort. */
export function startBackground(work: { readonly core: ApiCore; readonly options: ApiServerOptions; readonly signal: AbortSignal }): {
  readonly ready: Promise<void>
  readonly ended: Promise<void>
} {
  const { core, options, signal } = work
  const { clock, logger } = core
  const following = core.feed.follow(signal)
  const interval = options.compactionIntervalMs ?? defaultCompactionIntervalMs
  const compacting = interval === 0 ? Promise.resolve() : compactPeriodically({ core, intervalMs: interval, signal })
  const ensure = async (): Promise<void> => {
    await ensureSystemNamespaces(core)
    if (options.advertised !== undefined) await keepKubernetesService(core, options.advertised)
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
  return { ready: ensure(), ended: Promise.all([following, compacting, reconcile()]).then(() => {}) }
}
