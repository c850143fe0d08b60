import { matchesSelector, selectorOf } from '@k3s/api'
import type { EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Pod, Service } from '@k3s/api/types/core/v1'
import { canonicalJson } from '../kit/equal.ts'
import { omit } from '../kit/omit.ts'
import { isPodReady, isPodTerminal } from '../kit/pods.ts'
import { derivedLabels, familyOf, hostnameOf, podIpsOf, resolvedPorts } from './pod-endpoint.ts'

// Upstream's bound of an Endpoints object, which is written whole with every change.
const maxAddresses = 1000
const overCapacity = 'endpoints.kubernetes.io/over-capacity'

/** The Endpoints object that the Service's pods ask for. `previous` gives annotations of others, and the version to update. */
export function endpointsOf(service: Service, pods: readonly Pod[], previous: Endpoints | undefined): Endpoints {
  const { selector, publishNotReadyAddresses = false, ipFamilies } = service.spec
  const family = ipFamilies?.[0] ?? 'IPv4'
  const parsed = selectorOf({ matchLabels: selector ?? {} }) ?? []
  const candidates = pods
    .filter((pod) => matchesSelector(parsed, pod.metadata.labels))
    .filter((pod) => !isPodTerminal(pod) && (publishNotReadyAddresses || pod.metadata.deletionTimestamp === undefined))
    .flatMap((pod) => {
      const ip = podIpsOf(pod).find((one) => familyOf(one) === family)
      return ip === undefined ? [] : [{ pod, ip, isReady: publishNotReadyAddresses || isPodReady(pod) }]
    })
    .toSorted((a, b) => Number(b.isReady) - Number(a.isReady) || (a.ip < b.ip ? -1 : 1))
  const groups = new Map<string, { ports: readonly EndpointPort[]; ready: EndpointAddress[]; unready: EndpointAddress[] }>()
  for (const { pod, ip, isReady } of candidates.slice(0, maxAddresses)) {
    const ports = resolvedPorts(service, pod).map(({ name, ...port }): EndpointPort => (name === '' ? port : { name, ...port }))
    if (ports.length === 0 && (service.spec.ports ?? []).length > 0) continue
    const key = canonicalJson(ports)
    let group = groups.get(key)
    if (group === undefined) groups.set(key, (group = { ports, ready: [], unready: [] }))
    ;(isReady ? group.ready : group.unready).push(addressOf(service, pod, ip))
  }
  const subsets = [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { ports, ready, unready }]): EndpointSubset => ({
      ...(ready.length === 0 ? {} : { addresses: ready }),
      ...(unready.length === 0 ? {} : { notReadyAddresses: unready }),
      ...(ports.length === 0 ? {} : { ports: [...ports] }),
    }))
  const annotations = omit(previous?.metadata.annotations ?? {}, overCapacity)
  const isOver = candidates.length > maxAddresses
  return {
    ...previous,
    metadata: {
      ...previous?.metadata,
      name: service.metadata.name,
      namespace: service.metadata.namespace,
      labels: derivedLabels(service, { 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' }),
      annotations: isOver ? { ...annotations, [overCapacity]: 'truncated' } : annotations,
    },
    subsets,
  }
}

function addressOf(service: Service, pod: Pod, ip: string): EndpointAddress {
  const { name, namespace, uid } = pod.metadata
  const hostname = hostnameOf(service, pod)
  return {
    ip,
    ...(hostname === undefined ? {} : { hostname }),
    ...((pod.spec.nodeName ?? '') === '' ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  }
}
