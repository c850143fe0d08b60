import { X509Certificate } from 'node:crypto'
import { apiservices } from '@k3s/api/types/apiregistration/v1'
import { customresourcedefinitions } from '@k3s/api/types/apiextensions/v1'
import { configmaps } from '@k3s/api/types/core/v1'
import { backoffDelay } from '@k3s/lifecycle'
import type { ApiServerOptions } from '../api-server.ts'
import type { StartChecks } from '../health/start-checks.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { LocalServices } from './local-services.ts'
import { keepTrustConfig } from './trust-config.ts'

// CAs change in files, which nobody tells us of.
const resyncMs = 60_000

/**
 * Keeps the APIServices of what this server answers itself, and the ConfigMap by which aggregated servers know the cluster's clients. Resolves
 * after `signal` aborted. Nothing waits for it: who asks right after the start may find some of it missing.
 */
export async function keepAggregation(work: {
  readonly core: ApiCore
  readonly options: Pick<ApiServerOptions, 'clientCa' | 'requestHeader'>
  readonly start: StartChecks
  readonly signal: AbortSignal
}): Promise<void> {
  const { core, options, start, signal } = work
  const { clock, logger } = core
  const trust = { clientCa: options.clientCa, requestHeader: options.requestHeader }
  const local = new LocalServices(core)
  let isDirty = true
  let wake = (): void => {}
  const change = (): void => {
    isDirty = true
    wake()
  }
  const stops = [apiservices, customresourcedefinitions, configmaps].map((type) => core.table.find(type)?.storage?.cache.onChange(change))
  let failures = 0
  while (!signal.aborted) {
    isDirty = false
    try {
      await local.sync()
      start.finish('apiservice-registration-controller', 'kube-apiserver-autoregistration', 'autoregister-completion')
      await keepTrustConfig(core, trust, (pem) => isExpired(pem, clock.now()))
      start.finish('start-cluster-authentication-info-controller')
      failures = 0
    } catch (error) {
      if (signal.aborted) break
      failures++
      logger.warn({ err: error }, 'APIServices cannot be kept')
    }
    if (isDirty && failures === 0) continue
    const woken = new AbortController()
    wake = () => woken.abort()
    // What failed is not tried again for every change: that would be at once.
    const stop = failures === 0 ? AbortSignal.any([signal, woken.signal]) : signal
    await clock.sleep(failures === 0 ? resyncMs : backoffDelay(failures - 1), stop).catch(() => {}) // woken or stopped
    wake = () => {}
  }
  for (const stop of stops) stop?.()
}

function isExpired(pem: string, now: number): boolean {
  try {
    return new X509Certificate(pem).validToDate.getTime() < now
  } catch {
    return true // what is no certificate vouches for nobody
  }
}
