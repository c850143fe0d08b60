import { invalid, StatusError } from '@k3s/api'
import { type Service, services } from '@k3s/api/types/core/v1'
import { invalidValue } from '../../validation/field-error.ts'
import type { ObjectReader, RequestScope } from '../../registry/strategy.ts'
import { canonicalIp } from '../shared/ip.ts'
import { initializeIpFamilies } from './ip-families.ts'
import { IpPool, PoolError, PortPool } from './pools.ts'
import { needsClusterIp, needsHealthCheckPort, needsNodePorts } from './service-kind.ts'

export interface ServiceAllocatorOptions {
  /** Ranges of cluster IPs, one or one of each family; the first is the default family. */
  readonly serviceCidrs: readonly string[]
  /** Both included. Default: 30000 to 32767. */
  readonly nodePortRange?: { readonly first: number; readonly last: number } | undefined
  /** 0 to 1, as Math.random, which is the default. */
  readonly random?: (() => number) | undefined
}

/** What services hold of finite supplies. */
interface Holdings {
  readonly ips: ReadonlySet<string>
  readonly ports: ReadonlySet<number>
}

/** Node ports of a service, its health check port among them. */
function portsOf(service: Service): number[] {
  const ports = (service.spec.ports ?? []).map(({ nodePort = 0 }) => nodePort)
  if (service.spec.healthCheckNodePort !== undefined) ports.push(service.spec.healthCheckNodePort)
  return ports.filter((port) => port !== 0)
}

const ipsOf = (service: Service): string[] =>
  (service.spec.clusterIPs ?? []).filter((ip) => ip !== '' && ip !== 'None').map((ip) => canonicalIp(ip) ?? ip)

function holdingsOf(objects: ObjectReader): Holdings {
  const ips = new Set<string>()
  const ports = new Set<number>()
  for (const service of objects.list(services)) {
    for (const ip of ipsOf(service)) ips.add(ip)
    for (const port of portsOf(service)) ports.add(port)
  }
  return { ips, ports }
}

/**
 * Gives cluster IPs and node ports to services. What is taken is read from the services themselves, so nothing can leak or be lost over restarts;
 * what was given in this process and is not yet visible in the cache is kept as a reservation.
 * No await between the check of a value and its reservation: two requests never get the same.
 */
export class ServiceAllocators {
  readonly #pools: readonly IpPool[]
  readonly #ports: PortPool
  readonly #reservedIps = new Set<string>()
  readonly #reservedPorts = new Set<number>()

  /** Throws a TypeError when a range is no CIDR. */
  constructor(options: ServiceAllocatorOptions) {
    const random = options.random ?? Math.random
    const { first, last } = options.nodePortRange ?? { first: 30000, last: 32767 }
    this.#pools = options.serviceCidrs.map((cidr) => new IpPool(cidr, random))
    this.#ports = new PortPool(first, last, random)
  }

  /** Families that cluster IPs can have, the default first. */
  get families(): readonly ('IPv4' | 'IPv6')[] {
    return this.#pools.map(({ family }) => family)
  }

  /**
   * Fills families, cluster IPs and node ports of a service in place. Throws Invalid for values that cannot be had and InternalError when a range is full;
   * then nothing stays reserved. A dry run reserves nothing. The result undoes the reservations.
   */
  allocate(service: Service, previous: Service | undefined, scope: RequestScope): { release(): void } {
    const taken: { readonly ips: string[]; readonly ports: number[] } = { ips: [], ports: [] }
    const release = (): void => {
      for (const ip of taken.ips) this.#reservedIps.delete(ip)
      for (const port of taken.ports) this.#reservedPorts.delete(port)
    }
    const holdings = holdingsOf(scope.objects)
    this.#prune(holdings)
    try {
      initializeIpFamilies(service, previous, this.families)
      this.#allocateIps(service, previous, holdings, taken.ips)
      this.#allocatePorts(service, previous, holdings, { taken: taken.ports, isDryRun: scope.dryRun })
    } catch (error) {
      release()
      throw error
    }
    if (scope.dryRun) release()
    return { release }
  }

  /** Frees what a deleted service held, in case the cache never showed it. */
  forget(service: Service): void {
    for (const ip of ipsOf(service)) this.#reservedIps.delete(ip)
    for (const port of portsOf(service)) this.#reservedPorts.delete(port)
  }

  /** What the cache shows needs no reservation. */
  #prune(holdings: Holdings): void {
    for (const ip of this.#reservedIps) if (holdings.ips.has(ip)) this.#reservedIps.delete(ip)
    for (const port of this.#reservedPorts) if (holdings.ports.has(port)) this.#reservedPorts.delete(port)
  }

  #allocateIps(service: Service, previous: Service | undefined, holdings: Holdings, taken: string[]): void {
    const { spec } = service
    if (!needsClusterIp(service) || spec.clusterIPs?.[0] === 'None') return
    const own = new Set(previous === undefined ? [] : ipsOf(previous))
    const isTaken = (ip: string): boolean => holdings.ips.has(ip) || this.#reservedIps.has(ip)
    const ips = (spec.ipFamilies ?? []).map((family, index) => {
      const wanted = spec.clusterIPs?.[index] ?? ''
      const ip = canonicalIp(wanted) ?? ''
      if (ip !== '' && own.has(ip)) return wanted
      const pool = this.#pools.find((candidate) => candidate.family === family)
      if (pool === undefined) return wanted
      try {
        const found = ip === '' ? pool.next(isTaken) : (pool.check(ip, isTaken), ip)
        this.#reservedIps.add(found)
        taken.push(found)
        return ip === '' ? found : wanted
      } catch (error) {
        throw ipFailure(service, wanted, error)
      }
    })
    spec.clusterIPs = ips
    spec.clusterIP = ips[0]
  }

  #allocatePorts(
    service: Service,
    previous: Service | undefined,
    holdings: Holdings,
    { taken, isDryRun }: { readonly taken: number[]; readonly isDryRun: boolean },
  ): void {
    const { spec } = service
    const own = new Set(previous === undefined ? [] : portsOf(previous))
    const isTaken = (port: number): boolean => holdings.ports.has(port) || this.#reservedPorts.has(port)
    const mine = new Set<number>()
    const reserve = (port: number): number => {
      this.#reservedPorts.add(port)
      taken.push(port)
      mine.add(port)
      return port
    }
    const demand = (port: number, field: string): void => {
      // As upstream, where a dry run may have any port that is free, even outside of the range.
      if (own.has(port) || mine.has(port) || (isDryRun && !isTaken(port))) return
      try {
        this.#ports.check(port, isTaken)
      } catch (error) {
        throw portFailure(service, port, field, error)
      }
      reserve(port)
    }
    const next = (): number => {
      try {
        return reserve(this.#ports.next(isTaken))
      } catch (error) {
        throw new StatusError(
          'InternalError',
          `Internal error occurred: failed to allocate a nodePort: ${error instanceof Error ? error.message : String(error)}`,
        )
      }
    }
    if (needsNodePorts(service)) {
      const ports = spec.ports ?? []
      for (const [index, { nodePort = 0 }] of ports.entries()) if (nodePort !== 0) demand(nodePort, `spec.ports[${index}].nodePort`)
      const isAutomatic = spec.type === 'NodePort' || spec.allocateLoadBalancerNodePorts !== false
      // TCP and UDP on the same port share a node port.
      for (const port of isAutomatic ? ports : []) {
        if (port.nodePort) continue
        const twin = ports.find((other) => other.port === port.port && other.protocol !== port.protocol && other.nodePort)
        const isShared =
          twin?.nodePort !== undefined && !ports.some((other) => other.nodePort === twin.nodePort && other.protocol === port.protocol)
        port.nodePort = isShared ? twin.nodePort : next()
      }
    }
    if (needsHealthCheckPort(service)) {
      if (spec.healthCheckNodePort) demand(spec.healthCheckNodePort, 'spec.healthCheckNodePort')
      else spec.healthCheckNodePort = next()
    }
  }
}

function ipFailure(service: Service, wanted: string, error: unknown): unknown {
  if (!(error instanceof PoolError)) return error
  const { name } = service.metadata
  if (error.isFull)
    return new StatusError(
      'InternalError',
      `Internal error occurred: failed to allocate a serviceIP for Service "${name}": ${error.message}`,
    )
  const why = wanted === '' ? `failed to allocate IP: ${error.message}` : `failed to allocate IP ${wanted}: ${error.message}`
  return invalid(services, name, [invalidValue('spec.clusterIPs', service.spec.clusterIPs, why)])
}

function portFailure(service: Service, port: number, field: string, error: unknown): unknown {
  if (!(error instanceof PoolError)) return error
  return invalid(services, service.metadata.name, [invalidValue(field, port, error.message)])
}
