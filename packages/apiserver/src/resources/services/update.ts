import type { Service } from '@k3s/api/types/core/v1'
import { semanticEqual } from '../../validation/equality.ts'
import { isExternallyAccessible, needsClusterIp, needsHealthCheckPort, needsNodePorts } from './service-kind.ts'

/** Keeps `clusterIP` and `clusterIPs` in step for clients that know only one of them. */
export function normalizeClusterIps(service: Service, previous: Service | undefined): void {
  const { spec } = service
  if (previous === undefined) {
    if (spec.clusterIP && (spec.clusterIPs ?? []).length === 0) spec.clusterIPs = [spec.clusterIP]
    return
  }
  const old = previous.spec
  const [now, then] = [spec.clusterIP ?? '', old.clusterIP ?? '']
  if ((old.clusterIPs ?? []).length > 0 && (spec.clusterIPs ?? []).length === 0 && now === then)
    spec.clusterIPs = [...(old.clusterIPs ?? [])]
  if (now === then || !semanticEqual(old.clusterIPs, spec.clusterIPs)) return
  if (then !== '' && now === '') delete spec.clusterIPs
  else spec.clusterIPs = [now]
}

/** Takes over what was allocated before and the client left out. */
function keepAllocated(service: Service, previous: Service): void {
  const { spec } = service
  const old = previous.spec
  if (needsClusterIp(previous) && needsClusterIp(service)) {
    if (!spec.clusterIP && old.clusterIP) spec.clusterIP = old.clusterIP
    if ((spec.clusterIPs ?? []).length === 0 && (old.clusterIPs ?? []).length > 0) spec.clusterIPs = [...(old.clusterIPs ?? [])]
  }
  if (needsNodePorts(previous) && needsNodePorts(service)) {
    const kept = new Set((spec.ports ?? []).map(({ nodePort }) => nodePort).filter(Boolean))
    const byName = new Map((old.ports ?? []).map(({ name = '', nodePort }) => [name, nodePort]))
    for (const port of spec.ports ?? []) {
      const before = byName.get(port.name ?? '')
      if (!port.nodePort && before && !kept.has(before)) port.nodePort = before
    }
  }
  if (needsHealthCheckPort(previous) && needsHealthCheckPort(service) && !spec.healthCheckNodePort && old.healthCheckNodePort) {
    spec.healthCheckNodePort = old.healthCheckNodePort
  }
}

/** Drops values that a change of type made pointless, unless the client changed them too: then validation refuses them. */
function dropPointless(service: Service, previous: Service): void {
  const { spec } = service
  const old = previous.spec
  if (needsClusterIp(previous) && !needsClusterIp(service)) {
    if ((old.clusterIP ?? '') === (spec.clusterIP ?? '') && semanticEqual(old.clusterIPs, spec.clusterIPs)) {
      delete spec.clusterIP
      delete spec.clusterIPs
    }
    if (semanticEqual(old.ipFamilies, spec.ipFamilies)) delete spec.ipFamilies
    if (old.ipFamilyPolicy === spec.ipFamilyPolicy) delete spec.ipFamilyPolicy
  }
  if (needsNodePorts(previous) && !needsNodePorts(service)) {
    const before = new Set((old.ports ?? []).map(({ nodePort }) => nodePort))
    const isSame = (spec.ports ?? []).every(({ nodePort }) => !nodePort || before.has(nodePort))
    for (const port of isSame ? (spec.ports ?? []) : []) delete port.nodePort
  }
  if (needsHealthCheckPort(previous) && !needsHealthCheckPort(service) && old.healthCheckNodePort === spec.healthCheckNodePort)
    delete spec.healthCheckNodePort
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (old.allocateLoadBalancerNodePorts === spec.allocateLoadBalancerNodePorts) delete spec.allocateLoadBalancerNodePorts
    if (old.loadBalancerClass === spec.loadBalancerClass) delete spec.loadBalancerClass
  }
  if (isExternallyAccessible(previous) && !isExternallyAccessible(service) && old.externalTrafficPolicy === spec.externalTrafficPolicy) {
    delete spec.externalTrafficPolicy
  }
}

/** Completes a plain update with what the server owns. */
export function prepareServiceUpdate(service: Service, previous: Service): void {
  service.status = structuredClone(previous.status ?? { loadBalancer: {} })
  keepAllocated(service, previous)
  normalizeClusterIps(service, previous)
  dropPointless(service, previous)
  if (service.spec.type !== 'LoadBalancer' && service.status !== undefined) service.status.loadBalancer = {}
}
