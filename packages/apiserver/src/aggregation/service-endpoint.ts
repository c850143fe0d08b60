import { notFound, StatusError } from '@k3s/api'
import { services } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import type { ObjectReader } from '../registry/strategy.ts'

/** A port of a Service, as an APIService names it. */
export interface ServicePort {
  readonly namespace: string
  readonly name: string
  readonly port: number
}

/** Where a Service is reached. */
export interface Endpoint {
  /** An IP address, or a name for Services of type ExternalName. */
  readonly host: string
  readonly port: number
}

const unavailable = (name: string): StatusError =>
  new StatusError('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(name)}`)

/**
 * One of the ready endpoints of a Service: aggregated servers are reached without the service network, which the machine of an API server need
 * not be part of. Throws NotFound, ServiceUnavailable, or an Error for Services without endpoints of their own.
 */
export function resolveEndpoint(objects: ObjectReader, random: () => number, { namespace, name, port }: ServicePort): Endpoint {
  const service = objects.get(services, namespace, name)
  if (service === undefined) throw notFound(services, name)
  const { type = 'ClusterIP', ports = [], ipFamilies = [], externalName = '' } = service.spec
  if (type === 'ExternalName') return { host: externalName, port }
  const wanted = ports.find((one) => one.port === port)
  if (wanted === undefined) throw new StatusError('ServiceUnavailable', `no service port ${port} found for service ${JSON.stringify(name)}`)
  const slices = objects
    .list(endpointslices, namespace)
    .filter(({ metadata, addressType }) => metadata.labels?.['kubernetes.io/service-name'] === name && addressType !== 'FQDN')
  // Addresses of the Service's first family before those of its second.
  const families = [...new Set([...ipFamilies, 'IPv4', 'IPv6'])]
  for (const family of families) {
    const candidates = slices
      .filter(({ addressType }) => addressType === family)
      .flatMap(({ endpoints = [], ports: slicePorts = [] }) => {
        const target = slicePorts.find((one) => (one.name ?? '') === (wanted.name ?? ''))?.port
        if (target === undefined) return []
        return endpoints
          .filter(({ conditions }) => conditions?.ready !== false)
          .flatMap(({ addresses: [host] }) => (host === undefined ? [] : [{ host, port: target }]))
      })
    const chosen = candidates[Math.floor(random() * candidates.length)]
    if (chosen !== undefined) return chosen
  }
  throw unavailable(name)
}
