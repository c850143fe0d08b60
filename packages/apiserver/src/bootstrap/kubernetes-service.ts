import { isIPv6 } from 'node:net'
import { endpoints, namespaces, services, type Endpoints, type Service } from '@k3s/api/types/core/v1'
import { endpointslices, type EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { AdvertisedEndpoint } from '../api-server.ts'
import { equalJson } from '../json.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { createIfMissing } from './system-namespaces.ts'

const at = { namespace: 'default', name: 'kubernetes' }
const portName = 'https'
const servicePort = 443

/** Keeps `default/kubernetes`, its Endpoints and its EndpointSlice: how pods find the API server. Other servers' addresses stay as long as their controllers keep them. */
export async function keepKubernetesService(core: Pick<ApiCore, 'objects' | 'operations'>, advertised: AdvertisedEndpoint): Promise<void> {
  if (core.objects.get(namespaces, '', at.namespace)?.metadata.deletionTimestamp !== undefined) return
  await keepService(core, advertised)
  await keepEndpoints(core, advertised)
  await keepSlice(core, advertised)
}

async function keepService(
  { objects, operations }: Pick<ApiCore, 'objects' | 'operations'>,
  { port, serviceIp }: AdvertisedEndpoint,
): Promise<void> {
  const ports = [{ name: portName, port: servicePort, protocol: 'TCP', targetPort: port }]
  const present = objects.get(services, at.namespace, at.name)
  if (present === undefined) {
    const family = isIPv6(serviceIp) ? 'IPv6' : 'IPv4'
    const service: Service = {
      metadata: { ...at, labels: { provider: 'kubernetes', component: 'apiserver' } },
      spec: {
        clusterIP: serviceIp,
        clusterIPs: [serviceIp],
        ipFamilies: [family],
        ipFamilyPolicy: 'SingleStack',
        internalTrafficPolicy: 'Cluster',
        ports,
        sessionAffinity: 'None',
        type: 'ClusterIP',
      },
    }
    await createIfMissing(() => operations.create(services, service))
  } else if (!equalJson(present.spec.ports, ports)) {
    await operations.guaranteedUpdate(services, at, (service) => {
      service.spec.ports = ports
    })
  }
}

async function keepEndpoints(
  { objects, operations }: Pick<ApiCore, 'objects' | 'operations'>,
  { address, port }: AdvertisedEndpoint,
): Promise<void> {
  const subset = { addresses: [{ ip: address }], ports: [{ name: portName, port, protocol: 'TCP' }] }
  const present = objects.get(endpoints, at.namespace, at.name)
  if (present === undefined) {
    const created: Endpoints = {
      metadata: { ...at, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
      subsets: [subset],
    }
    await createIfMissing(() => operations.create(endpoints, created))
    return
  }
  const known = present.subsets?.some(
    ({ addresses, ports }) => addresses?.some(({ ip }) => ip === address) === true && equalJson(ports, subset.ports),
  )
  if (known === true) return
  await operations.guaranteedUpdate(endpoints, at, (object) => {
    const others = (object.subsets ?? []).filter(({ ports }) => equalJson(ports, subset.ports)).flatMap(({ addresses }) => addresses ?? [])
    const addresses = [...others.filter(({ ip }) => ip !== address), { ip: address }].toSorted((left, right) =>
      left.ip < right.ip ? -1 : 1,
    )
    object.subsets = [{ ...subset, addresses }]
  })
}

async function keepSlice(
  { objects, operations }: Pick<ApiCore, 'objects' | 'operations'>,
  { address, port }: AdvertisedEndpoint,
): Promise<void> {
  const ports = [{ name: portName, port, protocol: 'TCP' }]
  const present = objects.get(endpointslices, at.namespace, at.name)
  if (present === undefined) {
    const slice: EndpointSlice = {
      metadata: { ...at, labels: { 'kubernetes.io/service-name': at.name } },
      addressType: isIPv6(address) ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports,
    }
    await createIfMissing(() => operations.create(endpointslices, slice))
    return
  }
  const isKnown = present.endpoints?.some(({ addresses }) => addresses.includes(address)) === true
  if (isKnown && equalJson(present.ports, ports)) return
  await operations.guaranteedUpdate(endpointslices, at, (slice) => {
    const others = equalJson(slice.ports, ports) ? (slice.endpoints ?? []).filter(({ addresses }) => !addresses.includes(address)) : []
    slice.endpoints = [...others, { addresses: [address], conditions: { ready: true } }]
    slice.ports = ports
  })
}
