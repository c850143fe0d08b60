import { isIPv6 } from 'node:net'
import type { Service, ServicePort } from '@k3s/api/types/core/v1'
import type { Endpoint, EndpointSlice } from '@k3s/api/types/discovery/v1'

export type Family = 'IPv4' | 'IPv6'

export interface Backend {
  readonly ip: string
  readonly port: number
  readonly isLocal: boolean
}

/** One port of one Service in one address family, with the endpoints that may get its traffic. */
export interface ServicePortRules {
  /** `namespace/name:port`, as kube-proxy names it. */
  readonly name: string
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly port: number
  readonly clusterIp: string
  /** External and load-balancer addresses. */
  readonly externalIps: readonly string[]
  readonly nodePort: number | undefined
  /** For traffic from inside the cluster. */
  readonly internal: readonly Backend[]
  /** For traffic from outside; only local ones when `isExternalLocal`. */
  readonly external: readonly Backend[]
  /** Externals keep the client's address and never leave the node. */
  readonly isExternalLocal: boolean
  /** Seconds that a client stays with its endpoint; undefined: no affinity. */
  readonly affinitySeconds: number | undefined
  /** CIDRs that may use the load-balancer addresses; empty: all. */
  readonly sourceRanges: readonly string[]
}

export interface ServiceSnapshot {
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  readonly nodeName: string
  readonly family: Family
}

/** Services that another proxy, or none, is responsible for. */
function isSkipped(service: Service): boolean {
  const labels = service.metadata.labels ?? {}
  return service.spec.type === 'ExternalName' || labels['service.kubernetes.io/service-proxy-name'] !== undefined
}

const isReady = ({ conditions }: Endpoint): boolean => conditions?.ready !== false
const isServingTerminating = ({ conditions }: Endpoint): boolean => conditions?.serving === true && conditions.terminating === true

interface Candidate extends Backend {
  readonly ready: boolean
  readonly fallback: boolean
}

function candidatesOf(slices: readonly EndpointSlice[], port: ServicePort, nodeName: string, family: Family): readonly Candidate[] {
  const found = new Map<string, Candidate>()
  for (const slice of slices) {
    if (slice.addressType !== family) continue
    for (const slicePort of slice.ports ?? []) {
      if (
        (slicePort.name ?? '') !== (port.name ?? '') ||
        slicePort.port === undefined ||
        (slicePort.protocol ?? 'TCP') !== (port.protocol ?? 'TCP')
      )
        continue
      for (const endpoint of slice.endpoints ?? []) {
        const [ip] = endpoint.addresses
        if (ip === undefined) continue
        const candidate = {
          ip,
          port: slicePort.port,
          isLocal: endpoint.nodeName === nodeName,
          ready: isReady(endpoint),
          fallback: isServingTerminating(endpoint),
        }
        const key = `${ip} ${slicePort.port}`
        // The same endpoint may stand in two slices while it moves between them: a ready one wins.
        if (found.get(key)?.ready !== true) found.set(key, candidate)
      }
    }
  }
  return [...found.values()].toSorted((a, b) => (a.ip === b.ip ? a.port - b.port : a.ip < b.ip ? -1 : 1))
}

/** Ready ones; when there is none, those that terminate but still serve, as kube-proxy does. */
function usable(candidates: readonly Candidate[]): readonly Backend[] {
  const ready = candidates.filter((candidate) => candidate.ready)
  const chosen = ready.length > 0 ? ready : candidates.filter((candidate) => candidate.fallback)
  return chosen.map(({ ip, port, isLocal }) => ({ ip, port, isLocal }))
}

const isFamily = (ip: string, family: Family): boolean => isIPv6(ip) === (family === 'IPv6')

/** What the rules must say, in order of service names: no I/O, no state. */
export function servicePorts({ services, slices, nodeName, family }: ServiceSnapshot): readonly ServicePortRules[] {
  const byService = Map.groupBy(
    slices,
    (slice) => `${slice.metadata.namespace ?? ''}/${slice.metadata.labels?.['kubernetes.io/service-name'] ?? ''}`,
  )
  const rules: ServicePortRules[] = []
  for (const service of services) {
    if (isSkipped(service)) continue
    const { spec, status, metadata } = service
    const clusterIp = (spec.clusterIPs ?? [spec.clusterIP ?? '']).find((ip) => ip !== '' && ip !== 'None' && isFamily(ip, family))
    if (clusterIp === undefined) continue
    const key = `${metadata.namespace ?? ''}/${metadata.name}`
    const own = byService.get(key) ?? []
    const balancerIps = (status?.loadBalancer?.ingress ?? [])
      .filter(({ ip, ipMode }) => ip !== undefined && ipMode !== 'Proxy')
      .map(({ ip }) => ip ?? '')
    for (const port of spec.ports ?? []) {
      const candidates = candidatesOf(own, port, nodeName, family)
      const local = candidates.filter((candidate) => candidate.isLocal)
      const isExternalLocal = spec.externalTrafficPolicy === 'Local'
      rules.push({
        name: `${key}:${port.name ?? ''}`,
        protocol: (port.protocol ?? 'TCP').toLowerCase() as ServicePortRules['protocol'], // validated by the API server
        port: port.port,
        clusterIp,
        externalIps: [...new Set([...(spec.externalIPs ?? []), ...balancerIps])].filter((ip) => isFamily(ip, family)),
        nodePort: port.nodePort === undefined || port.nodePort === 0 ? undefined : port.nodePort,
        internal: usable(spec.internalTrafficPolicy === 'Local' ? local : candidates),
        external: usable(isExternalLocal ? local : candidates),
        isExternalLocal,
        affinitySeconds: spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800) : undefined,
        sourceRanges: (spec.loadBalancerSourceRanges ?? []).filter((cidr) => isFamily(cidr.slice(0, cidr.indexOf('/')), family)),
      })
    }
  }
  return rules.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
