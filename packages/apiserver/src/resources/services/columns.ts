import type { Service } from '@k3s/api/types/core/v1'
import type { TableColumn } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { formatLabels } from '../shared/label-selector.ts'

function externalIp({ spec, status }: Service): string {
  const external = spec.externalIPs ?? []
  if (spec.type === 'ExternalName') return spec.externalName ?? ''
  if (spec.type === 'ClusterIP' || spec.type === 'NodePort') return external.join(',') || '<none>'
  if (spec.type !== 'LoadBalancer') return '<unknown>'
  const addresses = (status?.loadBalancer?.ingress ?? [])
    .map(({ ip, hostname }) => ip || hostname || '')
    .filter((address) => address !== '')
  return [...[...new Set(addresses)].toSorted(), ...external].join(',') || '<pending>'
}

const portText = ({ spec }: Service): string =>
  (spec.ports ?? []).map(({ port, nodePort, protocol }) => `${nodePort ? `${port}:${nodePort}` : port}/${protocol}`).join(',') || '<none>'

/** Columns of `kubectl get services`. */
export const serviceColumns: readonly TableColumn<Service>[] = [
  nameColumn(),
  column('Type', ({ spec }) => spec.type ?? '', { description: 'How the service is reached' }),
  column('Cluster-IP', ({ spec }) => spec.clusterIPs?.[0] ?? '<none>', { description: 'Address inside the cluster' }),
  column('External-IP', externalIp, { description: 'Addresses outside the cluster' }),
  column('Port(s)', portText, { description: 'Ports, with node ports behind a colon' }),
  ageColumn(),
  column('Selector', ({ spec }) => formatLabels(spec.selector), { wide: true, description: 'Which pods stand behind the service' }),
]
