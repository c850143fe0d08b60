import { endpointslices } from '@k3s/api/types/discovery/v1'
import { services } from '@k3s/api/types/core/v1'
import type { InformerFactory } from '@k3s/client'
import { noLogger, noMetrics, systemClock, type Clock, type Logger, type MetricsRegistry, type Service } from '@k3s/lifecycle'
import { runCommand, type RunCommand } from '../command.ts'
import { renderRules, tableName, type Ruleset } from './render.ts'
import { servicePorts, type Family, type ServicePortRules } from './snapshot.ts'

export interface ServiceProxyOptions {
  readonly informers: InformerFactory
  readonly nodeName: string
  /** Networks of all pods; the rules are made for the families that are here. */
  readonly clusterCidrs: readonly string[]
  /** Service addresses that this node answers itself (cluster DNS). */
  readonly ownServiceIps?: readonly string[] | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  readonly clock?: Clock | undefined
  readonly run?: RunCommand | undefined
}

// Changes come in bursts when a Deployment rolls: one transaction for all within this time.
const settleMs = 50
const retryMs = 5000
// Another program may flush the rules of the whole machine: this long, at most, they stay away. kube-proxy's sync period.
const checkMs = 30_000

/** UDP flows whose endpoint is gone: the kernel would go on sending them there. */
function staleFlows(previous: readonly ServicePortRules[], next: readonly ServicePortRules[]): readonly (readonly [string, string])[] {
  const now = new Map(next.map((rules) => [`${rules.name}/${rules.protocol}/${rules.port}`, rules]))
  return previous
    .filter(({ protocol }) => protocol === 'udp')
    .flatMap((rules) => {
      const current = now.get(`${rules.name}/${rules.protocol}/${rules.port}`)
      const remaining = new Set(current?.internal.map(({ ip }) => ip))
      const gone = rules.internal.filter(({ ip }) => !remaining.has(ip))
      return gone.map(({ ip }) => [rules.clusterIp, ip] as const)
    })
}

/**
 * Programs the kernel so that service addresses and node ports lead to endpoints. Ready after the first rules stand.
 * Rules stay when it stops, so that services go on while the program is replaced.
 */
export function createServiceProxy(options: ServiceProxyOptions): Service {
  const logger = options.logger ?? noLogger
  const clock = options.clock ?? systemClock
  const run = options.run ?? runCommand
  const duration = (options.metrics ?? noMetrics).histogram({
    name: 'kubeproxy_sync_proxy_rules_duration_seconds',
    help: 'Time of one synchronization of the rules',
    labels: ['ip_family'],
  })
  const serviceInformer = options.informers.informer(services)
  const sliceInformer = options.informers.informer(endpointslices)
  const families = options.clusterCidrs.map((cidr): { family: Family; cidr: string } => ({
    family: cidr.includes(':') ? 'IPv6' : 'IPv4',
    cidr,
  }))
  const applied = new Map<Family, { readonly rules: Ruleset; readonly ports: readonly ServicePortRules[] }>()
  let changed = Promise.withResolvers<void>()
  const touch = (): void => changed.resolve()

  async function sync(signal: AbortSignal): Promise<void> {
    for (const { family, cidr } of families) {
      const began = clock.monotonic()
      const ports = servicePorts({
        services: serviceInformer.lister.list(),
        slices: sliceInformer.lister.list(),
        nodeName: options.nodeName,
        family,
      })
      const before = applied.get(family)
      const rules = renderRules(ports, { family, clusterCidr: cidr, ownServiceIps: options.ownServiceIps ?? [] }, before?.rules)
      if (before?.rules.text === rules.text) continue
      try {
        await run('nft', ['-f', '-'], { input: rules.text, signal })
      } catch (error) {
        applied.delete(family) // the next try makes the table anew, whatever is in it
        throw error
      }
      applied.set(family, { rules, ports })
      for (const [service, endpoint] of staleFlows(before?.ports ?? [], ports)) {
        // It exits with 1 when no flow matched.
        await run('conntrack', ['-D', '-p', 'udp', '--orig-dst', service, '--dst-nat', endpoint], { signal }).catch(() => '')
      }
      duration.observe((clock.monotonic() - began) / 1000, { ip_family: family })
      logger.debug({ family, ports: ports.length }, 'Programmed service rules')
    }
  }

  /** Forgets what was programmed when the kernel does not have it any more. */
  async function check(signal: AbortSignal): Promise<void> {
    for (const { family } of families) {
      if (!applied.has(family)) continue
      try {
        await run('nft', ['list', 'chain', family === 'IPv6' ? 'ip6' : 'ip', tableName, 'services'], { signal })
      } catch {
        signal.throwIfAborted()
        logger.warn({ family }, 'Service rules were removed by somebody; programming them again')
        applied.delete(family)
      }
    }
  }

  return {
    name: 'service-proxy',
    async run({ signal, ready }) {
      const handler = { add: touch, update: touch, delete: touch }
      const remove = [serviceInformer.addHandler(handler), sliceInformer.addHandler(handler)]
      const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      let isReady = false
      try {
        await Promise.all([serviceInformer.synced(signal), sliceInformer.synced(signal)])
        while (!signal.aborted) {
          changed = Promise.withResolvers()
          try {
            await sync(signal)
            if (!isReady) ready()
            isReady = true
          } catch (err) {
            signal.throwIfAborted()
            logger.warn({ err }, 'Cannot program service rules')
            await clock.sleep(retryMs, signal)
            continue
          }
          const idle = new AbortController()
          const due = clock.sleep(checkMs, AbortSignal.any([signal, idle.signal])).then(
            () => true,
            () => false, // a change came first, or the end
          )
          const isDue = await Promise.race([due, changed.promise.then(() => false), aborted.then(() => false)])
          idle.abort()
          if (isDue) await check(signal)
          else if (!signal.aborted) await clock.sleep(settleMs, signal)
        }
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        for (const each of remove) each()
      }
    },
  }
}
