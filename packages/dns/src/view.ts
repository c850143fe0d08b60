import { namespaces, nodes, services, type Service } from '@k3s/api/types/core/v1'
import { endpointslices, type EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { InformerFactory } from '@k3s/client'
import type { ClusterView } from './records.ts'

const serviceNameLabel = 'kubernetes.io/service-name'

const serviceIps = ({ spec }: Service): readonly string[] =>
  (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((ip) => ip !== '' && ip !== 'None')
const sliceService = ({ metadata }: EndpointSlice): readonly string[] => [
  `${metadata.namespace ?? ''}/${metadata.labels?.[serviceNameLabel] ?? ''}`,
]
const headlessIps = ({ metadata, endpoints = [] }: EndpointSlice): readonly string[] =>
  metadata.labels?.['service.kubernetes.io/headless'] === undefined ? [] : endpoints.flatMap(({ addresses }) => addresses)

/** A view on shared informers. */
export function createClusterView(informers: InformerFactory): ClusterView {
  const service = informers.informer(services)
  const slice = informers.informer(endpointslices)
  const namespace = informers.informer(namespaces)
  const node = informers.informer(nodes)
  service.addIndex('clusterIp', serviceIps)
  slice.addIndex('service', sliceService)
  slice.addIndex('headlessIp', headlessIps)
  return {
    service: (at, name) => service.lister.get(`${at}/${name}`),
    slices: (at, name) => slice.lister.byIndex('service', `${at}/${name}`),
    hasNamespace: (name) => namespace.lister.get(name) !== undefined,
    node: (name) => node.lister.get(name),
    servicesByIp: (ip) => service.lister.byIndex('clusterIp', ip),
    slicesByIp: (ip) => slice.lister.byIndex('headlessIp', ip),
    get isSynced() {
      return service.isSynced && slice.isSynced && namespace.isSynced
    },
  }
}
