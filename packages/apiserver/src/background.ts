import type { ApiServerOptions } from './api-server.ts'
import { ensureSystemNamespaces } from './bootstrap/system-namespaces.ts'
import { keepKubernetesService } from './bootstrap/kubernetes-service.ts'
import { compactPeriodically } from './compaction.ts'
import type { ApiCore } from './pipeline/api-core.ts'

// Kubernetes' own interval: chunked lists and watches go back at least this long.
const defaultCompactionIntervalMs = 5 * 60_000
// Something may delete what must exist; this soon it is back.
const reconcileIntervalMs = 10_000

/** Starts what the server does by itself. Resolves, with the promise of its end inside, when requests may come. */
export async function startBackground(work: {
  readonly core: ApiCore
  readonly options: ApiServerOptions
  readonly signal: AbortSignal
}): Promise<{ readonly ended: Promise<void> }> {
  const { core, options, signal } = work
  const { clock, logger } = core
  const following = core.feed.follow(signal)
  const interval = options.compactionIntervalMs ?? defaultCompactionIntervalMs
  const compacting = interval === 0 ? Promise.resolve() : compactPeriodically({ core, intervalMs: interval, signal })
  const ensure = async (): Promise<void> => {
    await ensureSystemNamespaces(core)
    if (options.advertised !== undefined) await keepKubernetesService(core, options.advertised)
  }
  await ensure()
  const reconciling = (async (): Promise<void> => {
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
  })()
  return { ended: Promise.all([following, compacting, reconciling]).then(() => {}) }
}
